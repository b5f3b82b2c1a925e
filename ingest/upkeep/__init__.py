"""Upkeep: promotion, forgetting, expiry and compaction of stored memories."""

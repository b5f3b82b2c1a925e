"""Receipts: how each answer was made, verified offline and replayed."""

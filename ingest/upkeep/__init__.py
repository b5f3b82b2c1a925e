"""What keeps a memory in shape: promotion, forgetting, expiry, compaction. Plans are pure; one executor carries out."""

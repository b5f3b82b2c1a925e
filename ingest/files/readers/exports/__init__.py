"""Readers of what other programs export: chats, memories, notes."""

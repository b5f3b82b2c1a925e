"""Threads: a conversation as live turns within limits; what leaves it becomes episodic memory."""

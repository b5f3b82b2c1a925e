"""Receipts: how an answer came to be, checked offline and run again."""

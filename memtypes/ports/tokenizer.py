"""Exact token counts and truncation."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Tokenizer(ABC):
    """Tokenizer of one encoding."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the encoding, such as cl100k_base."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """SHA-256 of the encoding's rank file in hexadecimal."""

    @abstractmethod
    def count(self, text: str) -> int:
        """Count the tokens of `text`. Text that looks like a special token is plain text."""

    @abstractmethod
    def truncate(self, text: str, limit: int) -> str:
        """Return the longest prefix of `text` with at most `limit` tokens, cut between characters."""

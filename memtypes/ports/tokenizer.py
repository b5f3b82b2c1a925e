"""Port of a tokenizer: exact token counts and truncation."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Tokenizer(ABC):
    """Counts tokens exactly as the named encoding does."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The encoding's name, such as cl100k_base."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """SHA-256 of the encoding's ranks file, in hexadecimal."""

    @abstractmethod
    def count(self, text: str) -> int:
        """How many tokens `text` has; text that looks like a special token is text."""

    @abstractmethod
    def truncate(self, text: str, limit: int) -> str:
        """The longest prefix of `text`, cut between characters, that has at most `limit` tokens."""

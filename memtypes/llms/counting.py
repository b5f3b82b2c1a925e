"""How many tokens a text has for a model: the port, and the count that needs no network."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from memtypes.llms.registry import Models
from memtypes.ports.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Counted:
    """tokens: of the text for the model, with the margin where the count is not exact. by: who counted."""

    tokens: int
    by: str
    exact: bool


class TokenCounter(ABC):
    """Counts whole texts for a model."""

    @abstractmethod
    async def count(self, text: str, model: str) -> Counted:
        """The tokens of `text` for `model`. Never fails: where the better count can't be had, the next one is given."""


class LocalCounter(TokenCounter):
    """Counts with the tokenizers on hand, and adds the margin of a model whose own is not."""

    def __init__(self, tokenizers: Mapping[str, Tokenizer], models: Models) -> None:
        self._tokenizers = tokenizers
        self._models = models

    async def count(self, text: str, model: str) -> Counted:
        """The exact count, or the stand-in's and the margin, rounded up."""
        known = self._models().find(model)
        tokens = self._tokenizers[known.tokenizer].count(text)
        return Counted(math.ceil(tokens * (1.0 + known.margin)), known.tokenizer, exact=known.margin == 0.0)

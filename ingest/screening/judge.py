"""Learnt judgements of a text: its memory type, whether it is worth keeping, and how important it is.

Linear models on the features of `ingest.screening.features`, trained by `benchmarks.training.screening`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ingest.screening.features import Conversation, text_features, words_of
from memtypes.linear_model import LinearModel
from memtypes.model.policy import MemoryType
from memtypes.search.vectors import Embedding

PACKAGE = "ingest.screening"
TYPES_FILE, FIRST_FILE, WORTH_FILE, IMPORTANCE_FILE = "types.npz", "first.npz", "worth.npz", "importance.npz"

WORTH_KEEPING = 0.5
"""Probability of being worth keeping from which a message is kept: loses 5 % of what other authors marked to keep."""

TRIVIAL = 0.25
"""Probability below which the pre-filter drops a message without a review: loses 1 to 2 % of what is worth keeping."""

MAX_REPEATED = 0.12
"""Share of distinct words up to which a text says nothing."""

_BOUND, _PLAIN, _HIGH = 4.0, 5.5, 4.5
"""Importance where a text is just worth keeping, where that is certain, and what one of high importance adds."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """worth: probability, 0-1, that a text is worth keeping. importance: 1-10."""

    worth: float
    importance: float

    @property
    def objection(self) -> str | None:
        """Why the text is trivial; None if it is not."""
        return None if self.worth >= TRIVIAL else f"nothing in it to keep ({self.worth:.2f} is below {TRIVIAL:g})"


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The models. types: classes are memory types. importance: low, medium, high.

    first, worth: noise and keep, for the first message of a conversation or a text by itself, and for later messages.
    """

    types: LinearModel
    first: LinearModel
    worth: LinearModel
    importance: LinearModel

    @classmethod
    def shipped(cls) -> Judge:
        """The models that come with the package."""
        return cls(*(LinearModel.load(PACKAGE, name) for name in (TYPES_FILE, FIRST_FILE, WORTH_FILE, IMPORTANCE_FILE)))

    def kinds(self, text: str, embedding: Embedding | None) -> dict[MemoryType, float]:
        """The probability of each memory type."""
        (row,) = self.types.probabilities(text_features(text, embedding)[None])
        return {MemoryType(name): float(value) for name, value in zip(self.types.classes, row, strict=True)}

    def judged(
        self, text: str, embedding: Embedding | None, role: str = "user", before: Conversation | None = None
    ) -> Judgement:
        """The judgement of a text, said by `role` after the conversation `before`, if any."""
        words = [word for word in words_of(text) if word[0].isalnum()]
        if len(set(words)) <= MAX_REPEATED * len(words):  # no words, or the same few again and again
            return Judgement(0.0, 1.0)
        before = before or Conversation()
        model = self.worth if before.count else self.first
        said = before.features(role, text, embedding)
        worth = float(model.probabilities(said[None])[0, model.classes.index("keep")])
        (levels,) = self.importance.probabilities(text_features(text, embedding)[None])
        plain = float(np.interp(worth, (0, WORTH_KEEPING, 1), (1, _BOUND, _PLAIN)))
        high = _HIGH * float(levels[self.importance.classes.index("high")])
        return Judgement(worth, round(min(10.0, plain + high), 2))

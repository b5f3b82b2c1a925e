"""Learnt judgements of a text: its memory type, whether it is worth keeping, and how important it is.

Linear models on the features of `ingest.screening.features` and one over the encoder's token states, whose scores are
added. Trained by `benchmarks.training.screening`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ingest.screening.attention import AttentionModel
from ingest.screening.features import Conversation, Later, Reading, form_of, is_machine, read, words_of
from memtypes.linear_model import FloatArray, LinearModel, softmax
from memtypes.model.policy import MemoryType
from memtypes.search.vectors import Embedding

PACKAGE = "ingest.screening"
TYPES_FILE, FIRST_FILE, WORTH_FILE, IMPORTANCE_FILE = "types.npz", "first.npz", "worth.npz", "importance.npz"
STATES_FILE = "states.npz"

ALONE, BY_PERSON, BY_MACHINE = "keep alone", "keep by a person", "keep by a machine"
"""Scores of the model over token states besides those of memory types: whether a text is worth keeping."""

STATES_WEIGHT = 0.75
"""Weight of the token states in what is worth keeping; from .5 to 1 it makes little difference on other authors."""

WORTH_KEEPING = 0.5
"""Probability of being worth keeping from which a message is kept: loses 3 % of what other authors marked to keep."""

TRIVIAL = 0.2
"""Probability below which the pre-filter drops a message without a review: loses 1 to 2 % of what is worth keeping."""

MAX_REPEATED = 0.12
"""A text says nothing if at most this share of its words is distinct."""

_BOUND, _PLAIN, _HIGH = 4.0, 5.5, 4.5
"""Importance of a text just worth keeping, of one surely worth keeping, and the addition for high importance."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How much a text matters. worth: probability, 0-1, that it is worth keeping. importance: 1-10."""

    worth: float
    importance: float

    @property
    def objection(self) -> str | None:
        """Why the text is trivial; None if it is not."""
        return None if self.worth >= TRIVIAL else f"nothing in it to keep ({self.worth:.2f} is below {TRIVIAL:g})"


@dataclass(frozen=True, slots=True)
class MessagePosition:
    """Where a text was said: by whom, after and before what. Without messages around it, it stands alone."""

    role: str = "user"
    before: Conversation = field(default_factory=Conversation)
    later: Later = field(default_factory=Later)

    @property
    def is_alone(self) -> bool:
        """Whether no other message is known."""
        return not self.before.count and not self.later.count

    def features(self, by_text: FloatArray, text: str, embedding: Embedding | None) -> FloatArray:
        """Features of the text and its position, then form and position again (zeros if a person wrote the text)."""
        machine = np.float32(is_machine(self.role))
        place = self.before.place(self.role, text, embedding, self.later)
        by_role = np.concatenate([form_of(by_text), place])
        return np.concatenate([by_text, place, machine * by_role, [machine]])


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The models. types: tells memory types apart. importance: tells low, medium and high apart.

    first: tells noise from what to keep, for a text by itself. worth: the same for a message of a conversation. states:
    scores memory types and what to keep by the token states.
    """

    types: LinearModel
    first: LinearModel
    worth: LinearModel
    importance: LinearModel
    states: AttentionModel

    @classmethod
    def shipped(cls) -> Judge:
        """The models that come with the package."""
        return cls(
            types=LinearModel.load(PACKAGE, TYPES_FILE),
            first=LinearModel.load(PACKAGE, FIRST_FILE),
            worth=LinearModel.load(PACKAGE, WORTH_FILE),
            importance=LinearModel.load(PACKAGE, IMPORTANCE_FILE),
            states=AttentionModel.load(PACKAGE, STATES_FILE),
        )

    def kinds(self, text: str, embedding: Embedding | None) -> dict[MemoryType, float]:
        """The probability of each memory type."""
        reading = read(text)
        states = dict(zip(self.states.classes, self.states.scores(embedding, reading.english), strict=True))
        (scores,) = self.types.scores(reading.features[None])
        (row,) = softmax((scores + [states[name] for name in self.types.classes])[None])
        return {MemoryType(name): float(value) for name, value in zip(self.types.classes, row, strict=True)}

    def judged(self, text: str, embedding: Embedding | None, place: MessagePosition | None = None) -> Judgement:
        """The judgement of a text, said in a conversation or alone."""
        words = [word for word in words_of(text) if word[0].isalnum()]
        if len(set(words)) <= MAX_REPEATED * len(words):  # no words, or the same few again and again
            return Judgement(0.0, 1.0)
        reading = read(text)
        worth = self._worth(reading, text, embedding, place or MessagePosition())
        (levels,) = self.importance.probabilities(reading.features[None])
        plain = float(np.interp(worth, (0, WORTH_KEEPING, 1), (1, _BOUND, _PLAIN)))
        high = _HIGH * float(levels[self.importance.classes.index("high")])
        return Judgement(worth, round(min(10.0, plain + high), 2))

    def _worth(self, reading: Reading, text: str, embedding: Embedding | None, place: MessagePosition) -> float:
        """The probability that the text is worth keeping."""
        model = self.first if place.is_alone else self.worth
        features = reading.features if place.is_alone else place.features(reading.features, text, embedding)
        name = ALONE if place.is_alone else BY_MACHINE if is_machine(place.role) else BY_PERSON
        states = self.states.scores(embedding, reading.english)[self.states.classes.index(name)]
        scores = dict(zip(model.classes, model.scores(features[None])[0], strict=True))
        return float(1 / (1 + np.exp(scores["noise"] - scores["keep"] - STATES_WEIGHT * states)))

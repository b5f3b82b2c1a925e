"""Trained models that judge a text: its memory type, whether it is worth keeping, and how important it is.

Linear models score the features of `ingest.screening.features`, an attention model scores the encoder's token states,
and both scores are added. `benchmarks.training.screening` trains the models.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ingest.screening.attention import AttentionModel
from ingest.screening.features import TOOLS, Conversation, Later, form_of, is_machine, read, words_of
from memtypes.linear_model import FloatArray, LinearModel, softmax
from memtypes.model.policy import MemoryType
from memtypes.search.vectors import Embedding

PACKAGE, STATES_FILE = "ingest.screening", "states.npz"

ALONE, BY_PERSON, BY_MACHINE = "keep alone", "keep by a person", "keep by a machine"
"""Names of the attention model's scores for whether to keep a text: said alone, by a person, or by a machine."""

WORTH_KEEPING = 0.55
"""Minimum probability of being worth keeping at which a message is kept.

Measured on messages of authors that were not trained on: 3 % of the messages that they marked to keep are lost, and 15
% of their noise is kept.
"""

TRIVIAL = 0.2
"""Probability below which the pre-filter drops a message without a review: loses 1 to 2 % of what is worth keeping."""

MAX_REPEATED = 0.12
"""A text is taken to say nothing if at most this share of its words is distinct."""

_BOUND, _PLAIN, _HIGH = 4.0, 5.5, 4.5
"""Importance of a text just worth keeping and of one surely worth keeping; addition for high importance."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How much a text matters. worth: probability, 0-1, that it is worth keeping. importance: 1-10."""

    worth: float
    importance: float

    @property
    def objection(self) -> str | None:
        """Why the text is trivial; None if it is not trivial."""
        return None if self.worth >= TRIVIAL else f"nothing in it to keep ({self.worth:.2f} is below {TRIVIAL:g})"


@dataclass(frozen=True, slots=True)
class MessagePosition:
    """The position of a text in a conversation. role: who said it. before, later: the messages before and after it."""

    role: str = "user"
    before: Conversation = field(default_factory=Conversation)
    later: Later = field(default_factory=Later)

    @property
    def is_alone(self) -> bool:
        """Whether the text is judged as standing alone: it has no neighbours, and is not the output of a tool."""
        return not (self.before.count or self.later.count or self.role.casefold() in TOOLS)

    def features(self, by_text: FloatArray, text: str, embedding: Embedding | None) -> FloatArray:
        """The features of a message: those of its text, `by_text`, and those of its position in the conversation.

        If a machine wrote the message, the features of its form and position are repeated at the end, followed by a 1;
        if a person did, there are zeros instead. So the model can weigh both kinds of author differently.
        """
        machine = np.float32(is_machine(self.role))
        place = self.before.place(self.role, text, embedding, self.later)
        by_role = np.concatenate([form_of(by_text), place])
        return np.concatenate([by_text, place, machine * by_role, [machine]])


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The trained models that judge texts.

    types: scores memory types. importance: scores low, medium and high. first, worth: score whether a text is noise or
    worth keeping; `first` if it has no conversation, `worth` if it is a message of a conversation. states: scores
    memory types, and whether to keep a text, by the encoder's vector of each token; added to the scores of the others.
    """

    types: LinearModel
    first: LinearModel
    worth: LinearModel
    importance: LinearModel
    states: AttentionModel

    @classmethod
    def shipped(cls) -> Judge:
        """The judge with the models that are shipped with this package."""
        linear = {name: LinearModel.load(PACKAGE, f"{name}.npz") for name in ("types", "first", "worth", "importance")}
        return cls(**linear, states=AttentionModel.load(PACKAGE, STATES_FILE))

    def kinds(self, text: str, embedding: Embedding | None) -> dict[MemoryType, float]:
        """The probability of each memory type for `text`."""
        reading = read(text)
        states = dict(zip(self.states.classes, self.states.scores(embedding, reading.english), strict=True))
        (scores,) = self.types.scores(reading.features[None])
        (row,) = softmax((scores + [states[name] for name in self.types.classes])[None])
        return {MemoryType(name): float(value) for name, value in zip(self.types.classes, row, strict=True)}

    def judged(self, text: str, embedding: Embedding | None, place: MessagePosition | None = None) -> Judgement:
        """How important a text is, and whether it is worth keeping. place: its position in a conversation, if any."""
        words = [word for word in words_of(text) if word[0].isalnum()]
        if len(set(words)) <= MAX_REPEATED * len(words):  # no words, or the same few again and again
            return Judgement(0.0, 1.0)
        reading, place = read(text), place or MessagePosition()
        model = self.first if place.is_alone else self.worth
        features = reading.features if place.is_alone else place.features(reading.features, text, embedding)
        scores = dict(zip(model.classes, model.scores(features[None])[0], strict=True))
        name = ALONE if place.is_alone else BY_MACHINE if is_machine(place.role) else BY_PERSON
        states = self.states.scores(embedding, reading.english)[self.states.classes.index(name)]
        worth = float(1 / (1 + np.exp(scores["noise"] - scores["keep"] - states)))
        (levels,) = self.importance.probabilities(reading.features[None])
        plain = float(np.interp(worth, (0, WORTH_KEEPING, 1), (1, _BOUND, _PLAIN)))
        high = _HIGH * float(levels[self.importance.classes.index("high")])
        return Judgement(worth, round(min(10.0, plain + high), 2))

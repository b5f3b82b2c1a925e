"""Trained models that judge a text: its memory type, what it states if it is captured from a
conversation, whether it is worth keeping, and how important it is.

Linear models score the features of `ingest.screening.text_features`. An attention model scores the
encoder's token states (its vector of each token). Both scores are added.
`benchmarks.training.screening` trains the models; numpy runs them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ingest.screening.text_features import (
    TOOLS,
    Conversation,
    Later,
    Reading,
    form_of,
    is_machine,
    read,
    words_of,
)
from memtypes.linear_model import FloatArray, LinearModel, encoders_in, softmax
from memtypes.model.policy import MemoryType
from memtypes.ports.encoders import weights_of
from memtypes.search.vectors import Embedding

PACKAGE = "ingest.screening"
STATES_FILE = "states.npz"
STATEMENT_STATES_FILE = "statement_states.npz"

ALONE = "keep alone"
BY_PERSON = "keep by a person"
BY_MACHINE = "keep by a machine"
"""Classes of the attention model: its score for keeping a text without a conversation, of a person,
of a machine.
"""

WORTH_KEEPING = 0.55
"""Minimum probability of being worth keeping at which a message is kept.

On messages of authors that were not trained on, 3 % of the messages marked as worth keeping are
lost, and 15 % of the others are kept.
"""

TRIVIAL = 0.2
"""Probability below which the pre-filter drops a message without a review, which loses 1-2 % of
those worth keeping.
"""

MAX_REPEATED = 0.12
"""Maximum share of distinct words at which a text is taken to repeat itself and say nothing."""

_MACHINE_WEIGHT = 4.0
"""Factor for the feature that tells whether a machine wrote the text. Regularisation penalises
large features less.
"""

UNIMPORTANT = 0.9
"""Probability of low importance from which a text is trivial by its importance. At most 1 % of the
messages worth keeping reach it, and 25 to 41 % of the others.
"""

SELDOM_KEPT = 0.35
"""Probability of being worth keeping below which a text is trivial by its relevance. 1 to 3 % of
the messages worth keeping are below it, and 74 to 88 % of the others.
"""

_BOUND = 4.0
_SURE = 5.5
_HIGH = 4.5
"""Importance at the probabilities UNIMPORTANT and 0 of low importance, and what high importance
adds to it.
"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How much a text matters. worth: probability, 0-1, that it is worth keeping where it was said.
    importance: 1-10, by the text alone. low: probability, 0-1, that its importance is low.
    """

    worth: float
    importance: float
    low: float = 0.0

    @property
    def objection(self) -> str | None:
        """Why the text is trivial; None if it is not trivial."""
        return (
            None
            if self.worth >= TRIVIAL
            else f"nothing in it to keep ({self.worth:.2f} is below {TRIVIAL:g})"
        )


def typing_features(by_text: FloatArray, role: str = "user") -> FloatArray:
    """The features `by_text`, and whether a machine wrote the text: agents mostly report what has
    happened.
    """
    return np.concatenate([by_text, [np.float32(_MACHINE_WEIGHT * is_machine(role))]])


@dataclass(frozen=True, slots=True)
class MessagePosition:
    """The position of a text in a conversation. role: who said it. before, later: the messages
    before and after it.
    """

    role: str = "user"
    before: Conversation = field(default_factory=Conversation)
    later: Later = field(default_factory=Later)

    @property
    def is_alone(self) -> bool:
        """Whether the text is judged without a conversation: it has no other messages, and is no
        output of a tool.
        """
        return not (self.before.count or self.later.count or self.role.casefold() in TOOLS)

    def features(self, by_text: FloatArray, text: str, embedding: Embedding | None) -> FloatArray:
        """The features of a message: those of its text, `by_text`, and those of its position in the
        conversation.

        If a machine wrote the message, the features of its form and position are repeated at the
        end, followed by a 1; if a person did, there are zeros instead. So the model can weigh both
        kinds of author differently.
        """
        machine = np.float32(is_machine(self.role))
        by_position = self.before.position_features(self.role, text, embedding, self.later)
        by_role = np.concatenate([form_of(by_text), by_position])
        return np.concatenate([by_text, by_position, machine * by_role, [machine]])


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """A text as the models see it. reading: its features. scores, statement_scores: of the
    attention models, by the name of the class.
    """

    text: str
    embedding: Embedding | None
    reading: Reading
    scores: Mapping[str, float]
    statement_scores: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class AttentionModel:
    """Attention pooling: learnt queries attend to a text's token states, and linear layers score
    the pooled values.

    classes: names of the scores. queries: number of learnt queries. read: matrix of shape
    (dimensions, queries + queries x values), which maps a token state to the attention and the
    values of each query. out: matrix of shape (queries x values, classes), for the pooled values.
    mean: matrix of shape (dimensions, classes), for the mean of the token states. foreign: fixed
    scores of texts in other languages than English, which the encoder does not know. encoders:
    hashes of the weights of the encoders whose states it was trained on.
    """

    classes: tuple[str, ...]
    queries: int
    read: FloatArray
    read_bias: FloatArray
    out: FloatArray
    mean: FloatArray
    bias: FloatArray
    foreign: FloatArray
    encoders: tuple[str, ...] = ()

    @classmethod
    def load(cls, package: str, name: str) -> AttentionModel:
        """The model stored as the file `name` in the package `package`. Raises FileNotFoundError if
        there is none.
        """
        with np.load(
            io.BytesIO(files(package).joinpath(name).read_bytes()), allow_pickle=False
        ) as arrays:
            matrices = {
                key: arrays[key].astype(np.float32) * arrays[f"{key}_scale"]
                for key in ("read", "out", "mean")
            }
            biases = {key: arrays[key] for key in ("read_bias", "bias", "foreign")}
            return cls(
                tuple(map(str, arrays["classes"])),
                int(arrays["queries"]),
                **matrices,
                **biases,
                encoders=encoders_in(arrays),
            )

    def save(self, path: Path) -> None:
        """Write the model to `path`, with each matrix rounded to int8; each of its columns has its
        own scale.
        """
        arrays: dict[str, npt.NDArray[Any]] = {
            "classes": np.array(self.classes),
            "queries": np.array(self.queries),
            "read_bias": self.read_bias,
            "bias": self.bias,
            "foreign": self.foreign,
            "encoders": np.array(self.encoders, dtype=np.str_),
        }
        for key, matrix in (("read", self.read), ("out", self.out), ("mean", self.mean)):
            scale = np.maximum(np.abs(matrix).max(axis=0), 1e-9) / np.iinfo(np.int8).max
            arrays |= {
                key: np.rint(matrix / scale).astype(np.int8),
                f"{key}_scale": scale.astype(np.float32),
            }
        np.savez_compressed(path, allow_pickle=False, **arrays)

    def scores(self, embedding: Embedding | None, english: float) -> FloatArray:
        """The score of each class; zeros if `embedding` is None or has no token states.

        english: share of English in the text, 0-1; the rest has the fixed scores of foreign texts.
        """
        states = None if embedding is None else embedding.states
        if states is None or not len(states):
            return np.zeros(len(self.classes), dtype=np.float32)
        tokens = states.astype(np.float32)
        projected = tokens @ self.read + self.read_bias
        weights = np.exp(projected[:, : self.queries] - projected[:, : self.queries].max(axis=0))
        weights /= weights.sum(axis=0)
        values = np.tanh(projected[:, self.queries :]).reshape(len(tokens), self.queries, -1)
        pooled = np.einsum("tq,tqv->qv", weights, values).ravel()
        scores = pooled @ self.out + tokens.mean(axis=0) @ self.mean + self.bias
        weighed: FloatArray = english * scores + (1 - english) * self.foreign
        return weighed


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The trained models that judge texts.

    types: scores memory types. importance: scores low, medium and high. first, worth: score whether
    a text is noise or worth keeping; `first` if it has no conversation, `worth` if it is a message
    of a conversation. states: scores memory types, and whether to keep a text, by token states;
    added to the scores of `types`, `first` and `worth`. statements, statement_states: the same two
    for what a captured text states; people talk otherwise than they write notes. knows_encoder:
    whether the models were trained on vectors of the encoder in use; if not, texts are judged by
    their words alone.
    """

    types: LinearModel
    first: LinearModel
    worth: LinearModel
    importance: LinearModel
    states: AttentionModel
    statements: LinearModel
    statement_states: AttentionModel
    knows_encoder: bool = True

    @classmethod
    def shipped(cls, encoder: str = "") -> Judge:
        """The judge with the models that are shipped with this package.

        encoder: fingerprint of the embedder whose embeddings it gets.
        """
        linear = {
            name: LinearModel.load(PACKAGE, f"{name}.npz")
            for name in ("types", "first", "worth", "importance", "statements")
        }
        states = AttentionModel.load(PACKAGE, STATES_FILE)
        return cls(
            **linear,
            states=states,
            statement_states=AttentionModel.load(PACKAGE, STATEMENT_STATES_FILE),
            knows_encoder=weights_of(encoder) in states.encoders,
        )

    def input_of(self, text: str, embedding: Embedding | None) -> ModelInput:
        """What `kinds` and `judged` need of `text`. It takes most of the time, so that both share
        it.
        """
        reading = read(text)
        embedding = embedding if self.knows_encoder else None
        scores, statement_scores = (
            dict(zip(model.classes, model.scores(embedding, reading.english).tolist(), strict=True))
            for model in (self.states, self.statement_states)
        )
        return ModelInput(text, embedding, reading, scores, statement_scores)

    def kinds(self, model_input: ModelInput, role: str = "user") -> dict[MemoryType, float]:
        """The probability of each memory type for a text. role: who said it."""
        return _kinds(self.types, model_input, model_input.scores, role)

    def stated(self, model_input: ModelInput, role: str = "user") -> dict[MemoryType, float]:
        """The probability of what a captured text states: a fact (SEMANTIC), a task (PROSPECTIVE),
        a how-to (PROCEDURAL), or only what happened (EPISODIC). role: who said it.

        It is the mean of two models: that of memory types, which learnt from notes, and that of
        statements, which also learnt from talk. Together they are right more often than either.
        """
        by_notes = self.kinds(model_input, role)
        by_talk = _kinds(self.statements, model_input, model_input.statement_scores, role)
        lasting = [kind for kind in by_notes if kind is not MemoryType.WORKING]
        total = sum(by_notes[kind] + by_talk[kind] for kind in lasting)
        return {kind: (by_notes[kind] + by_talk[kind]) / total for kind in lasting}

    def judged(self, model_input: ModelInput, position: MessagePosition | None = None) -> Judgement:
        """How important a text is, and whether it is worth keeping. position: in its conversation,
        if it has one.
        """
        words = [word for word in words_of(model_input.text) if word[0].isalnum()]
        # No words, or the same few again and again
        if len(set(words)) <= MAX_REPEATED * len(words):
            return Judgement(0.0, 1.0, 1.0)
        features = model_input.reading.features
        position = position or MessagePosition()
        model = self.first if position.is_alone else self.worth
        placed = (
            features
            if position.is_alone
            else position.features(features, model_input.text, model_input.embedding)
        )
        scores = dict(zip(model.classes, model.scores(placed[None])[0], strict=True))
        name = (
            ALONE if position.is_alone else BY_MACHINE if is_machine(position.role) else BY_PERSON
        )
        worth = float(1 / (1 + np.exp(scores["noise"] - scores["keep"] - model_input.scores[name])))
        (levels,) = self.importance.probabilities(features[None])
        low = float(levels[self.importance.classes.index("low")])
        high = float(levels[self.importance.classes.index("high")])
        level = float(np.interp(low, (0, UNIMPORTANT, 1), (_SURE, _BOUND, 1)))
        return Judgement(worth, round(min(10.0, level + _HIGH * high), 2), round(low, 4))


def _kinds(
    model: LinearModel, model_input: ModelInput, by_states: Mapping[str, float], role: str
) -> dict[MemoryType, float]:
    """The probability of each class of `model`. by_states: scores of its classes by the text's
    token states, which are added.
    """
    features = typing_features(model_input.reading.features, role)
    (scores,) = model.scores(features[None])
    (row,) = softmax((scores + [by_states[name] for name in model.classes])[None])
    return {MemoryType(name): float(value) for name, value in zip(model.classes, row, strict=True)}

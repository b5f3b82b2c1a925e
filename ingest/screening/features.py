"""Numbers that describe a text and its place in a conversation, for the learnt judgements of screening.

They are the encoder's states (dense vector, and token vectors at the ends and pooled), hashed words and letters, which
also work in languages that the encoder does not know, and the form of the text: length, punctuation, figures.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from memtypes.linear_model import FloatArray, hashed
from memtypes.model.policy import MemoryType
from memtypes.search.vectors import TOKEN_DIMENSIONS, DenseVector, Embedding

DENSE = 384
"""Dimensions of the default encoder, which the models were trained with. Other encoders' states are not read."""

BUCKETS = 4_096
MAX_READ = 1_000
"""Characters of a text that are read; what it is shows at the beginning."""

REACH = 12
"""Earlier messages that a message is compared with."""

_STATES = DENSE + 5 * TOKEN_DIMENSIONS
_STATES_WEIGHT, _HASHES_WEIGHT = 3.0, 4.0
"""Scales of vectors of length 1 beside the form, whose numbers are around 1: regularisation spares what is large."""

_MACHINES = frozenset(("assistant", "agent", "model", "tool", "function", "system", "developer"))
"""Roles of messages that no person wrote."""

_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
_DIGIT = re.compile(r"\d")
_SIGNS = (
    r"[?\uff1f]", r"[?\uff1f]\s*$", r"!", r"`", r"\n", r":", r";", r"\u2026|\.\.\.", r"%", r"\d", r"\d{1,2}[:.]\d\d\b",
    r"\b(?:19|20)\d\d\b", r"\d+\s*(?:/|of|von|de|di|van|z)\s*\d+", r"(?m)^\s*(?:\d+[.)]|[-*\u2022])\s",
    r"[.!\u3002]\s*$", r"[^.!?\u3002\uff1f\s]\s*$", r"(?:^|\s)--?\w", r"\w[/\\][\w/.]+", r"[=$|{}]|->|\u2192",
    r"^[a-z]",
)  # fmt: skip
_FORMS = tuple(re.compile(sign) for sign in _SIGNS)
_RATES = ",;:."


def is_machine(role: str) -> bool:
    """Whether a message of this role was written by an agent or a tool rather than a person."""
    return role.casefold() in _MACHINES


def words_of(text: str) -> list[str]:
    """The words and punctuation marks of `text`, lower case, with every digit as 0."""
    return _WORD.findall(_DIGIT.sub("0", text[:MAX_READ].lower().replace("\u2019", "'")))


def text_features(text: str, embedding: Embedding | None) -> FloatArray:
    """The features of a text by itself: states of the encoder (zeros without an embedding), hashes, form."""
    words = words_of(text)
    spaced = f" {' '.join(words)} "
    letters = (spaced[at : at + size] for size in (2, 3, 4, 5) for at in range(len(spaced) - size + 1))
    hashes = np.concatenate([hashed(_terms(words), BUCKETS), hashed(letters, BUCKETS)])
    return np.concatenate([_states(embedding), _HASHES_WEIGHT * hashes, _form(text, words)]).astype(np.float32)


def _terms(words: Sequence[str]) -> Iterator[str]:
    """The words, the pairs of neighbours, and the first three words with their places."""
    yield from words
    around = ["^", *words, "$"]
    yield from (f"{first} {second}" for first, second in itertools.pairwise(around))
    yield from (f"{place}: {word}" for place, word in enumerate(words[:3]))


def _states(embedding: Embedding | None) -> FloatArray:
    """The dense vector, then the first, mean, highest, lowest and last of the token vectors."""
    if embedding is None or embedding.tokens is None or len(embedding.dense) != DENSE or not len(embedding.tokens):
        return np.zeros(_STATES, dtype=np.float32)
    tokens = embedding.tokens.astype(np.float32) / 127
    pooled = [tokens[0], tokens.mean(axis=0), tokens.max(axis=0), tokens.min(axis=0), tokens[-1]]
    return np.concatenate([_STATES_WEIGHT * embedding.dense, *pooled])


def _form(text: str, words: Sequence[str]) -> FloatArray:
    size, count = max(1, len(text)), max(1, len(words))
    lengths = [np.log1p(size) / 6, np.log1p(count) / 4, min(count, 60) / 60, count < 6, count < 12, count > 40]
    rates = [3 * text.count(sign) / count for sign in _RATES]
    shares = [
        5 * sum(map(str.isdigit, text)) / size,
        5 * sum(char > "\x7f" for char in text) / size,
        sum(word[:1].isupper() for word in text.split()[1:]) / count,
    ]
    signs = [sign.search(text[:MAX_READ]) is not None for sign in _FORMS]
    return np.array([*lengths, *rates, *shares, *signs], dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Heard:
    """A message of a conversation."""

    machine: bool
    words: frozenset[str]
    asks: bool
    dense: DenseVector | None


@dataclass(slots=True)
class Conversation:
    """The messages of a conversation so far, in which the next one is judged.

    last: probability that the last one is worth keeping. last_type: its memory type, if it is not trivial.
    """

    count: int = 0
    last: float = 0.0
    last_type: MemoryType | None = None
    _recent: deque[_Heard] = field(default_factory=lambda: deque(maxlen=REACH))

    def features(self, role: str, text: str, embedding: Embedding | None) -> FloatArray:
        """The features of the next message: of its text, again if a machine wrote it, and of what it adds."""
        message = _heard(role, text, embedding)
        by_text, by_place = text_features(text, embedding), self._place(message)
        machine = np.float32(message.machine)
        return np.concatenate([by_text, machine * by_text, by_place, machine * by_place, [machine]])

    def add(self, role: str, text: str, embedding: Embedding | None) -> None:
        """Add a message, which later ones are compared with."""
        self._recent.append(_heard(role, text, embedding))
        self.count += 1

    @property
    def asks(self) -> bool:
        """Whether the last message has a question."""
        return bool(self._recent) and self._recent[-1].asks

    def _place(self, message: _Heard) -> FloatArray:
        """How much of the message was said before, by whom, and what the message follows."""
        others = [heard for heard in self._recent if heard.machine != message.machine]
        last = self._recent[-1] if self._recent else None
        said = frozenset().union(*(heard.words for heard in self._recent))
        place = [
            max((_cosine(heard, message) for heard in self._recent), default=0),
            max((_cosine(heard, message) for heard in others), default=0),
            max((_repeated(message, heard.words) for heard in self._recent), default=0),
            _repeated(message, said),
            last is None,
            last is not None and last.machine == message.machine,
            last is not None and last.asks,
            bool(others) and others[-1].asks,
            min(self.count, 10) / 10,
        ]
        return np.array(place, dtype=np.float32)


def _heard(role: str, text: str, embedding: Embedding | None) -> _Heard:
    asks = "?" in text or "\uff1f" in text
    return _Heard(is_machine(role), frozenset(words_of(text)), asks, None if embedding is None else embedding.dense)


def _cosine(first: _Heard, second: _Heard) -> float:
    if first.dense is None or second.dense is None or len(first.dense) != DENSE:
        return 0.0
    return float(first.dense @ second.dense)


def _repeated(message: _Heard, words: frozenset[str]) -> float:
    """Share of the words of `message` that are among `words`."""
    return len(message.words & words) / max(1, len(message.words))

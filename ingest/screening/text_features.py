"""Numeric features of a text and of its position in a conversation, for the trained models of
screening.

The features of a text need no encoder and work in any language: hashed words and letters, the form
of the text (length, punctuation, digits), and the kinds of words in it. The lexicon defines these
kinds for each of its languages, so they mean the same in all of them.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from memtypes.linear_model import FloatArray, hashed
from memtypes.search.vectors import DenseVector, Embedding
from memtypes.words import Words, languages, phrase_kinds, read_words

BUCKETS = 4_096
MAX_READ = 1_000
"""Number of characters at the beginning of a text from which its features are computed."""

REACH = 12
"""Number of earlier messages that a message is compared with."""

AHEAD = 5
"""Number of later messages that a message is compared with."""

EARLY = 2
"""Number of words at the start of a text. For each kind of phrase, a feature says whether one of
them has it.
"""

_HASHES_WEIGHT = 4.0
_KINDS_WEIGHT = 2.0
"""Factors for the hashed features and for the kinds of words. Regularisation penalises large
features less.
"""

TOOLS = frozenset(("tool", "function"))
USER = "user"
AGENT = "agent"
"""Who said a text, in the words of a reader, which is told a name of others."""

_MACHINES = TOOLS | {"assistant", "agent", "model", "system", "developer"}
"""Roles of messages that no person writes."""

_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
_DIGIT = re.compile(r"\d")
_SIGNS = (
    r"[?\uff1f]",
    r"[?\uff1f]\s*$",
    r"!",
    r"`",
    r"\n",
    r":",
    r";",
    r"\u2026|\.\.\.",
    r"%",
    r"\d",
    r"\d{1,2}[:.]\d\d\b",
    r"\b(?:19|20)\d\d\b",
    r"\d+\s*(?:/|of|von|de|di|van|z)\s*\d+",
    r"(?m)^\s*(?:\d+[.)]|[-*\u2022])\s",
    r"[.!\u3002]\s*$",
    r"[^.!?\u3002\uff1f\s]\s*$",
    r"(?:^|\s)--?\w",
    r"\w[/\\][\w/.]+",
    r"[=$|{}]|->|\u2192",
    r"^[a-z]",
)
_FORMS = tuple(re.compile(sign) for sign in _SIGNS)
_RATES = ",;:."
_FORM_SIZE = 6 + len(_RATES) + 3 + len(_FORMS)


def is_machine(role: str) -> bool:
    """Whether messages of this role are written by an agent or a tool rather than a person."""
    return role.casefold() in _MACHINES


def speaker_of(role: str | None) -> str:
    """Who said a text, in the reader's words: USER, AGENT or a name. role: None if unknown."""
    if role is None or role.casefold() == USER:
        return USER
    return AGENT if is_machine(role) else role


def words_of(text: str) -> list[str]:
    """The words and punctuation marks of `text` in lower case, with 0 for every digit."""
    return _WORD.findall(_DIGIT.sub("0", text[:MAX_READ].lower().replace("\u2019", "'")))


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The features of a text by itself. english: how English the text is, 0-1, judged by words and
    letters.
    """

    features: FloatArray
    english: float


def read(text: str) -> Reading:
    """Compute the features of `text`: hashed words and letters, form, kinds of words, and how
    English it is.
    """
    terms = words_of(text)
    words = read_words(text[:MAX_READ])
    spaced = f" {' '.join(terms)} "
    letters = (
        spaced[at : at + size] for size in (2, 3, 4, 5) for at in range(len(spaced) - size + 1)
    )
    pairs = (f"{first} {second}" for first, second in itertools.pairwise(["^", *terms, "$"]))
    beginning = (f"{position}: {word}" for position, word in enumerate(terms[:3]))
    hashes = np.concatenate(
        [hashed([*terms, *pairs, *beginning], BUCKETS), hashed(letters, BUCKETS)]
    )
    english = _english(words)
    features = (
        _HASHES_WEIGHT * hashes,
        _form(text, terms),
        _KINDS_WEIGHT * _kinds(words),
        [english],
    )
    return Reading(np.concatenate(features).astype(np.float32), english)


def form_of(features: FloatArray) -> FloatArray:
    """The part of the features computed by `read` that describes a text's form, such as length and
    punctuation.
    """
    return features[2 * BUCKETS : 2 * BUCKETS + _FORM_SIZE]


def _english(words: Words) -> float:
    """How English the text is, 0-1, by its stop words of English and of other languages, and by
    foreign letters.
    """
    counts = {
        name: sum(t.plain in language.stops for t in words.tokens)
        for name, language in languages().items()
    }
    english = counts.pop("en")
    foreign = sum(letter > "\x7f" and letter.isalpha() for letter in words.text)
    return float(1 / (1 + np.exp(-(1 + 1.5 * (english - max(counts.values())) - min(foreign, 3)))))


def _kinds(words: Words) -> FloatArray:
    """Two numbers for each kind of phrase (such as weekdays): half its count, up to 1.5, and 1 if
    an early word has it.

    Then the same for words with the ending of a past verb, and for words with that of an
    infinitive.
    """
    kinds_of_tokens = [words.kinds_at(at) for at in range(len(words.tokens))]
    counts = Counter(itertools.chain.from_iterable(kinds_of_tokens))
    early = {kind for kinds in kinds_of_tokens[:EARLY] for kind in kinds}
    numbers = [
        number for kind in phrase_kinds() for number in (min(counts[kind], 3) / 2, kind in early)
    ]
    plain = [token.plain for token in words.tokens if token.kind == "word"]
    for rule in ("past_endings", "infinitive"):
        endings = tuple(filter(None, words.language.listed(rule)))
        ended = [word.endswith(endings) for word in plain]
        numbers += [min(sum(ended), 3) / 2, bool(ended) and ended[0]]
    return np.array(numbers, dtype=np.float32)


def _form(text: str, words: Sequence[str]) -> FloatArray:
    size = max(1, len(text))
    count = max(1, len(words))
    lengths = [
        np.log1p(size) / 6,
        np.log1p(count) / 4,
        min(count, 60) / 60,
        count < 6,
        count < 12,
        count > 40,
    ]
    rates = [3 * text.count(sign) / count for sign in _RATES]
    shares = [
        5 * sum(map(str.isdigit, text)) / size,
        5 * sum(char > "\x7f" for char in text) / size,
        sum(word[:1].isupper() for word in text.split()[1:]) / count,
    ]
    signs = [sign.search(text[:MAX_READ]) is not None for sign in _FORMS]
    return np.array([*lengths, *rates, *shares, *signs], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Later:
    """The messages after a message in its session.

    messages: role and text of the next few. count: of all later messages. typical: median length of
    the session's messages, in characters.
    """

    messages: Sequence[tuple[str, str]] = ()
    count: int = 0
    typical: float = 80.0


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    """A message, for comparison with others. machine: whether it is of an agent or tool. asks: has
    a question mark.
    """

    machine: bool
    words: frozenset[str]
    asks: bool
    size: int
    dense: DenseVector | None

    @classmethod
    def from_text(cls, role: str, text: str, embedding: Embedding | None = None) -> _Message:
        """The message `text` of a speaker with the role `role`."""
        dense = None if embedding is None else embedding.dense
        return cls(
            is_machine(role),
            frozenset(words_of(text)),
            "?" in text or "\uff1f" in text,
            len(text),
            dense,
        )


@dataclass(slots=True)
class Conversation:
    """The messages of a conversation so far, with which the next message is compared.

    count: number of messages.
    """

    count: int = 0
    _recent: deque[_Message] = field(default_factory=lambda: deque(maxlen=REACH))

    def position_features(
        self, role: str, text: str, embedding: Embedding | None, later: Later
    ) -> FloatArray:
        """Features that compare a message with the messages added before it and with the messages
        in `later`.
        """
        message = _Message.from_text(role, text, embedding)
        of_others = [earlier for earlier in self._recent if earlier.machine != message.machine]
        last = self._recent[-1] if self._recent else None
        words_before = frozenset().union(*(earlier.words for earlier in self._recent))
        following = [
            _Message.from_text(later_role, content)
            for later_role, content in later.messages[:AHEAD]
        ]
        words_after = frozenset().union(*(after.words for after in following))
        features = [
            max((_cosine(earlier, message) for earlier in self._recent), default=0),
            max((_cosine(earlier, message) for earlier in of_others), default=0),
            max((_repeated(message, earlier.words) for earlier in self._recent), default=0),
            _repeated(message, words_before),
            bool(of_others) and of_others[-1].asks,
            min(self.count, 10) / 10,
            *_neighbour(message, last),
            np.log((message.size + 5) / (later.typical + 5)),
            *_neighbour(message, following[0] if following else None),
            _repeated(message, words_after),
            min(later.count + 1, 10) / 10,
        ]
        return np.array(features, dtype=np.float32)

    def add(self, role: str, text: str, embedding: Embedding | None) -> None:
        """Add a message, so that later messages are compared with it."""
        self._recent.append(_Message.from_text(role, text, embedding))
        self.count += 1

    @property
    def asks(self) -> bool:
        """Whether the last message contains a question mark."""
        return bool(self._recent) and self._recent[-1].asks


def _neighbour(message: _Message, other: _Message | None) -> Sequence[float]:
    """Features that compare `message` with `other`, the message right before or after it; None if
    there is none.
    """
    if other is None:
        return [1, 0, 0, 0, 0, 0, 0, 0]
    same_role = other.machine == message.machine
    shared = [_repeated(message, other.words), _repeated(other, message.words)]
    return [
        0,
        same_role,
        other.machine,
        other.asks,
        min(other.size, 300) / 300,
        *shared,
        len(other.words) < 5,
    ]


def _cosine(first: _Message, second: _Message) -> float:
    return 0.0 if first.dense is None or second.dense is None else float(first.dense @ second.dense)


def _repeated(message: _Message, words: frozenset[str]) -> float:
    """The share of the message's distinct words that are in `words`."""
    return len(message.words & words) / max(1, len(message.words))

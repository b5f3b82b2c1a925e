"""The intent of a query: what it asks for, by a trained model; and whether it asks about now or the
past, by rules.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

import numpy as np

from memtypes.linear_model import FloatArray, LinearModel, hashed
from memtypes.model.policy import MemoryType
from memtypes.search.vectors import DenseVector
from memtypes.words import read_words


class Wish(StrEnum):
    """A kind of thing that a query asks for.

    TASKS, FINISHED, PROCEDURES, FACTS, EVENTS: an overview of open tasks, of finished ones, or of
    all memories of a type. TASKS_ABOUT: the open tasks about a thing or person. CONTINUE: to go on
    with what was talked about last. DONE: whether something was done. HOW_TO: how something is
    done. OTHER: anything else.
    """

    TASKS = "tasks"
    TASKS_ABOUT = "tasks_about"
    CONTINUE = "continue"
    FINISHED = "finished"
    DONE = "done"
    HOW_TO = "how_to"
    PROCEDURES = "procedures"
    FACTS = "facts"
    EVENTS = "events"
    OTHER = "other"


OVERVIEW_TYPES = {
    Wish.TASKS: MemoryType.PROSPECTIVE,
    Wish.FINISHED: MemoryType.PROSPECTIVE,
    Wish.PROCEDURES: MemoryType.PROCEDURAL,
    Wish.FACTS: MemoryType.SEMANTIC,
    Wish.EVENTS: MemoryType.EPISODIC,
}
"""The memory types of which queries for an overview ask for all memories."""

NEWEST = (Wish.EVENTS, Wish.FINISHED, Wish.CONTINUE)
"""Wishes that ask for the newest memories of their type, or of all types, or for those of the time
that the query names.
"""

_ABOUT_TASKS = (Wish.TASKS, Wish.TASKS_ABOUT, Wish.FINISHED, Wish.CONTINUE)
"""Wishes that are taken for each other: a context for any of them has tasks."""

_MIN_TASKS = 0.5
"""Minimum probability that a query asks for one of _ABOUT_TASKS: of 183 questions of unseen authors
that ask for something else, four are taken for one.
"""
_MIN_PROBABILITY = 0.4
_BUCKETS = 8_192
_MAX_CHARACTERS = 1_000
# Japanese has no blanks: each of its characters is a word
_WORD = re.compile(r"[^\W\u3040-\u30ff\u4e00-\u9fff]+|\w")

_LATEST = re.compile(
    (
        r"\b(latest|newest|most recent(ly)?|currently|right now|these days|nowadays|as of "
        r"(now|today)|up[- ]to[- ]date)\b"
    ),
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"\b(what|which|when|where|who|whom|whose|how (many|much|old|long|often|far|do|does|is|are))\b"
    r"|^\W*(do|does|is|are|am|can|should)\b"
    # the same interrogatives in German, French, Spanish, Italian and Portuguese
    r"|\b(wer|wen|wem|was|wann|wo|wohin|woher|welche[mnrs]?|wie ?viele?)\b"
    r"|\b(qui|que|quoi|où|quand|combien|quel(le)?s?)\b"
    r"|\b(quién(es)?|qué|dónde|cuándo|cuál(es)?|cuánt[oa]s?)\b"
    r"|\b(chi|cosa|dove|quando|qual[ei]?|quant[oaie])\b"
    r"|\b(quem|onde|quais|quant[oa]s)\b",
    re.IGNORECASE,
)
_WHY = re.compile(r"\bwhy\b", re.IGNORECASE)
_PAST = re.compile(
    r"\b(did|was|were|had|first|originally|initially|between|passed|ago|"
    r"sequence|summar\w*|over time|order (in|of)|(what|which|chronological) order|throughout|"
    r"progress\w*|evolv\w*|across|different)\b",
    re.IGNORECASE,
)

_FORMER = re.compile(
    r"\bbefore\W*$|\b(previous(ly)?|former(ly)?|prior|earlier|original(ly)?|initially|at "
    r"first|back then|used to)\b"
    r"|(?<!\bhow )\bold\b|\b(what|which|where|who|whose|how "
    r"(many|much|often|far))\b.*\b(was|were)\b",
    re.IGNORECASE,
)


def wish_of(query: str, vector: DenseVector | None, encoder: str) -> Wish:
    """The wish that a trained model finds most likely for `query`. encoder: fingerprint of the
    embedder of `vector`.

    An overview of a type needs a probability of _MIN_PROBABILITY, one of _ABOUT_TASKS together
    _MIN_TASKS. Returns OTHER if there is no vector, or if the model was not trained on vectors of
    this encoder.
    """
    model = _model()
    if vector is None or not model.knows(encoder):
        return Wish.OTHER
    probabilities = model.probabilities(features(query, vector)[np.newaxis])[0]
    best = Wish(model.classes[int(probabilities.argmax())])
    if best in _ABOUT_TASKS and best is not Wish.FINISHED:
        about_tasks = [Wish(name) in _ABOUT_TASKS for name in model.classes]
        return best if probabilities[about_tasks].sum() >= _MIN_TASKS else Wish.OTHER
    of_type = [OVERVIEW_TYPES.get(Wish(name)) is OVERVIEW_TYPES.get(best) for name in model.classes]
    return (
        Wish.OTHER
        if best in OVERVIEW_TYPES and probabilities[of_type].sum() < _MIN_PROBABILITY
        else best
    )


def recognises_wishes(encoder: str) -> bool:
    """Whether `wish_of` can judge vectors of the embedder with the fingerprint `encoder`."""
    return _model().knows(encoder)


def features(query: str, vector: DenseVector) -> FloatArray:
    """Features for the model of wishes: the query's vector, and hashed words, word pairs and
    character n-grams.

    Only the first 1,000 characters are hashed. The n-grams have 3 to 5 characters; forms of a word
    share most of them.
    """
    words = ["^", *_WORD.findall(query[:_MAX_CHARACTERS].lower()), "$"]
    text = f" {' '.join(words[1:-1])} "
    word_pairs = (f"{first} {second}" for first, second in pairwise(words))
    ngrams = (
        f"/{text[start : start + size]}"
        for size in (3, 4, 5)
        for start in range(len(text) - size + 1)
    )
    terms = [*words[1:-1], *word_pairs, *ngrams]
    return np.concatenate([vector, 2 * hashed(terms, _BUCKETS)]).astype(np.float32)


@lru_cache(maxsize=1)
def _model() -> LinearModel:
    return LinearModel.load("retrieval.query", "wishes.npz")


def asks_for_latest(query: str) -> bool:
    """Whether `query` has words that ask for the present state of things, such as "latest" or
    "currently".
    """
    return _LATEST.search(query) is not None


def asks_for_value(query: str) -> bool:
    """Whether `query` asks for a present name, number, time or place, as "Where does Ann work?"
    does.
    """
    return _VALUE.search(query) is not None and not (asks_about_past(query) or _WHY.search(query))


def asks_about_past(query: str) -> bool:
    """Whether `query` asks about the past or a change over time, so that updates are not
    preferred. The words that tell so are English: the German "was" is no past tense.
    """
    is_english = read_words(query).language.name == "en"
    return (is_english and _PAST.search(query) is not None) or asks_for_former(query)


def asks_for_former(query: str) -> bool:
    """Whether `query` asks for a value that held earlier, as "What was the limit before?" does."""
    return _FORMER.search(query) is not None

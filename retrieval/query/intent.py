"""What a query asks for: tasks, what was done, how-tos, by a trained model; the latest or a present value, by rules."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

import numpy as np

from memtypes.linear_model import FloatArray, LinearModel, hashed
from memtypes.search.vectors import DenseVector


class Wish(StrEnum):
    """What a query asks for: open tasks, whether something was done, how something is done, or anything else."""

    TASKS = "tasks"
    DONE = "done"
    HOW_TO = "how_to"
    OTHER = "other"


_BUCKETS = 512
_WORD = re.compile(r"\w+")

_LATEST = re.compile(
    r"\b(latest|newest|most recent(ly)?|currently|right now|these days|nowadays|as of (now|today)|up[- ]to[- ]date)\b",
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
    r"\b(did|was|were|had|first|originally|initially|before|after|between|passed|ago|sequence|summar\w*|over time"
    r"|order (in|of)|(what|which|chronological) order|throughout|progress\w*|evolv\w*|across|different)\b",
    re.IGNORECASE,
)

_FORMER = re.compile(
    r"\bbefore\W*$|\b(previous(ly)?|former(ly)?|prior|earlier|original(ly)?|initially|at first|back then|used to)\b"
    r"|(?<!\bhow )\bold\b|\b(what|which|where|who|whose|how (many|much|often|far))\b.*\b(was|were)\b",
    re.IGNORECASE,
)


def wish_of(query: str, vector: DenseVector | None) -> Wish:
    """Whether `query` asks for tasks, whether or how something is done, or for anything else, by a trained model.

    Returns OTHER if there is no vector, or if it is from an encoder for which the model was not trained.
    """
    model = _model()
    if vector is None or len(vector) + _BUCKETS != model.weights.shape[1]:
        return Wish.OTHER
    best = int(model.probabilities(features(query, vector)[np.newaxis])[0].argmax())
    return Wish(model.classes[best])


def features(query: str, vector: DenseVector) -> FloatArray:
    """Features that tell a model what a query asks for: its vector, and counts of hashed words and word pairs."""
    words = ["^", *_WORD.findall(query.lower()), "$"]
    terms = [*words[1:-1], *(f"{first} {second}" for first, second in pairwise(words))]
    return np.concatenate([vector, hashed(terms, _BUCKETS)]).astype(np.float32)


@lru_cache(maxsize=1)
def _model() -> LinearModel:
    return LinearModel.load("retrieval.query", "wishes.npz")


def asks_for_latest(query: str) -> bool:
    """Whether `query` has words that ask for the present state of things, such as "latest" or "currently"."""
    return _LATEST.search(query) is not None


def asks_for_value(query: str) -> bool:
    """Whether `query` asks for a present name, number, time or place, as "Where does Ann work?" does."""
    return _VALUE.search(query) is not None and not (asks_about_past(query) or _WHY.search(query))


def asks_about_past(query: str) -> bool:
    """Whether `query` asks about the past or a development, so that the newest memory need not come first."""
    return _PAST.search(query) is not None or asks_for_former(query)


def asks_for_former(query: str) -> bool:
    """Whether `query` asks for a value that held earlier, as "What was the limit before?" does."""
    return _FORMER.search(query) is not None

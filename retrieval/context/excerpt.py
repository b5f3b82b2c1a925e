"""The sentences of a long text that matter to a query, in reading order."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

GAP = " … "
"""Marks sentences that were left out."""

NEIGHBOUR = 0.5
"""Part of its better neighbour's weight that a sentence gains: an answer often follows the words of its question."""

STEM = 5
"""Letters by which words are compared, so that endings do not matter."""

MAX_MISSES = 8
"""Sentences that may fail to fit before the search ends: each attempt costs a token count."""

_BOUNDARY = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"\w+")


def split_sentences(text: str) -> list[str]:
    """The sentences and lines of `text`, without blank ones."""
    return [sentence.strip() for sentence in _BOUNDARY.split(text) if sentence.strip()]


def excerpt(text: str, query: str, fits: Callable[[str], bool]) -> str | None:
    """The best sentences of `text` for `query` that fit together, in reading order; None when not even one fits."""
    sentences = split_sentences(text)
    weights = _weights(sentences, query)
    chosen: list[int] = []
    misses = 0
    for index in sorted(range(len(sentences)), key=lambda index: (-weights[index], index)):
        if fits(_joined(sentences, sorted([*chosen, index]))):
            chosen.append(index)
        else:
            misses += 1
        if misses == MAX_MISSES:
            break
    return _joined(sentences, sorted(chosen)) if chosen else None


def _weights(sentences: Sequence[str], query: str) -> list[float]:
    """Weight of each sentence: the summed IDF, within the text, of the query's words that it contains."""
    stems = [_stems(sentence) for sentence in sentences]
    wanted = _stems(query)
    frequencies = {stem: sum(stem in sentence for sentence in stems) for stem in wanted}
    idf = {stem: math.log(1 + len(sentences) / count) for stem, count in frequencies.items() if count}
    weights = [sum(idf[stem] for stem in sorted(sentence & idf.keys())) for sentence in stems]
    padded = [0.0, *weights, 0.0]
    return [weight + NEIGHBOUR * max(padded[index], padded[index + 2]) for index, weight in enumerate(weights)]


def _stems(text: str) -> set[str]:
    return {word[:STEM] for word in _WORD.findall(text.lower()) if len(word) > 2}


def _joined(sentences: Sequence[str], chosen: Sequence[int]) -> str:
    parts: list[str] = []
    last = -1
    for index in chosen:
        parts.append((GAP if index > last + 1 else " " if parts else "") + sentences[index])
        last = index
    ending = GAP.rstrip() if chosen and chosen[-1] + 1 < len(sentences) else ""
    return "".join(parts).strip() + ending

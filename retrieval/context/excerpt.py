"""The passages of a long text that matter to a query, in reading order: a function of values, it knows no tokenizer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

GAP = " … "
"""Stands where sentences were left out."""

NEIGHBOUR = 0.5
"""What a sentence gains from the better of the two beside it: an answer often follows the words of its question."""

STEM = 5
"""Letters by which words are compared: enough to tell words apart, few enough that endings do not matter."""

_BETWEEN = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"\w+")


def sentences(text: str) -> list[str]:
    """`text` in sentences and lines, without blank ones."""
    return [one.strip() for one in _BETWEEN.split(text) if one.strip()]


def excerpt(text: str, query: str, fits: Callable[[str], bool]) -> str | None:
    """The best sentences of `text` for `query` that together fit, in reading order; None when not even one does."""
    found = sentences(text)
    weights = _weights(found, query)
    kept: list[int] = []
    misses = 0
    for index in sorted(range(len(found)), key=lambda one: (-weights[one], one)):
        if fits(_joined(found, sorted([*kept, index]))):
            kept.append(index)
        else:
            misses += 1
        if misses == MISSES:
            break
    return _joined(found, sorted(kept)) if kept else None


MISSES = 8
"""Sentences that did not fit after which no more are tried: each costs a count."""


def _weights(found: Sequence[str], query: str) -> list[float]:
    """What each sentence says of the query: the IDF, within the text, of the query's words that it has."""
    stems = [_stems(one) for one in found]
    wanted = _stems(query)
    holding = {stem: sum(stem in one for one in stems) for stem in wanted}
    rarity = {stem: math.log(1 + len(found) / count) for stem, count in holding.items() if count}
    own = [sum(rarity[stem] for stem in sorted(one & rarity.keys())) for one in stems]
    padded = [0.0, *own, 0.0]
    return [score + NEIGHBOUR * max(padded[place], padded[place + 2]) for place, score in enumerate(own)]


def _stems(text: str) -> set[str]:
    return {word[:STEM] for word in _WORD.findall(text.lower()) if len(word) > 2}


def _joined(found: Sequence[str], kept: Sequence[int]) -> str:
    parts: list[str] = []
    last = -1
    for index in kept:
        parts.append((GAP if index > last + 1 else " " if parts else "") + found[index])
        last = index
    ending = GAP.rstrip() if kept and kept[-1] + 1 < len(found) else ""
    return "".join(parts).strip() + ending

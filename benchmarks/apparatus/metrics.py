"""Figures of a ranking, and how sure they are: pure functions of values.

Knows neither stores nor files. Relevance is binary: an id is evidence or it is not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2_000
"""Bootstrap samples: enough that the ends of an interval repeat to about 0.002."""

_WORD = re.compile(r"\w+")
_SEED = 20_261_121
_Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the two ends of its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def recall_at(ranking: Sequence[str], evidence: Collection[str], k: int) -> float:
    """Share of the evidence among the first `k`, 0..1. Raises ValueError without evidence."""
    wanted = _distinct(evidence)
    return len(wanted.intersection(ranking[:k])) / len(wanted)


def hit_at(ranking: Sequence[str], evidence: Collection[str], k: int) -> float:
    """1.0 when any evidence is among the first `k`, else 0.0. Raises ValueError without evidence."""
    return float(not _distinct(evidence).isdisjoint(ranking[:k]))


def all_at(ranking: Sequence[str], evidence: Collection[str], k: int) -> float:
    """1.0 when all evidence is among the first `k`, else 0.0. Raises ValueError without evidence."""
    return float(_distinct(evidence).issubset(ranking[:k]))


def reciprocal_rank(ranking: Sequence[str], evidence: Collection[str]) -> float:
    """1 / rank of the first evidence; 0.0 when there is none in `ranking`. Raises ValueError without evidence."""
    wanted = _distinct(evidence)
    return next((1.0 / rank for rank, found in enumerate(ranking, start=1) if found in wanted), 0.0)


def ndcg_at(ranking: Sequence[str], evidence: Collection[str], k: int) -> float:
    """Discounted gain of the first `k` over that of the best ranking, 0..1. Raises ValueError without evidence.

    Gain 1 for evidence, discount 1 / log2(rank + 1) (Järvelin and Kekäläinen, 2002). An id counts where it is first.
    """
    wanted = set(_distinct(evidence))
    ideal = sum(_discount(rank) for rank in range(1, min(k, len(wanted)) + 1))
    gained = 0.0
    for rank, found in enumerate(ranking[:k], start=1):
        if found in wanted:
            wanted.discard(found)
            gained += _discount(rank)
    return gained / ideal if ideal else 0.0


def bootstrap(values: Sequence[float], *, resamples: int = RESAMPLES) -> Interval:
    """The mean of `values` with its percentile bootstrap interval; the same values give the same ends.

    Resamples the values as if they were independent: queries on one conversation are not quite.
    Raises ValueError without values.
    """
    if not values:
        raise ValueError("a mean needs at least one value")
    sample = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(_SEED)
    means = np.array([sample[rng.integers(0, sample.size, sample.size)].mean() for _ in range(resamples)])
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(sample.mean()), float(low), float(high))


def wilson(successes: int, trials: int) -> Interval:
    """The share of successes with Wilson's score interval. Raises ValueError when there were no trials."""
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError("needs 0 <= successes <= trials and at least one trial")
    share = successes / trials
    scale = 1.0 / (1.0 + _Z**2 / trials)
    centre = scale * (share + _Z**2 / (2 * trials))
    reach = scale * _Z * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    return Interval(share, max(0.0, centre - reach), min(1.0, centre + reach))


def percentile(values: Sequence[float], share: float) -> float:
    """The least of `values` that at least `share` of them do not exceed (nearest rank).

    Raises ValueError without values.
    """
    if not values or not 0.0 < share <= 1.0:
        raise ValueError("needs values and a share above 0 and up to 1")
    ordered = sorted(values)
    return ordered[max(1, math.ceil(share * len(ordered) - 1e-9)) - 1]


def kept_share(original: str, shown: str) -> float:
    """How many of the words of `original` `shown` begins with, as a share, 0..1; a blank original is kept whole."""
    words, remaining = original.split(), shown.split()
    if not words:
        return 1.0
    kept = 0
    for word, other in zip(words, remaining, strict=False):
        if word != other:
            break
        kept += 1
    return kept / len(words)


def answer_share(original: str, shown: str, answer: str) -> float:
    """How many of the answer's words that `original` has `shown` has too, as a share, 0..1.

    Of an answer that shares no word with `original`, or of none, every word of `original` counts.
    """
    had = words(original)
    wanted = had & words(answer) or had
    return len(wanted & words(shown)) / len(wanted) if wanted else 1.0


def words(text: str) -> frozenset[str]:
    """The distinct words of `text`, without regard to case."""
    return frozenset(_WORD.findall(text.casefold()))


def _discount(rank: int) -> float:
    return 1.0 / math.log2(rank + 1)


def _distinct(evidence: Collection[str]) -> frozenset[str]:
    if not evidence:
        raise ValueError("a query without evidence has no recall")
    return frozenset(evidence)

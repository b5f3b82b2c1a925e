"""Ranking metrics, percentiles, confidence intervals and paired tests, as pure functions.

Relevance is binary: a memory id is evidence or it is not.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2_000
"""Number of bootstrap samples: with other random seeds the ends of an interval differ by about
0.002.
"""

FLIPS = 10_000
"""Number of random sign changes: with other random seeds a p-value of .05 differs by about .004."""

_SEED = 20_261_121
_FLIPS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """The mean and the interval with three decimals: `0.812 [0.790-0.833]`."""
        return f"{self.mean:.3f} [{self.low:.3f}-{self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Comparison of recall at 10 (R@10) of the same `n` questions in two rankings.

    before, after: mean R@10. difference: mean gain from before to after. p: two-sided p-value of a
    sign-flip test.
    """

    n: int
    before: float
    after: float
    difference: Interval
    p: float


def recall_at(ranking: Sequence[str], evidence: Collection[str], k: int) -> float:
    """Share of the evidence among the first `k` ids of the ranking, 0..1. Raises ValueError if
    `evidence` is empty.
    """
    relevant = _distinct(evidence)
    return len(relevant.intersection(ranking[:k])) / len(relevant)


def hit_at(ranking: Sequence[str], evidence: Collection[str], k: int) -> float:
    """1.0 if any evidence is among the first `k` ids of the ranking, else 0.0. Raises ValueError
    without evidence.
    """
    return float(not _distinct(evidence).isdisjoint(ranking[:k]))


def reciprocal_rank(ranking: Sequence[str], evidence: Collection[str]) -> float:
    """1 / rank of the first evidence in the ranking; 0.0 if it has none. Raises ValueError without
    evidence.
    """
    relevant = _distinct(evidence)
    return next((1.0 / rank for rank, name in enumerate(ranking, start=1) if name in relevant), 0.0)


def ndcg_at(ranking: Sequence[str], evidence: Collection[str], k: int) -> float:
    """Normalised discounted cumulative gain of the first `k` ids, 0..1. Raises ValueError without
    evidence.

    Gain 1 for evidence, discount 1 / log2(rank + 1) (Järvelin and Kekäläinen, 2002). A repeated id
    counts once.
    """
    relevant = set(_distinct(evidence))
    ideal = sum(_discount(rank) for rank in range(1, min(k, len(relevant)) + 1))
    gained = 0.0
    for rank, name in enumerate(ranking[:k], start=1):
        if name in relevant:
            relevant.discard(name)
            gained += _discount(rank)
    return gained / ideal if ideal else 0.0


def bootstrap(values: Sequence[float], *, resamples: int = RESAMPLES) -> Interval:
    """Mean of `values` with its 95 % confidence interval, by percentile bootstrap with a fixed
    seed.

    The values count as independent, though questions on one conversation are not. Raises ValueError
    without values.
    """
    if not values:
        raise ValueError("a mean needs at least one value")
    sample = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(_SEED)
    means = [sample[rng.integers(0, sample.size, sample.size)].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(sample.mean()), float(low), float(high))


def percentile(values: Sequence[float], share: float) -> float:
    """Percentile by nearest rank: the smallest value that at least the share `share` of all values
    does not exceed.

    Raises ValueError if `values` is empty or `share` is outside of (0, 1].
    """
    if not values or not 0.0 < share <= 1.0:
        raise ValueError("needs values and a share above 0 and up to 1")
    ordered = sorted(values)
    return ordered[max(1, math.ceil(share * len(ordered) - 1e-9)) - 1]


def percentiles(
    values: Sequence[float], shares: Sequence[float] = (0.5, 0.95, 0.99)
) -> dict[str, float]:
    """Percentiles of `values` by name, such as "p50" for 0.5 in `shares`."""
    return {f"p{round(share * 100)}": percentile(values, share) for share in shares}


def paired_test(pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> PairedTest:
    """Test whether a change altered recall at 10. pairs: for each question, its metrics by name
    before and after.
    """
    before, after = (
        [metrics["R@10"] for metrics in ranking] for ranking in zip(*pairs, strict=True)
    )
    gains = [b - a for a, b in zip(before, after, strict=True)]
    return PairedTest(
        len(pairs),
        statistics.fmean(before),
        statistics.fmean(after),
        bootstrap(gains),
        sign_flip(gains),
    )


def sign_flip(differences: Sequence[float]) -> float:
    """Two-sided p-value of the mean of `differences`, by Fisher's permutation test, which flips
    signs at random.
    """
    changed = np.array(
        [difference for difference in differences if difference != 0.0], dtype=np.float64
    )
    if not changed.size:
        return 1.0
    observed = abs(changed.sum())
    rng = np.random.default_rng(_SEED)
    extreme = 0
    for _ in range(FLIPS // _FLIPS_AT_ONCE):
        signs = rng.integers(0, 2, size=(_FLIPS_AT_ONCE, changed.size)) * 2 - 1
        extreme += int(np.count_nonzero(np.abs(signs @ changed) >= observed - 1e-9))
    return (1 + extreme) / (1 + FLIPS)


def _discount(rank: int) -> float:
    return 1.0 / math.log2(rank + 1)


def _distinct(evidence: Collection[str]) -> frozenset[str]:
    if not evidence:
        raise ValueError("a query without evidence has no recall")
    return frozenset(evidence)

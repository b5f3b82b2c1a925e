"""Two ways of ranking the same questions, compared question by question: pure functions of values.

Knows figures of rankings by name, and not where they come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.apparatus.metrics import Interval, bootstrap

FLIPS = 10_000
"""Random sign changes: a chance of .05 repeats to about .004."""

_SEED = 20_261_121
_PORTION = 500
"""Sign changes at once: bounds the memory that many questions take."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Recall at 10 both ways. difference: second less first. chances: that so much would show between equals."""

    n: int
    first: float
    second: float
    difference: Interval
    recall_chance: float
    hit_chance: float


def compare(first: Sequence[Mapping[str, float]], second: Sequence[Mapping[str, float]]) -> Paired:
    """How `second` differs from `first`, both in the order of the questions. Raises ValueError for unequal lengths."""
    gains = [after["R@10"] - before["R@10"] for before, after in zip(first, second, strict=True)]
    hits = [(before["hit@10"] > 0, after["hit@10"] > 0) for before, after in zip(first, second, strict=True)]
    return Paired(
        n=len(gains),
        first=_mean(first),
        second=_mean(second),
        difference=bootstrap(gains),
        recall_chance=sign_flip(gains),
        hit_chance=mcnemar(hits.count((True, False)), hits.count((False, True))),
    )


def mcnemar(lost: int, won: int) -> float:
    """The exact two-sided chance of such a split of the questions that only one way hits, were both ways equal.

    McNemar (1947), by the binomial distribution: no approximation for few questions.
    """
    if lost < 0 or won < 0:
        raise ValueError("counts are 0 or more")
    changed = lost + won
    tail = sum(math.comb(changed, fewer) for fewer in range(min(lost, won) + 1))
    return min(1.0, float(2 * tail / (1 << changed)))


def sign_flip(differences: Sequence[float]) -> float:
    """The two-sided chance of a mean at least as far from 0, were the sign of each difference a coin's (Fisher, 1935).

    By FLIPS random sign changes, the same each time; what was observed counts as one of them.
    """
    changed = np.array([one for one in differences if one != 0.0], dtype=np.float64)
    if not changed.size:
        return 1.0
    observed = abs(float(changed.sum()))
    rng = np.random.default_rng(_SEED)
    as_far = sum(_as_far(changed, observed, rng) for _ in range(FLIPS // _PORTION))
    return float(1 + as_far) / (1 + FLIPS)


def _as_far(changed: NDArray[np.float64], observed: float, rng: np.random.Generator) -> int:
    signs = rng.integers(0, 2, size=(_PORTION, changed.size)) * 2 - 1
    return int(np.count_nonzero(np.abs(signs @ changed) >= observed - 1e-9))


def _mean(figures: Sequence[Mapping[str, float]]) -> float:
    return sum(one["R@10"] for one in figures) / len(figures)

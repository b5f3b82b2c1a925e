"""Similarity: the dense and the sparse score of each candidate as one number in [0, 1].

Knows scores only, not what they were taken from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DENSE_SHARE = 0.5
"""Half each: the best fixed mix on conversations, facts and how-tos alike (see benchmarks/LOG.md)."""


def stretched(scores: NDArray[np.float64], floor: float | None = None) -> NDArray[np.float64]:
    """`scores` moved to [0, 1]: 1 for the best, 0 for `floor` or, without one, for the worst.

    All candidates of a query are stretched together, whatever their type, so a type whose best is far off stays far
    off. Where there is nothing to tell apart, each is its own measure, clipped to [0, 1].
    """
    if scores.size == 0:
        return scores
    low = float(scores.min()) if floor is None else floor
    high = float(scores.max())
    if high - low <= 1e-9:
        return np.clip(scores, 0.0, 1.0)
    return np.clip((scores - low) / (high - low), 0.0, 1.0)


def similarity(dense: NDArray[np.float64] | None, sparse: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """The similarity of each candidate, shape (candidates,), in [0, 1].

    dense: cosines; sparse: BM25 scores, 0 where no term matches; None for a leg that was not searched, whose share the
    other one takes. A convex combination of stretched scores, as in Bruch, Gai and Ingber, "An Analysis of Fusion
    Functions for Hybrid Retrieval" (2023).
    """
    if dense is None and sparse is None:
        raise ValueError("similarity needs the scores of at least one leg")
    if dense is None or sparse is None:
        return stretched(dense) if dense is not None else stretched(sparse, floor=0.0)  # type: ignore[arg-type]
    if not sparse.any():  # no term of the query is known: the sparse leg says nothing
        return stretched(dense)
    return DENSE_SHARE * stretched(dense) + (1.0 - DENSE_SHARE) * stretched(sparse, floor=0.0)

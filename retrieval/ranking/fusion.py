"""Similarity: the dense, the sparse and the late score of each candidate as one number in [0, 1].

Knows scores only, not what they were taken from.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Shares(NamedTuple):
    """What each score counts."""

    dense: float
    sparse: float
    late: float


SHARES = Shares(dense=0.2, sparse=0.3, late=0.5)
SHARES_OF_TWO = Shares(dense=0.5, sparse=0.5, late=0.0)
"""Without late interaction. Both are the best fixed mix on conversations, facts and how-tos alike (see the log)."""


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


def similarity(
    dense: NDArray[np.float64] | None, sparse: NDArray[np.float64] | None, late: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """The similarity of each candidate, shape (candidates,), in [0, 1].

    dense: cosines; sparse: BM25 scores, 0 where no term matches; late: late interaction's, 0 where unknown. None stands
    for what was not searched, whose share the others take. A convex combination of stretched scores, as in Bruch, Gai
    and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval" (2023).
    """
    parts: list[tuple[float, NDArray[np.float64]]] = []
    shares = SHARES if late is not None else SHARES_OF_TWO
    if dense is not None:
        parts.append((shares.dense, stretched(dense)))
    if sparse is not None and (sparse.any() or not parts):  # else no term of the query is known: it says nothing
        parts.append((shares.sparse, stretched(sparse, floor=0.0)))
    if late is not None:
        known = late[late > 0]
        parts.append((shares.late, stretched(late, floor=float(known.min()) if known.size else None)))
    if not parts:
        raise ValueError("similarity needs the scores of at least one leg")
    return _mixed(parts)


def _mixed(parts: list[tuple[float, NDArray[np.float64]]]) -> NDArray[np.float64]:
    """The sum of the scores by their shares, which are scaled to sum to 1."""
    shares = np.array([share for share, _ in parts])
    mixed: NDArray[np.float64] = (shares / shares.sum()) @ np.vstack([scores for _, scores in parts])
    return mixed

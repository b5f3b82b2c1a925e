"""Late interaction's raw scores: for every token of a query its best cosine in each memory (MaxSim, as in ColBERT).

The sum over the query's tokens is the ranking's business: it weighs them by what the whole pool shows.
Khattab and Zaharia, "ColBERT: Efficient and Effective Passage Search via Contextualized Late Interaction" (2020).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memtypes.search.vectors import TokenVectors

Maxima = NDArray[np.float32]
"""Shape (memories, tokens of the query): cosines, -1..1; NaN in the row of a memory without token vectors."""

_UNIT = 127.0


def maxima(query: TokenVectors, memories: Sequence[TokenVectors | None]) -> Maxima:
    """The best cosine of each query token with any token of each memory."""
    best = np.full((len(memories), len(query)), np.nan, dtype=np.float32)
    rows = [index for index, tokens in enumerate(memories) if tokens is not None and len(tokens)]
    if not rows or not len(query):
        return best
    kept: list[TokenVectors] = [tokens for tokens in memories if tokens is not None and len(tokens)]
    starts = np.cumsum([0, *map(len, kept)])[:-1]
    cosines = np.concatenate(kept).astype(np.float32) @ (query.astype(np.float32) / _UNIT**2).T
    best[rows] = np.maximum.reduceat(cosines, starts, axis=0)
    return best

"""Late interaction: how well each token of the query is met somewhere in a memory, as one number a candidate.

Knows the best cosines that the store gives (see `Candidate.late`), not the texts. Every constant was chosen on
conversations, facts, how-tos and long messages together, where each has a broad optimum (see benchmarks/LOG.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memtypes.search.candidates import Candidates
from retrieval.ranking.neighbours import Neighbours

SHARPNESS = 2.0
"""A cosine of 0.9 says more than twice as much as one of 0.45."""

RARITY = 1.5
"""How much more a query token counts that only few candidates meet well; IDF, read off the pool itself."""

NEXT, TWO_AWAY, IN_SESSION = 0.8, 0.5, 0.35
"""What a match counts that stands in the neighbouring turn, in the one after that, or elsewhere in the session: an
answer often omits what was asked, and what the talk is about is said once."""

UNMET = 0.05
"""What a token counts that is met nowhere. The tokens' matches are multiplied, so that a memory which meets all of them
half is over one which meets half of them well; this keeps a single token from undoing all others."""


def late_similarity(found: Candidates, near: Neighbours) -> NDArray[np.float64] | None:
    """The score of each candidate, 0 and up, shape (candidates,); None when the store gave no token scores."""
    if found.late is None:
        return None
    known = np.isfinite(found.late[:, 0])
    if not known.any():
        return None
    met = np.maximum(found.late.astype(np.float64), 0.0)
    if not known.all():
        met[~known] = 0.0
    weights = token_weights(met if known.all() else met[known])
    shares = near.widened(met**SHARPNESS, NEXT, TWO_AWAY, IN_SESSION)
    shares = (shares + UNMET) / (1.0 + UNMET)
    scores = np.exp(np.log(shares, out=shares) @ weights)
    return np.where(known, scores, 0.0)


def token_weights(met: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight of each query token, summing to 1. met: best cosines, shape (candidates, tokens).

    A token that every candidate meets alike tells nothing apart; one that stands out in few is what is sought.
    """
    spread = np.maximum(met.max(axis=0) - met.mean(axis=0), 0.0) ** RARITY  # a mean of equals may be rounded up
    total = float(spread.sum())
    if total <= 1e-9:
        return np.full(met.shape[1], 1.0 / met.shape[1])
    weights: NDArray[np.float64] = spread / total
    return weights

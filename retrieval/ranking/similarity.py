"""Similarity of candidates to the query: dense, sparse and late-interaction scores, fused into one number in [0, 1].

The constants were chosen on conversations, facts, how-tos and long messages together; each has a broad optimum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtypes.search.candidates import Candidates
from memtypes.search.vectors import KEPT, NUMBERS, Numbers
from retrieval.ranking.neighbours import Neighbours


class LegShares(NamedTuple):
    """Weight of each kind of search (dense, sparse, late interaction) in the fused similarity, if all were made."""

    dense: float
    sparse: float
    late: float


SHARES = LegShares(dense=0.3, sparse=0.3, late=0.4)

ENCODED = 256
"""Tokens at the beginning of a text that the default encoder reads. Keyword search reads all of it."""

SHARPNESS = 2.0
"""Exponent applied to token cosines, so that 0.9 counts more than twice as much as 0.45."""

RARITY = 1.5
"""Exponent applied to a query token's IDF, which is estimated from the candidates."""

NEXT, TWO_AWAY, IN_SESSION = 0.8, 0.5, 0.4
"""Weights of a token match in a direct neighbour, in a turn two places away, and elsewhere in the session: an answer
often omits the words of its question, and the topic of a talk is named once."""

UNRELATED_DENSE, UNRELATED_LATE = 0.0, 0.1
"""Usual scores of the worst of many candidates, by the default encoder: they are normalised to 0. With few candidates
even the worst may be a good match; then its own score is not taken as 0."""

UNMET = 0.05
"""Minimum of a token's match. Matches are multiplied, so that a memory with a fair match of every token beats a memory
with a good match of half the tokens; the minimum keeps one missing token from undoing the others."""


def similarity(
    dense: NDArray[np.float64] | None,
    sparse: NDArray[np.float64] | None,
    late: NDArray[np.float64] | None = None,
    tokens: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Similarity of each candidate to the query, shape (candidates,), in [0, 1].

    dense: cosines. sparse: BM25 scores, 0 where no term matches. late: late-interaction scores, 0 where unknown. Scores
    are None for a search that was not made. tokens: the number of tokens of each text; the similarity of a text that is
    longer than ENCODED is at least the cube of its normalised BM25 score, the only score that counts all its words.

    A convex combination of min-max normalised scores, as in Bruch, Gai and Ingber, "An Analysis of Fusion Functions for
    Hybrid Retrieval" (2023).
    """
    parts: list[tuple[float, NDArray[np.float64]]] = []
    if dense is not None:
        worst = dense.min(initial=UNRELATED_DENSE if late is not None else np.inf)
        parts.append((SHARES.dense, normalised(dense, float(worst))))
    if sparse is not None and (sparse.any() or not parts):  # without any match the leg carries no information
        parts.append((SHARES.sparse, normalised(sparse, 0.0)))
    if late is not None:
        parts.append((SHARES.late, normalised(late, float(late[late > 0].min(initial=UNRELATED_LATE)))))
    if not parts:
        raise ValueError("similarity needs the scores of at least one leg")
    weights = np.array([share for share, _ in parts])
    fused: NDArray[np.float64] = (weights / weights.sum()) @ np.vstack([scores for _, scores in parts])
    if sparse is None or tokens is None:
        return fused
    return np.where(tokens > ENCODED, np.maximum(fused, normalised(sparse, 0.0) ** 3), fused)


def normalised(scores: NDArray[np.float64], low: float) -> NDArray[np.float64]:
    """Scale `scores` to [0, 1], so that `low` becomes 0 and the highest 1; clip them if none is above `low`."""
    high = float(scores.max(initial=-np.inf))
    if high - low <= 1e-9:
        return np.clip(scores, 0.0, 1.0)
    return np.clip((scores - low) / (high - low), 0.0, 1.0)


def late_similarity(candidates: Candidates, neighbours: Neighbours) -> NDArray[np.float64] | None:
    """Late-interaction score of each candidate, not negative, shape (candidates,); None if no token cosines are known.

    Each query token has a best match in the memory itself or, with a lower weight, in turns near it and the rest of its
    session. The score is the weighted geometric mean of these matches.
    """
    if candidates.late is None:
        return None
    known = np.isfinite(candidates.late[:, 0])
    if not known.any():
        return None
    cosines = np.maximum(candidates.late.astype(np.float64), 0.0)
    if not known.all():
        cosines[~known] = 0.0
    weights = token_weights(cosines if known.all() else cosines[known])
    matches = neighbours.widened(cosines**SHARPNESS, NEXT, TWO_AWAY, IN_SESSION)
    matches = (matches + UNMET) / (1.0 + UNMET)
    scores = np.exp(np.log(matches, out=matches) @ weights)
    return np.where(known, scores, 0.0)


def token_weights(cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of each query token, together 1: rare matches weigh more. cosines: shape (candidates, query tokens)."""
    spread = np.maximum(cosines.max(axis=0) - cosines.mean(axis=0), 0.0) ** RARITY  # rounding may raise the mean
    total = float(spread.sum())
    if total <= 1e-9:
        return np.full(cosines.shape[1], 1.0 / cosines.shape[1])
    weights: NDArray[np.float64] = spread / total
    return weights


def occurrences(terms: Numbers, wanted: Numbers) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the first 255 of the `wanted` terms occur: indices of rows of `terms`, and of `wanted`, of equal length.

    terms: a row of terms for each memory, as in the column TERMS; a lookup table is fastest, as few of them are wanted.
    """
    slot_of = np.zeros(NUMBERS, dtype=np.uint8)  # 0 for every other term
    slot_of[wanted[:255]] = np.arange(1, len(wanted[:255]) + 1)
    slot_of[0] = 0  # fills the rows of short memories
    slots = slot_of.take(terms).ravel()
    places = np.flatnonzero(slots != 0)
    return places // KEPT, slots[places].astype(np.intp) - 1


def idf(frequencies: NDArray[np.intp], documents: int) -> NDArray[np.float64]:
    """The inverse document frequencies of terms that occur in `frequencies` of so many `documents`, as in BM25."""
    weights: NDArray[np.float64] = np.log1p((documents - frequencies + 0.5) / (frequencies + 0.5))
    return weights

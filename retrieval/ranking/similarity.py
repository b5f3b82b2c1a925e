"""Similarity of candidates to the query: dense, sparse and late-interaction scores, fused into one
number in [0, 1].

The constants were chosen on conversations, facts, how-tos and long messages together; each has a
broad optimum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtypes.search.candidates import Candidates
from memtypes.search.vectors import MAX_TERMS, NUMBERS, Numbers
from retrieval.ranking.neighbours import Neighbours


class LegShares(NamedTuple):
    """Weights of the legs (kinds of search: dense, sparse, late interaction) in the fused
    similarity, if all ran.
    """

    dense: float
    sparse: float
    late: float


SHARES = LegShares(dense=0.3, sparse=0.3, late=0.4)

ENCODED = 256
"""Tokens at the beginning of a text that the default encoder reads. Keyword search reads all of
it.
"""

SHARPNESS = 2.0
"""Exponent applied to token cosines, so that 0.9 counts more than twice as much as 0.45."""

RARITY = 1.5
"""Exponent applied to a query token's IDF, which is estimated from the candidates."""

NEXT = 0.8
TWO_AWAY = 0.5
IN_SESSION = 0.4
"""Weights of a token match in an adjacent turn, in a turn two places away, and elsewhere in the
session: an answer often omits the words of its question, and the topic of a conversation is named
once.
"""

UNRELATED_DENSE = 0.0
UNRELATED_LATE = 0.1
"""Usual scores of an unrelated text, by the default encoder. The lower of this and the worst
candidate's score is normalised to 0: among few candidates even the worst may be a good match.
"""

MIN_MATCH = 0.05
"""Minimum match of a query token. Matches are multiplied, so that a fair match of every token beats
a good match of half the tokens; the minimum prevents one missing token from making the product 0.
"""


def similarity(
    dense: NDArray[np.float64] | None,
    sparse: NDArray[np.float64] | None,
    late: NDArray[np.float64] | None = None,
    tokens: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Similarity of each candidate to the query, shape (candidates,), in [0, 1].

    A convex combination of min-max normalised scores, as in Bruch, Gai and Ingber, "An Analysis of
    Fusion Functions for Hybrid Retrieval" (2023). dense: cosines. sparse: BM25 scores, 0 where no
    term matches. late: late-interaction scores, 0 where unknown. None for a search that was not
    made; raises ValueError if all three are None. tokens: number of tokens of each text. The
    similarity of a text longer than ENCODED is at least the cube of its normalised BM25 score,
    because only keyword search reads the whole text.
    """
    legs: list[tuple[float, NDArray[np.float64]]] = []
    if dense is not None:
        worst = dense.min(initial=UNRELATED_DENSE if late is not None else np.inf)
        legs.append((SHARES.dense, normalised(dense, float(worst))))
    # Without any match the leg carries no information
    if sparse is not None and (sparse.any() or not legs):
        legs.append((SHARES.sparse, normalised(sparse, 0.0)))
    if late is not None:
        legs.append(
            (SHARES.late, normalised(late, float(late[late > 0].min(initial=UNRELATED_LATE))))
        )
    if not legs:
        raise ValueError("similarity needs the scores of at least one leg")
    weights = np.array([share for share, _ in legs])
    fused: NDArray[np.float64] = (weights / weights.sum()) @ np.vstack(
        [scores for _, scores in legs]
    )
    if sparse is None or tokens is None:
        return fused
    return np.where(tokens > ENCODED, np.maximum(fused, normalised(sparse, 0.0) ** 3), fused)


def normalised(scores: NDArray[np.float64], low: float) -> NDArray[np.float64]:
    """`scores` scaled so that `low` becomes 0 and the highest 1, and clipped; only clipped if none
    is above `low`.
    """
    high = float(scores.max(initial=-np.inf))
    if high - low <= 1e-9:
        return np.clip(scores, 0.0, 1.0)
    return np.clip((scores - low) / (high - low), 0.0, 1.0)


def late_similarity(candidates: Candidates, neighbours: Neighbours) -> NDArray[np.float64] | None:
    """Late-interaction score of each candidate, not negative, shape (candidates,); None if no token
    cosines are known.

    For each query token the best match counts: in the memory itself or, with a lower weight, in
    another turn of its session. The score is the weighted geometric mean of these matches.
    """
    if candidates.late is None:
        return None
    has_cosines = np.isfinite(candidates.late[:, 0])
    if not has_cosines.any():
        return None
    cosines = np.maximum(candidates.late.astype(np.float64), 0.0)
    if not has_cosines.all():
        cosines[~has_cosines] = 0.0
    weights = token_weights(cosines if has_cosines.all() else cosines[has_cosines])
    matches = neighbours.spread(cosines**SHARPNESS, NEXT, TWO_AWAY, IN_SESSION)
    matches = (matches + MIN_MATCH) / (1.0 + MIN_MATCH)
    scores = np.exp(np.log(matches, out=matches) @ weights)
    return np.where(has_cosines, scores, 0.0)


def token_weights(cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the query tokens, with sum 1: rare matches weigh more. cosines: shape (candidates,
    query tokens).
    """
    # Rounding may raise the mean
    spread = np.maximum(cosines.max(axis=0) - cosines.mean(axis=0), 0.0) ** RARITY
    total = float(spread.sum())
    if total <= 1e-9:
        return np.full(cosines.shape[1], 1.0 / cosines.shape[1])
    weights: NDArray[np.float64] = spread / total
    return weights


def occurrences(terms: Numbers, selected: Numbers) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Occurrences of the `selected` terms, as two arrays of equal length: row in `terms`, and index
    in `selected`.

    terms: a row of terms for each memory, as in the column TERMS. Only the first 255 of `selected`
    are looked up.
    """
    slot_of = np.zeros(NUMBERS, dtype=np.uint8)  # 0 for every other term
    slot_of[selected[:255]] = np.arange(1, len(selected[:255]) + 1)
    slot_of[0] = 0  # fills the rows of short memories
    slots = slot_of.take(terms).ravel()
    offsets = np.flatnonzero(slots != 0)
    return offsets // MAX_TERMS, slots[offsets].astype(np.intp) - 1


def idf(frequencies: NDArray[np.intp], documents: int) -> NDArray[np.float64]:
    """Inverse document frequencies, as in BM25. frequencies: number of the `documents` that contain
    each term.
    """
    weights: NDArray[np.float64] = np.log1p((documents - frequencies + 0.5) / (frequencies + 0.5))
    return weights

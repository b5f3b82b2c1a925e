"""Signals that depend on the other candidates' scores: shared terms of the best hits, and updates of facts.

Neither asks the engine again: the terms, times and speakers of all candidates are in their columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memtypes.search.candidates import Candidates
from memtypes.search.columns import TERMS
from memtypes.search.vectors import NUMBERS, Numbers
from retrieval.ranking.sorting import top_positions

SEEDS = 3
"""Best hits whose terms expand the query. One finds less, five drift."""

EXPANSION_TERMS = 15
"""Terms that expand the query; 10 to 20 do equally well."""

HALF_LENGTH = 200
"""Tokens at which a memory's terms count half: a long memory shares some of any terms."""

UPDATE_WINDOW = 5
"""Best candidates among which updates are looked for. A larger window costs precision where no fact was updated."""

UPDATE_MIN_RATIO = 0.55
"""Least score of an update relative to the earlier statement; below it the two are about different things."""

_MARGIN = 1e-6


def expansion(candidates: Candidates, scores: NDArray[np.float64], query_terms: Numbers) -> NDArray[np.float64]:
    """How much of the best hits' telling terms each candidate has, shape (candidates,), in [0, 1]; 1 for the most.

    Pseudo-relevance feedback after RM3 (Abdul-Jaleel et al., "UMass at TREC 2004"), with document frequencies taken
    from the candidates. A term weighs the squared scores of the hits that contain it times its IDF. Terms of the query
    are left out: similarity has counted them.
    """
    terms: Numbers = candidates.columns.column(TERMS)
    length_norm = 1.0 / (1.0 + candidates.columns.wholes("tokens.count", 0) / HALF_LENGTH)
    seeds = top_positions(scores, SEEDS)
    relevance = np.maximum(scores[seeds], 0.0) ** 2 * length_norm[seeds]
    seed_terms, inverse = np.unique(terms[seeds], return_inverse=True)
    summed = np.bincount(inverse.ravel(), np.repeat(relevance, terms.shape[1]), minlength=len(seed_terms))
    summed[(seed_terms == 0) | (seed_terms[:, None] == query_terms).any(axis=1)] = 0.0
    slot_of = np.zeros(NUMBERS, dtype=np.uint8)  # 0 for every other term; the seeds have 96 terms at most
    slot_of[seed_terms] = np.arange(1, len(seed_terms) + 1)
    slots = slot_of.take(terms)
    frequencies = np.bincount(slots[slots > 0], minlength=len(seed_terms) + 1)[1:]  # nearly all slots are 0
    idf = _idf(frequencies, len(candidates))
    best = np.argsort(-summed * idf, kind="stable")[:EXPANSION_TERMS]
    weights = np.zeros(len(seed_terms) + 1)
    weights[best + 1] = (summed * idf**2)[best]
    shared: NDArray[np.float64] = weights.take(slots).sum(axis=1) * length_norm
    highest = float(shared.max(initial=0.0))
    return shared / highest if highest > 0 else shared


def _idf(document_frequencies: NDArray[np.intp], documents: int) -> NDArray[np.float64]:
    """IDF as in BM25, 0 and up."""
    idf: NDArray[np.float64] = np.log1p((documents - document_frequencies + 0.5) / (document_frequencies + 0.5))
    return idf


def update_boosts(candidates: Candidates, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """What to add to each score so that an update stands above the facts that it replaces, shape (candidates,).

    An update is a later statement of the same speaker and type, said in a session, that gives a value. Only the best
    UPDATE_WINDOW candidates are compared, so the order of the rest stays. candidates: in the order of their ids.
    """
    positions = top_positions(scores, UPDATE_WINDOW)
    positions = positions[candidates.columns.take(positions).known("session_id")]
    columns, types = candidates.columns.take(positions), candidates.kinds[positions]
    speakers, gives_value = columns.column("speaker"), columns.column("gives_value") == 1
    by_time = np.lexsort((columns.column("seq"), columns.column("created_at"))).tolist()
    boosted = scores.copy()
    for later_place, later in enumerate(by_time):
        if gives_value[later]:
            for earlier in by_time[:later_place]:
                comparable = speakers[earlier] == speakers[later] and types[earlier] == types[later]
                if comparable and scores[positions[later]] >= UPDATE_MIN_RATIO * scores[positions[earlier]]:
                    boosted[positions[later]] = max(boosted[positions[later]], boosted[positions[earlier]] + _MARGIN)
    return boosted - scores

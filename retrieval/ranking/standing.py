"""Which of two hits that are told alike stands first: the procedure that succeeded, the surer fact,
the task of higher priority.

Two hits are told alike if they are of one type, share most of their words, and each has all words
of the query that the other has. Then the query prefers neither, and a small difference of
similarity says nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import TYPES, Candidates
from memtypes.search.columns import TERMS
from memtypes.search.vectors import Numbers
from retrieval.ranking.sorting import top_positions

BEST = 20
"""Number of best hits among which those that are told alike are looked for."""

ALIKE = 0.5
"""Minimum share of the words of the one with fewer words that two hits told alike share."""

SURER = 0.25
"""Minimum difference of the standing of two facts or procedures; less says little."""

_MARGIN = 1e-6
_MIN_GAPS = {
    TYPES.index(MemoryType.SEMANTIC): SURER,
    TYPES.index(MemoryType.PROCEDURAL): SURER,
    TYPES.index(MemoryType.PROSPECTIVE): _MARGIN,
}


def standing(candidates: Candidates) -> NDArray[np.float64]:
    """The confidence of facts, the priority of tasks and the success of procedures, in [0, 1].

    The success is the share of uses that succeeded, with one success and one failure added, so that
    what was never tried stands between what succeeded and what failed. Other types have 0.
    """
    columns = candidates.columns
    rates = columns.numbers("success_rate", 0.5)
    tried = columns.has_value("success_rate")
    uses = np.where(tried, np.maximum(columns.integers("usage_count", 0), 1), 0)
    success = (rates * uses + 1.0) / (uses + 2.0)
    by_type = {
        MemoryType.SEMANTIC: columns.numbers("confidence", 1.0),
        MemoryType.PROCEDURAL: success,
        MemoryType.PROSPECTIVE: columns.integers("priority", 3) / 5.0,
    }
    values = np.zeros(len(candidates))
    for kind, of_type in by_type.items():
        is_kind = candidates.kinds == TYPES.index(kind)
        values[is_kind] = of_type[is_kind]
    return values


def stands_above(
    candidates: Candidates, better: int, worse: int, values: NDArray[np.float64]
) -> bool:
    """Whether one candidate has a clearly higher standing than another of its type. values: the
    `standing` of all.
    """
    kind = int(candidates.kinds[better])
    if kind != candidates.kinds[worse] or kind not in _MIN_GAPS:
        return False
    return bool(values[better] - values[worse] >= _MIN_GAPS[kind])


def standing_boosts(
    candidates: Candidates, scores: NDArray[np.float64], query_terms: Numbers
) -> NDArray[np.float64]:
    """Amounts to add to `scores`, so that of two hits told alike the one of higher standing ranks
    first, shape (candidates,). query_terms: the query's terms in the sparse index.
    """
    boosted = scores.copy()
    positions = top_positions(scores, BEST)
    positions = positions[np.isin(candidates.kinds[positions], list(_MIN_GAPS))]
    if len(positions) < 2:
        return boosted - scores
    terms: Numbers = candidates.columns.column(TERMS)[positions]
    words = [set(row[row != 0].tolist()) for row in terms]
    asked = set(query_terms.tolist())
    of_query = [of_hit & asked for of_hit in words]
    values = standing(candidates)
    # From the lowest standing on, so that what is raised raises those above it
    order = np.argsort(values[positions], kind="stable").tolist()
    for place, better in enumerate(order):
        for worse in order[:place]:
            fewest = min(len(words[better]), len(words[worse]))
            told_alike = (
                of_query[better] == of_query[worse]
                and fewest > 0
                and len(words[better] & words[worse]) >= ALIKE * fewest
            )
            upper = int(positions[better])
            lower = int(positions[worse])
            if told_alike and stands_above(candidates, upper, lower, values):
                boosted[upper] = max(boosted[upper], boosted[lower] + _MARGIN)
    return boosted - scores

"""The result of ranking: candidates as columns, best first; and the possible outcomes of a
candidate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memtypes.search.candidates import Candidates
from retrieval.query.profiles import SIGNALS
from retrieval.ranking.sorting import ascending, text_order


class CandidateOutcome(StrEnum):
    """The outcome of a candidate: it is in the context (INCLUDED), or the reason why it is not.

    OVER_TYPE_BUDGET, OVER_TOTAL: did not fit the budget. COUNTED: a task that was missed long ago,
    which a line of the context counts. BELOW_THRESHOLD: below the floor or a
    required minimum. SUPERSEDED, EXPIRED: was replaced, or had expired. DUPLICATE_OF: a better hit
    has the same text, or it is a sentence of a message in the context. REMOVED: deleted after it
    was chosen and before its text was read. NOT_DUE: reserved; no retrieval sets it, as tasks that
    are not due yet are ranked like other memories.
    """

    INCLUDED = "included"
    OVER_TYPE_BUDGET = "over_type_budget"
    OVER_TOTAL = "over_total"
    COUNTED = "counted"
    BELOW_THRESHOLD = "below_threshold"
    DUPLICATE_OF = "duplicate_of"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    NOT_DUE = "not_due"
    REMOVED = "removed"


class Floor(NamedTuple):
    """Relevance floor: the minimum probability (`value`) that a hit helps to answer. dropped: how
    many are below.
    """

    value: float = 0.0
    dropped: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class RankedCandidates:
    """Scored candidates as columns: the hits, best first, then duplicates of hits, then candidates
    below a threshold.

    scores: shape (candidates,). signals: shape (signals, candidates), rows in the order of SIGNALS.
    hits: number of hits; the rank of a hit is its position + 1. duplicate_of: for each duplicate,
    the id of the hit that it repeats. floor: the relevance floor, and how many candidates are below
    it. certainty: probability that a candidate helps to answer the query, as it was compared with
    the floor, shape (candidates,), NaN where it was not; None without a floor.
    """

    candidates: Candidates
    scores: NDArray[np.float64]
    signals: NDArray[np.float64]
    hits: int
    duplicate_of: tuple[str, ...] = ()
    floor: Floor = Floor()  # noqa: RUF009 - a tuple, which cannot be changed
    certainty: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def hit_ids(self) -> list[str]:
        """Ids of the hits, best first."""
        return [memory_id.decode() for memory_id in self.candidates.ids[: self.hits].tolist()]

    def signals_at(self, position: int) -> dict[str, float]:
        """The signals of the candidate at `position`, by name."""
        return dict(zip(SIGNALS, self.signals[:, position].tolist(), strict=True))

    def at(
        self, positions: NDArray[np.intp], hits: int, duplicate_of: tuple[str, ...]
    ) -> RankedCandidates:
        """The candidates at `positions`, in this order. hits: number of hits among them, which come
        first.
        """
        return RankedCandidates(
            self.candidates.take(positions),
            self.scores[positions],
            self.signals.take(positions, axis=1),
            hits,
            duplicate_of,
            self.floor,
            None if self.certainty is None else self.certainty[positions],
        )

    def with_unscored_hits(self, added: Candidates) -> RankedCandidates:
        """Add `added` as hits whose score and signals are 0; all hits stay ordered by score, then
        by id.
        """
        candidates = Candidates.joined([self.candidates, added])
        scores = np.concatenate([self.scores, np.zeros(len(added))])
        signals = np.hstack([self.signals, np.zeros((len(SIGNALS), len(added)))])
        hits = np.concatenate([np.arange(self.hits), np.arange(len(self), len(scores))])
        by_id = hits[text_order(candidates.ids[hits])]
        order = np.concatenate([by_id[ascending(-scores[by_id])], np.arange(self.hits, len(self))])
        certainty = (
            None
            if self.certainty is None
            else np.append(self.certainty, np.full(len(added), np.nan))
        )
        joined = replace(
            self, candidates=candidates, scores=scores, signals=signals, certainty=certainty
        )
        return joined.at(order, len(hits), self.duplicate_of)

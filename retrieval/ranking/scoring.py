"""Ranks candidates by a weighted sum of signals; equal scores are ordered by id, so that the order
is deterministic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from memtypes.calendar import Window
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Status
from memtypes.search.candidates import TYPES, Candidates
from memtypes.search.columns import Columns
from memtypes.search.vectors import Numbers, TokenVectors
from retrieval.query.intent import NEWEST, Wish
from retrieval.query.profiles import SECOND_PASS, SIGNALS
from retrieval.ranking import signals
from retrieval.ranking.evidence import certainty_of
from retrieval.ranking.neighbours import neighbours_of
from retrieval.ranking.ranked import Floor, RankedCandidates
from retrieval.ranking.similarity import late_similarity, similarity
from retrieval.ranking.sorting import ascending, duplicate_positions, text_order, text_prefixes

_WORKING = TYPES.index(MemoryType.WORKING)


@dataclass(frozen=True, slots=True)
class Scoring:
    """Parameters of scoring, from the query and the request.

    weights: of every signal. terms: the query's terms in the sparse index. windows: the times that
    the query names. min_similarity, min_score: a candidate below either is not a hit. floor:
    minimum probability that a hit helps to answer the query; 0 switches this check off. tokens: the
    query's token vectors, from which the probability is computed. due_tokens: number of tokens of
    pending due tasks that pass the floor in any case. wish: what the query asks to list also
    passes; of events and finished tasks only the newest, up to a share of `budget` tokens. links:
    minimum scores, by id, of memories to which hits link. contested: pairs of ids of memories that
    contradict each other; the newer ranks first.
    """

    weights: Mapping[str, float]
    as_of: datetime
    query: str = ""
    windows: tuple[Window, ...] = ()
    terms: Numbers = field(default_factory=lambda: np.empty(0, dtype=np.uint16))
    min_similarity: float | None = None
    min_score: float | None = None
    links: Mapping[str, float] = field(default_factory=dict)
    floor: float = 0.0
    tokens: TokenVectors | None = None
    due_tokens: int = 0
    wish: Wish = Wish.OTHER
    budget: int = 0
    contested: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SignalTable:
    """Candidates, sorted by id, and their signals, shape (signals, candidates). The rows are in the
    order of SIGNALS.

    Signals that depend on other candidates' scores (SECOND_PASS) are 0; `rank` computes them in a
    copy of the table.
    """

    candidates: Candidates
    signals: NDArray[np.float64]

    @classmethod
    def of(cls, candidates: Candidates, scoring: Scoring) -> SignalTable:
        """Sort `candidates` by id and compute their signals."""
        if not len(candidates):
            return cls(candidates, np.empty((len(SIGNALS), 0)))
        candidates = candidates.take(text_order(candidates.ids))
        neighbours = neighbours_of(candidates)
        late = late_similarity(candidates, neighbours)
        legs = (candidates.dense, candidates.sparse)
        dense, sparse = (None if leg is None else np.nan_to_num(leg, nan=0.0) for leg in legs)
        similarities = similarity(
            dense, sparse, late, candidates.columns.integers("tokens.count", 0)
        )
        rows = {
            "similarity": similarities,
            "context": signals.context(similarities, neighbours),
            "mention": signals.mention(scoring.query, candidates),
            "time": signals.nearness(signals.reference_times(candidates), scoring.windows),
            "recency": signals.recency(candidates, scoring.as_of),
            "importance": signals.importance(candidates.columns),
            "access": signals.access(candidates.columns),
            "due": signals.due(candidates, scoring.as_of),
            **dict.fromkeys(SECOND_PASS, np.zeros(len(candidates))),
        }
        return cls(candidates, np.vstack([rows[name] for name in SIGNALS]))


def rank(table: SignalTable, scoring: Scoring) -> RankedCandidates:
    """The candidates of all memory types, ranked together by sum(weight * signal), with duplicates
    of hits marked.
    """
    candidates = table.candidates
    signal_rows = table.signals.copy()
    scores = _scores(candidates, signal_rows, scoring)
    minimums = (scoring.min_similarity, scoring.min_score)
    min_similarity, min_score = (-np.inf if minimum is None else minimum for minimum in minimums)
    passed = (signal_rows[SIGNALS.index("similarity")] >= min_similarity) & (scores >= min_score)
    order = ascending(-scores)
    above = order[passed[order]]
    below = order[~passed[order]]
    first = _first_occurrences(candidates.kinds[above], candidates.columns.take(above))
    is_first = np.arange(len(above)) == first
    certainty = _certainty(
        candidates.take(above[is_first]), signal_rows[:, above[is_first]], scoring
    )
    helps = np.ones(len(above), dtype=np.bool_)
    certainties = None
    if certainty is not None:
        helps[is_first] = certainty >= scoring.floor
        helps = helps[first]
        certainties = np.full(len(candidates), np.nan)
        certainties[above[is_first]] = certainty
    shown = above[is_first & helps]
    repeated = above[~is_first & helps]
    order = np.concatenate(
        [shown, repeated, above[is_first & ~helps], above[~is_first & ~helps], below]
    )
    return RankedCandidates(
        replace(candidates, dense=None, sparse=None, late=None).take(order),
        scores[order],
        signal_rows.take(order, axis=1),
        len(shown),
        tuple(candidates.ids[above[first[~is_first & helps]]].astype(np.str_).tolist()),
        Floor(scoring.floor, int((is_first & ~helps).sum())),
        None if certainties is None else certainties[order],
    )


def _certainty(
    hits: Candidates, signal_rows: NDArray[np.float64], scoring: Scoring
) -> NDArray[np.float64] | None:
    """The probability that each of `hits` (best first) helps to answer; None if no floor is set or
    vectors are missing.

    It is 1 for hits that are shown whatever the floor: working memory, the first pending due tasks
    (`due_tokens`), and what the query asks to list, because a question like "what is left to do?"
    shares no word with the tasks.
    """
    if not scoring.floor:
        return None
    similarities, contexts = (
        signal_rows[SIGNALS.index(name)] for name in ("similarity", "context")
    )
    certainty = certainty_of(scoring.terms, scoring.tokens, hits, similarities, contexts)
    if certainty is None:
        return None
    # A memory that contradicts a hit is about the same subject, even if it uses other words.
    certainty = np.minimum(signals.newest_first(hits, certainty, scoring.contested), 1.0)
    in_time = (signal_rows[SIGNALS.index("time")] == 1.0) | (not scoring.windows)
    listed = signals.overview(hits, scoring.wish, in_time)
    exempt = listed & (scoring.wish not in NEWEST)
    exempt[signals.newest(hits, listed, scoring.budget)] = True
    exempt |= hits.kinds == _WORKING
    if scoring.due_tokens:
        due = signals.due_today(hits, scoring.as_of) & hits.columns.where(
            "status", Status.PENDING.__eq__
        )
        exempt[signals.first_due(hits, due & (certainty < scoring.floor), scoring.due_tokens)] = (
            True
        )
    return np.where(exempt, 1.0, certainty)


def _scores(
    candidates: Candidates, signal_rows: NDArray[np.float64], scoring: Scoring
) -> NDArray[np.float64]:
    """Weighted sums of the candidates' signals. Fills in the rows of `signal_rows` that depend on
    other scores.
    """
    weights = np.array([scoring.weights[name] for name in SIGNALS])
    scores: NDArray[np.float64] = weights @ signal_rows
    if scoring.weights["expansion"] and len(candidates):
        signal_rows[SIGNALS.index("expansion")] = signals.expansion(
            candidates, scores, scoring.terms
        )
        scores = weights @ signal_rows
    raised = scores
    if scoring.weights["link"] and (scoring.links or scoring.contested):
        ids = candidates.ids.astype(np.str_).tolist()
        minimums = np.array([scoring.links.get(memory_id, -np.inf) for memory_id in ids])
        boosts = (
            signals.newest_first(candidates, np.maximum(minimums, scores), scoring.contested)
            - scores
        )
        signal_rows[SIGNALS.index("link")] = np.minimum(boosts / scoring.weights["link"], 1.0)
        raised = weights @ signal_rows
    if scoring.weights["current"] and len(candidates):
        boosts = signals.update_boosts(candidates, scores, raised)
        signal_rows[SIGNALS.index("current")] = np.minimum(boosts / scoring.weights["current"], 1.0)
        raised = weights @ signal_rows
    return raised


def _first_occurrences(kinds: NDArray[np.int8], columns: Columns) -> NDArray[np.intp]:
    """For each memory, the position of the first memory with the same content, type, speaker, due
    time and status.
    """
    first = np.arange(len(kinds), dtype=np.intp)
    hashes = columns.column("content_hash")
    suspects = duplicate_positions(text_prefixes(hashes))
    if not len(suspects):
        return first
    columns = columns.take(suspects)
    fields = (columns.column(path) for path in ("speaker", "due_at", "status"))
    identity_columns = (kinds[suspects], hashes[suspects], *fields)
    first_by_identity: dict[tuple[object, ...], int] = {}
    for position, *identity in zip(
        suspects.tolist(), *(column.tolist() for column in identity_columns), strict=True
    ):
        first[position] = first_by_identity.setdefault(tuple(identity), position)
    return first

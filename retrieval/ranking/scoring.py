"""Ranks candidates by a weighted sum of signals; equal scores are ordered by id, so that the order
is deterministic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from memtypes.calendar import Window
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import OPEN, Status
from memtypes.search.candidates import TYPES, Candidates
from memtypes.search.vectors import Numbers, TokenVectors
from retrieval.query.intent import NEWEST, Wish
from retrieval.query.profiles import SECOND_PASS, SIGNALS
from retrieval.ranking import signals
from retrieval.ranking.helpfulness import certainty_of, with_odds
from retrieval.ranking.neighbours import neighbours_of
from retrieval.ranking.ranked import Floor, RankedCandidates
from retrieval.ranking.similarity import late_similarity, similarity
from retrieval.ranking.sorting import ascending, duplicate_positions, text_order, text_prefixes
from retrieval.ranking.standing import standing_boosts
from retrieval.ranking.succession import succession_boosts

Signals: TypeAlias = NDArray[np.float64]
"""Signals of candidates, shape (signals, candidates), with rows in the order of SIGNALS."""

IDENTITY = ("content_hash", "speaker", "due_at", "status")
"""Fields that are equal in two memories of one type which say the same."""

TASK_ODDS = 0.25
"""Factor on the odds that an open task helps to answer a query that does not ask for tasks.

The models that judge hits have not learnt from tasks, whose words ("call", "the report", "Friday")
are near to many questions. benchmarks/decisions/relevance-floor.md has the measurements.
"""

MIN_SHARE = 0.2
"""Minimum score of a hit that may help to answer, as a share of the best hit's score.

If one hit surely answers, the models of certainty let pass whatever else there is, because a
question that has an answer mostly has several hits that help. In a namespace of a dozen memories,
these were all others. benchmarks/decisions/relevance-floor.md has the measurements.
"""

_ASKS_FOR_TASKS = (Wish.TASKS, Wish.TASKS_ABOUT, Wish.FINISHED, Wish.DONE)
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
    contradict each other; the newer ranks first. readings: for hits that were read together with
    the query, by id, the probability that they answer it.
    """

    weights: Mapping[str, float]
    as_of: datetime
    query: str = ""
    windows: tuple[Window, ...] = ()
    terms: Numbers = field(default_factory=lambda: np.empty(0, dtype=np.uint16))
    min_similarity: float | None = None
    min_score: float | None = None
    floor: float = 0.0
    tokens: TokenVectors | None = None
    due_tokens: int = 0
    wish: Wish = Wish.OTHER
    budget: int = 0
    prefer_newer: bool = True
    readings: Mapping[str, float] = field(default_factory=dict)


def rank(candidates: Candidates, scoring: Scoring) -> RankedCandidates:
    """The candidates of all memory types, ranked together by sum(weight * signal), with duplicates
    of hits marked.
    """
    if not len(candidates):
        no_signals = np.empty((len(SIGNALS), 0))
        return RankedCandidates(candidates, np.empty(0), no_signals, 0, floor=Floor(scoring.floor))
    candidates = candidates.take(text_order(candidates.ids))
    signal_rows = _signals(candidates, scoring)
    scores, contested = _scores(candidates, signal_rows, scoring)

    # From here on, all arrays are in the order of rank; equal scores are in the order of ids
    order = ascending(-scores)
    candidates = candidates.take(order)
    scores = scores[order]
    signal_rows = signal_rows.take(order, axis=1)
    passed = _passes_minimums(scores, signal_rows, scoring)
    first = _first_occurrences(candidates, passed)
    is_copy = first != np.arange(len(first))
    originals = np.flatnonzero(passed & ~is_copy)

    # A copy has the certainty of the first memory with its text
    helps = np.ones(len(first), dtype=np.bool_)
    certainty = None
    probabilities = _certainty(
        candidates.take(originals),
        scores[originals],
        signal_rows[:, originals],
        scoring,
        contested,
    )
    if probabilities is not None:
        certainty = np.full(len(first), np.nan)
        certainty[originals] = probabilities
        helps[originals] = ~(probabilities < scoring.floor)  # NaN passes
        helps = helps[first]

    # Hits come first, then their duplicates, what is below the floor, and what is below a minimum
    groups = np.select([~passed, ~helps & is_copy, ~helps, is_copy], [4, 3, 2, 1], 0)
    duplicates = np.flatnonzero(groups == 1)
    order = ascending(groups)
    return RankedCandidates(
        replace(candidates, dense=None, sparse=None, late=None).take(order),
        scores[order],
        signal_rows.take(order, axis=1),
        int((groups == 0).sum()),
        tuple(candidates.ids[first[duplicates]].astype(np.str_).tolist()),
        Floor(scoring.floor, int((groups == 2).sum())),
        None if certainty is None else certainty[order],
    )


def _signals(candidates: Candidates, scoring: Scoring) -> Signals:
    """The signals of `candidates`, with rows in the order of SIGNALS. Those that depend on other
    candidates' scores (SECOND_PASS) are 0; `_scores` computes them.
    """
    neighbours = neighbours_of(candidates)
    late = late_similarity(candidates, neighbours)
    dense = None if candidates.dense is None else np.nan_to_num(candidates.dense, nan=0.0)
    sparse = None if candidates.sparse is None else np.nan_to_num(candidates.sparse, nan=0.0)
    similarities = similarity(dense, sparse, late, candidates.columns.integers("tokens.count", 0))
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
    return np.vstack([rows[name] for name in SIGNALS])


def _passes_minimums(
    scores: NDArray[np.float64], signal_rows: Signals, scoring: Scoring
) -> NDArray[np.bool_]:
    passed = np.ones(len(scores), dtype=np.bool_)
    if scoring.min_similarity is not None:
        passed &= signal_rows[SIGNALS.index("similarity")] >= scoring.min_similarity
    if scoring.min_score is not None:
        passed &= scores >= scoring.min_score
    return passed


def _certainty(
    hits: Candidates,
    scores: NDArray[np.float64],
    signal_rows: Signals,
    scoring: Scoring,
    contested: Sequence[tuple[str, str]],
) -> NDArray[np.float64] | None:
    """The probability that each of `hits` (best first) helps to answer, as it is compared with the
    floor; None if no floor is set or vectors are missing. It is 0 for a hit whose score is below
    MIN_SHARE of the best one's, both before anything was read, except for tasks if the query asks
    for them.

    It is NaN for hits that are shown whatever the floor, and not judged: working memory, the first
    pending due tasks (`due_tokens`), and what the query asks to list, because a question like "what
    is left to do?" shares no word with the tasks.
    """
    if not scoring.floor:
        return None
    similarities = signal_rows[SIGNALS.index("similarity")]
    contexts = signal_rows[SIGNALS.index("context")]
    certainty = certainty_of(scoring.terms, scoring.tokens, hits, similarities, contexts)
    if certainty is None:
        return None
    is_open = hits.columns.where("status", OPEN.__contains__)
    asks_for_tasks = scoring.wish in _ASKS_FOR_TASKS
    # What was read changes the order of hits, and not what is one
    unread = scores - scoring.weights["reading"] * signal_rows[SIGNALS.index("reading")]
    is_weak = unread < MIN_SHARE * max(float(unread.max()), 0.0)
    certainty = np.where(is_weak & ~(is_open & asks_for_tasks), 0.0, certainty)
    # A memory that contradicts a hit is about the same subject, even if it uses other words.
    certainty = np.minimum(signals.newest_first(hits, certainty, contested), 1.0)
    if not asks_for_tasks:
        certainty = np.where(is_open, with_odds(certainty, TASK_ODDS), certainty)
    in_time = (signal_rows[SIGNALS.index("time")] == 1.0) | (not scoring.windows)
    listed = signals.overview(hits, scoring.wish, in_time)
    exempt = listed & (scoring.wish not in NEWEST)
    exempt[signals.newest(hits, listed, scoring.budget)] = True
    if scoring.wish is Wish.CONTINUE:
        # What is similar to "continue" does not help to go on
        certainty = np.zeros(len(hits))
        exempt[signals.to_continue(hits, in_time, scoring.as_of, scoring.budget)] = True
    exempt |= hits.kinds == _WORKING
    if scoring.due_tokens:
        due = signals.due_today(hits, scoring.as_of) & hits.columns.where(
            "status", Status.PENDING.__eq__
        )
        below = due & (certainty < scoring.floor)
        exempt[signals.first_due(hits, below, scoring.as_of, scoring.due_tokens)] = True
    return np.where(exempt, np.nan, certainty)


def _scores(
    candidates: Candidates, signal_rows: Signals, scoring: Scoring
) -> tuple[NDArray[np.float64], tuple[tuple[str, str], ...]]:
    """Weighted sums of the candidates' signals, and pairs of ids of memories that contradict each
    other. Fills in the rows of `signal_rows` that depend on other scores.
    """
    weights = np.array([scoring.weights[name] for name in SIGNALS])
    scores: NDArray[np.float64] = weights @ signal_rows
    if scoring.weights["expansion"]:
        signal_rows[SIGNALS.index("expansion")] = signals.expansion(
            candidates, scores, scoring.terms
        )
        scores = weights @ signal_rows
    raised = scores
    if scoring.readings:
        signal_rows[SIGNALS.index("reading")] = signals.reading(candidates, scoring.readings)
        raised = weights @ signal_rows
    if scoring.weights["standing"]:
        boosts = standing_boosts(candidates, raised, scoring.terms)
        gains = boosts / scoring.weights["standing"]
        # A larger difference of the scores means something
        signal_rows[SIGNALS.index("standing")] = np.where(gains > 1.0, 0.0, gains)
        raised = weights @ signal_rows
    contested: tuple[tuple[str, str], ...] = ()
    links = signals.links_of_best(candidates, scores) if scoring.weights["link"] else {}
    if links:
        contested = signals.contested_pairs(links) if scoring.prefer_newer else ()
        minimums = signals.linked_minimums(candidates, raised, links)
        boosts = signals.newest_first(candidates, np.maximum(minimums, raised), contested) - raised
        signal_rows[SIGNALS.index("link")] = np.minimum(boosts / scoring.weights["link"], 1.0)
        raised = weights @ signal_rows
    if scoring.weights["current"]:
        answers = signal_rows[SIGNALS.index("reading")]
        boosts = succession_boosts(candidates, scores, raised, scoring.terms, answers)
        signal_rows[SIGNALS.index("current")] = np.minimum(boosts / scoring.weights["current"], 1.0)
        raised = weights @ signal_rows
    return raised, contested


def _first_occurrences(candidates: Candidates, passed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """For each candidate, the position of the first with the same content, type, speaker, due time
    and status among those that `passed`; its own position if it is the first or did not pass.
    """
    first = np.arange(len(candidates), dtype=np.intp)
    positions = np.flatnonzero(passed)
    hashes = candidates.columns.column("content_hash")[positions]
    suspects = positions[duplicate_positions(text_prefixes(hashes))]
    if not len(suspects):
        return first
    columns = candidates.columns.take(suspects)
    identities = zip(
        candidates.kinds[suspects].tolist(),
        *(columns.column(path).tolist() for path in IDENTITY),
        strict=True,
    )
    first_by_identity: dict[tuple[object, ...], int] = {}
    for position, identity in zip(suspects.tolist(), identities, strict=True):
        first[position] = first_by_identity.setdefault(identity, position)
    return first

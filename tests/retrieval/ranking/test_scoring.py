"""Scoring, which turns the candidates of a search into ranked hits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from retrieval.query.profiles import PROFILES, SIGNALS
from retrieval.ranking.ranked import RankedCandidates
from retrieval.ranking.scoring import Scoring, SignalTable, rank
from tests.candidates import CandidateRow, make_candidates
from tests.retrieval.builders import hit_rows

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BALANCED = Scoring(PROFILES["balanced"], NOW)


def candidate(
    name: str, dense: float | None = 0.5, sparse: float | None = 1.0, **payload: object
) -> CandidateRow:
    """A candidate fact that was created now, with these scores of dense and sparse search. payload:
    more fields.
    """
    base = {
        "created_at": "2026-03-01T00:00:00Z",
        "content_hash": name,
        "tokens": {"count": 5, "line": 7},
    }
    return CandidateRow(name, MemoryType.SEMANTIC, dense, sparse, base | payload)


def ranked(candidates: list[CandidateRow], scoring: Scoring = BALANCED) -> RankedCandidates:
    """The ranking of `candidates`."""
    return rank(SignalTable.of(make_candidates(candidates), scoring), scoring)


def test_a_table_of_signals_can_be_ranked_again() -> None:
    """A table of signals can be ranked a second time with links between memories. Ranking it does
    not change it.
    """
    candidates = make_candidates([candidate("a", 0.6), candidate("b", 0.5)])
    unlinked = Scoring(PROFILES["default"], NOW)
    linked = replace(unlinked, links={"b": 1.5})
    table = SignalTable.of(candidates, unlinked)
    assert rank(table, unlinked).hit_ids == ["a", "b"]
    again = rank(table, linked)
    assert again.hit_ids == ["b", "a"]
    assert np.array_equal(again.signals, rank(SignalTable.of(candidates, linked), linked).signals)


candidate_lists = st.lists(
    st.builds(
        lambda name, dense, sparse, importance: candidate(
            name, dense, sparse, importance=importance
        ),
        st.text("abcdef", min_size=1, max_size=6),
        st.floats(-1, 1),
        st.floats(0, 40),
        st.integers(1, 10),
    ),
    max_size=25,
    unique_by=lambda row: row.id,
)


@given(candidate_lists, st.randoms())
def test_ranking_does_not_depend_on_the_order_of_candidates(
    candidates: list[CandidateRow], chance: st.DataObject
) -> None:
    """Shuffled candidates give the same hits."""
    shuffled = list(candidates)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert hit_rows(ranked(shuffled)) == hit_rows(ranked(candidates))


@given(candidate_lists)
def test_a_score_is_the_weighted_sum_of_its_signals(candidates: list[CandidateRow]) -> None:
    """A hit's score is the weighted sum of its signals, to 1e-6.

    Signals are from 0 to 1, and rank 1 has the highest score.
    """
    hits = hit_rows(ranked(candidates))
    assert [hit.rank for hit in hits] == list(range(1, len(candidates) + 1))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    for hit in hits:
        assert all(0.0 <= value <= 1.0 for value in hit.signals.values())
        weighted = sum(BALANCED.weights[name] * value for name, value in hit.signals.items())
        assert hit.score == pytest.approx(weighted, abs=1e-6)


def test_equal_scores_are_ordered_by_id() -> None:
    """Hits with equal scores always come in the order of their ids."""
    assert ranked([candidate("b"), candidate("a"), candidate("c")]).hit_ids == ["a", "b", "c"]


def test_candidates_below_a_threshold_are_no_hits() -> None:
    """`min_similarity` leaves out candidates by the signal `similarity` alone, `min_score` by the
    final score.
    """
    candidates = [
        candidate("a", 0.9, 9.0),
        candidate("b", 0.5, 1.0),
        candidate("c", 0.1, 0.0, importance=10),
    ]
    similar = ranked(candidates, Scoring(PROFILES["relevance"], NOW, min_similarity=0.9))
    assert (similar.hit_ids, len(similar)) == (["a"], 3)
    important = Scoring(dict.fromkeys(SIGNALS, 0.0) | {"importance": 1.0}, NOW, min_score=1.0)
    assert ranked(candidates, important).hit_ids == ["c"]


def test_duplicates_of_a_better_hit_are_no_hits() -> None:
    """Of several memories with the same content, only the best is a hit, unless their speakers
    differ.
    """
    ranking = ranked(
        [
            candidate("a", 0.9, content_hash="same"),
            candidate("b", 0.8, content_hash="same"),
            candidate("c", 0.7, content_hash="same", speaker="Ana"),
        ]
    )
    assert ranking.hit_ids == ["a", "c"]
    assert [candidate.id for candidate in ranking.candidates] == ["a", "c", "b"]
    assert ranking.duplicate_of == ("a",)


def test_without_candidates_there_are_no_hits() -> None:
    """Without candidates, the ranking is empty, and no error is raised."""
    assert hit_rows(ranked([])) == []

"""Scoring, which turns the candidates of a search into ranked hits."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from retrieval.query.profiles import PROFILES, SIGNALS
from retrieval.ranking.ranked import RankedCandidates
from retrieval.ranking.scoring import Scoring, rank
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
    return rank(make_candidates(candidates), scoring)


def test_a_memory_that_a_hit_links_to_is_raised() -> None:
    """The signal `link` raises the score of a memory that a better hit links to."""
    link = {"to": "c", "type": "extends", "strength": 1.0}
    rows = [candidate("a", 0.9, links=[link]), candidate("b", 0.1), candidate("c", 0.0)]
    scoring = Scoring(PROFILES["default"], NOW)
    linked = ranked(rows, scoring)
    assert linked.hit_ids == ["a", "c", "b"]
    assert linked.signals_at(1)["link"] > 0
    assert ranked([candidate("a", 0.9), *rows[1:]], scoring).hit_ids == ["a", "b", "c"]


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

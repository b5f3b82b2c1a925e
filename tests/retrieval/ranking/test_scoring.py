"""Candidates to ranked hits."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import Candidate
from retrieval.query.profiles import PROFILES, SIGNALS
from retrieval.ranking.ranked import Ranking
from retrieval.ranking.scoring import Scoring, rank

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BALANCED = Scoring(PROFILES["balanced"], NOW)


def candidate(name: str, dense: float | None = 0.5, sparse: float | None = 1.0, **payload: object) -> Candidate:
    """A fact that was made now."""
    base = {"created_at": "2026-03-01T00:00:00Z", "content_hash": name, "tokens": {"count": 5, "line": 7}}
    return Candidate(name, MemoryType.SEMANTIC, dense, sparse, base | payload)


candidates = st.lists(
    st.builds(
        lambda name, dense, sparse, importance: candidate(name, dense, sparse, importance=importance),
        st.text("abcdef", min_size=1, max_size=6),
        st.floats(-1, 1),
        st.floats(0, 40),
        st.integers(1, 10),
    ),
    max_size=25,
    unique_by=lambda one: one.id,
)


def told(ranking: Ranking) -> list[object]:
    """What is said of each hit."""
    return [(hit.rank, hit.candidate.id, hit.score, hit.signals) for hit in ranking.hits]


@given(candidates, st.randoms())
def test_the_order_in_which_candidates_arrive_does_not_matter(found: list[Candidate], chance: st.DataObject) -> None:
    """The same candidates give the same ranking."""
    shuffled = list(found)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert told(rank(shuffled, BALANCED)) == told(rank(found, BALANCED))


@given(candidates)
def test_a_score_is_the_weighted_sum_of_its_signals(found: list[Candidate]) -> None:
    """Every signal lies in [0, 1], the sum is exact to 1e-6, ranks count from 1 and scores never rise."""
    ranking = rank(found, BALANCED)
    assert [hit.rank for hit in ranking.hits] == list(range(1, len(found) + 1))
    scores = [hit.score for hit in ranking.hits]
    assert scores == sorted(scores, reverse=True)
    for hit in ranking.hits:
        assert all(0.0 <= value <= 1.0 for value in hit.signals.values())
        weighted = sum(BALANCED.weights[name] * value for name, value in hit.signals.items())
        assert hit.score == pytest.approx(weighted, abs=1e-6)


def test_equal_scores_are_ordered_by_id() -> None:
    """A tie is broken the same way every time."""
    assert [hit.candidate.id for hit in rank([candidate("b"), candidate("a"), candidate("c")], BALANCED).hits] == [
        "a",
        "b",
        "c",
    ]


def test_gates_hold_back_what_does_not_reach_them() -> None:
    """min_similarity looks at similarity alone, min_score at the final score."""
    found = [candidate("a", 0.9, 9.0), candidate("b", 0.5, 1.0), candidate("c", 0.1, 0.0, importance=10)]
    relevance = PROFILES["relevance"]
    similar = rank(found, Scoring(relevance, NOW, min_similarity=0.9))
    assert ([hit.candidate.id for hit in similar.hits], len(similar.left)) == (["a"], 2)
    important = Scoring(dict.fromkeys(SIGNALS, 0.0) | {"importance": 1.0}, NOW, min_score=1.0)
    assert [hit.candidate.id for hit in rank(found, important).hits] == ["c"]


def test_the_same_words_are_shown_once() -> None:
    """Of several memories with one content the best ranked stays, unless another person said them."""
    found = [
        candidate("a", 0.9, content_hash="same"),
        candidate("b", 0.8, content_hash="same"),
        candidate("c", 0.7, content_hash="same", speaker="Ana"),
    ]
    ranking = rank(found, BALANCED)
    assert ([hit.candidate.id for hit in ranking.hits], [(one.candidate.id, one.of) for one in ranking.left]) == (
        ["a", "c"],
        [("b", "a")],
    )


def test_without_candidates_there_are_no_hits() -> None:
    """An empty store is not an error."""
    assert told(rank([], BALANCED)) == []

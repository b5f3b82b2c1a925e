"""A later statement goes before the one that it brings up to date."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import Candidate, Candidates
from retrieval.query.profiles import CURRENT, weights_for
from retrieval.query.request import SearchRequest
from retrieval.ranking.fact_recency import FIRST, asks_for_value, lifts
from retrieval.ranking.scoring import Scoring, rank
from tests.builders import NOW


def said(name: str, seq: int, **fields: Any) -> Candidate:
    """What was said in the session at place `seq`."""
    payload = {
        "created_at": f"2026-01-01T00:{seq:02}:00Z",
        "session_id": "s1",
        "seq": seq,
        "speaker": "Ann",
        "gives_value": True,
        "content_hash": name,
        **fields,
    }
    return Candidate(name, MemoryType.EPISODIC, 0.5, None, payload)


def order(scores: list[float], *candidates: Candidate) -> list[str]:
    """The ids, best first, after lifting."""
    found = Candidates.of(candidates)
    given_scores = np.array(scores)
    best = np.argsort(-(given_scores + lifts(found, given_scores)), kind="stable")
    return [found.ids[place].decode() for place in best]


def test_the_later_of_two_goes_first() -> None:
    """By one speaker in a session, and nearly as good."""
    assert order([0.6, 0.5], said("a", 1), said("b", 5)) == ["b", "a"]
    assert order([0.6, 0.5], said("a", 5), said("b", 1)) == ["a", "b"]


@pytest.mark.parametrize(
    "later",
    [
        said("b", 5, speaker="Bob"),
        said("b", 5, gives_value=False),
        said("b", 5, session_id=None),
        Candidate("b", MemoryType.SEMANTIC, 0.5, None, said("b", 5).payload),
    ],
    ids=["another speaker", "no value", "no session", "another type"],
)
def test_what_is_not_lifted(later: Candidate) -> None:
    """Another's words, words without a value, what was said in no session, and what is of another type."""
    payload = {name: value for name, value in later.payload.items() if value is not None}
    assert order([0.6, 0.5], said("a", 1), Candidate("b", later.type, 0.5, None, payload)) == ["a", "b"]


def test_much_less_like_the_question_is_about_something_else() -> None:
    """Less than six tenths of the score is left where it is."""
    assert order([0.6, 0.3], said("a", 1), said("b", 5)) == ["a", "b"]


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30)), max_size=12))
def test_only_the_first_few_change_places(rows: list[tuple[float, int]]) -> None:
    """Nothing sinks, nothing enters the best few, and the rest keeps its order."""
    found = Candidates.of([said(f"{place:02}", seq) for place, (_, seq) in enumerate(rows)])
    scores = np.array([score for score, _ in rows], dtype=np.float64)
    lift = lifts(found, scores)
    before, after = (np.argsort(-one, kind="stable") for one in (scores, scores + lift))
    assert (lift >= 0).all()
    assert set(before[:FIRST]) == set(after[:FIRST])
    assert (before[FIRST:] == after[FIRST:]).all()


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("How many sources are in my library?", True),
        ("When is the review?", True),
        ("What is the deadline for the first draft?", False),
        ("What is the new deadline for the sprint?", True),
        ("What's my budget for sneakers?", True),
        ("How many days passed between the two trips?", False),
        ("Where did we go?", False),
        ("Why does the build fail?", False),
    ],
)
def test_questions_for_a_present_value(question: str, value: bool) -> None:  # noqa: FBT001
    """What was, and what is not a value, is another question."""
    assert asks_for_value(question) is value
    request = SearchRequest(query=question, namespace="n")
    name, weights = weights_for(request)
    assert name == "default"
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["current"] == (CURRENT if value else 0.0)


def test_the_signal_explains_the_score() -> None:
    """With it, the score still is the weighted sum of the signals."""
    request = SearchRequest(query="When is my review?", namespace="n")
    weights = weights_for(request)[1]
    hits = rank([said("a", 1), said("b", 5)], Scoring(weights, NOW, request.query)).hits
    assert [hit.candidate.id for hit in hits] == ["b", "a"]
    for hit in hits:
        assert hit.score == pytest.approx(sum(weights[name] * value for name, value in hit.signals.items()))
    assert hits[0].signals["current"] > 0

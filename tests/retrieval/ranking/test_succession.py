"""Later statements that take the place of earlier ones: which are ranked above them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.search.vectors import heaviest, numbered
from retrieval.ranking.succession import BEST, succession_boosts
from tests.builders import make_sparse
from tests.candidates import CandidateRow, make_candidates

QUESTION = numbered(np.array([1, 2], np.uint32))


def statement(name: str, day: int, terms: list[int], **fields: Any) -> CandidateRow:
    """A fact told on a day of January, with these terms. fields: other fields of its payload; None
    leaves a field out.
    """
    payload = {
        "session_id": f"s{day}",
        "created_at": f"2026-01-{day:02}T09:00:00Z",
        "seq": day,
        "content_hash": name,
        "terms": heaviest(make_sparse(sorted(terms))),
        **fields,
    }
    present = {field: value for field, value in payload.items() if value is not None}
    return CandidateRow(name, MemoryType.SEMANTIC, 0.5, None, present)


def order(
    scores: list[float], *hits: CandidateRow, answers: tuple[float, ...] | None = None
) -> list[str]:
    """The ids of the hits, best first, after later ones among them were raised. answers:
    probabilities that they answer the question; None if no reader has read them.
    """
    array = np.array(scores)
    read = np.zeros(len(hits)) if answers is None else np.array(answers)
    boosts = succession_boosts(make_candidates(hits), array, array, QUESTION, read)
    best = np.argsort(-(array + boosts), kind="stable")
    return [hits[index].id for index in best]


def test_a_later_statement_about_the_same_thing_ranks_above_the_earlier_one() -> None:
    earlier = statement("a", 1, [1, 2, 3, 4])
    later = statement("b", 20, [1, 2, 3, 5])
    assert order([0.6, 0.5], earlier, later) == ["b", "a"]
    assert order([0.5, 0.6], later, earlier) == ["b", "a"], "and stays there"


@pytest.mark.parametrize(("answers", "first"), [((0.8, 0.75), "b"), ((0.8, 0.1), "a")])
def test_a_later_statement_that_hardly_answers_the_question_stays_below(
    answers: tuple[float, ...], first: str
) -> None:
    earlier = statement("a", 1, [1, 2, 3, 4])
    later = statement("b", 20, [1, 2, 3, 5])
    assert order([0.6, 0.5], earlier, later, answers=answers)[0] == first


def test_an_earlier_statement_never_ranks_above_a_later_one() -> None:
    earlier = statement("a", 1, [1, 2, 3, 4])
    later = statement("b", 20, [1, 2, 3, 5])
    assert order([0.5, 0.6], earlier, later) == ["b", "a"]


def test_a_later_statement_with_a_much_lower_score_is_about_another_thing() -> None:
    earlier = statement("a", 1, [1, 2, 3, 4])
    assert order([0.6, 0.1], earlier, statement("b", 20, [7, 8])) == ["a", "b"]


def test_of_a_thing_that_changed_twice_the_latest_ranks_first() -> None:
    first = statement("a", 1, [1, 2, 3, 4])
    second = statement("b", 10, [1, 2, 3, 5])
    third = statement("c", 20, [1, 2, 3, 6])
    assert order([0.6, 0.55, 0.5], first, second, third) == ["c", "b", "a"]


def event(name: str, minute: int, **fields: Any) -> CandidateRow:
    """A turn of Ann that gives a value, in a session. fields: other fields of its payload."""
    payload = {
        "created_at": f"2026-01-01T09:{minute:02}:00Z",
        "session_id": "s1",
        "seq": minute,
        "speaker": "Ann",
        "gives_value": True,
        "content_hash": name,
        **fields,
    }
    return CandidateRow(name, MemoryType.EPISODIC, 0.5, None, payload)


def test_a_later_event_with_a_value_ranks_above_an_earlier_one_of_the_same_speaker() -> None:
    assert order([0.6, 0.5], event("a", 1), event("b", 5)) == ["b", "a"]
    assert order([0.6, 0.5], event("a", 5), event("b", 1)) == ["a", "b"]


@pytest.mark.parametrize(
    "fields", [{"speaker": "Bob"}, {"gives_value": False}, {"tokens": {"count": 201}}], ids=str
)
def test_other_later_events_keep_their_rank(fields: dict[str, Any]) -> None:
    assert order([0.6, 0.5], event("a", 1), event("b", 5, **fields)) == ["a", "b"]


def test_a_later_fact_without_a_session_needs_three_fifths_of_the_score() -> None:
    earlier = statement("a", 1, [1, 2], session_id=None)
    later = statement("b", 20, [1, 2], session_id=None)
    assert order([0.6, 0.4], earlier, later) == ["b", "a"]
    assert order([0.6, 0.3], earlier, later) == ["a", "b"]


def test_of_facts_of_the_same_time_none_is_the_later_one() -> None:
    one = statement("a", 1, [1, 2, 3, 4], session_id=None)
    other = statement("b", 1, [1, 2, 3, 5], session_id=None)
    assert order([0.6, 0.59], one, other) == ["a", "b"]


def test_two_memories_with_the_same_text_take_one_place_among_the_best() -> None:
    copies = [statement(f"copy{n}", 1, [1, 2, 3, 4], content_hash="a") for n in range(BEST)]
    later = statement("z", 20, [1, 2, 3, 5])
    assert order([0.6] * BEST + [0.5], *copies, later)[0] == "z"


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 30)), max_size=14))
def test_only_the_best_hits_change_places(rows: list[tuple[float, int]]) -> None:
    hits = [statement(f"{index:02}", day, [1, index + 2]) for index, (_, day) in enumerate(rows)]
    scores = np.array([score for score, _ in rows], dtype=np.float64)
    unread = np.zeros(len(hits))
    boosts = succession_boosts(make_candidates(hits), scores, scores, QUESTION, unread)
    before, after = (np.argsort(-values, kind="stable") for values in (scores, scores + boosts))
    assert (boosts >= 0).all()
    assert set(before[:BEST]) == set(after[:BEST])
    assert (before[BEST:] == after[BEST:]).all()

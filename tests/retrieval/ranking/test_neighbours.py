"""Values, such as similarities, of the turns next to each candidate, compared with a plain
implementation.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from memtypes.model.policy import LONG_TERM, MemoryType
from retrieval.ranking.neighbours import neighbours_of
from tests.candidates import CandidateRow, make_candidates

KINDS = (MemoryType.EPISODIC, MemoryType.SEMANTIC, MemoryType.PROCEDURAL)
NUMBERS = st.sampled_from([-(2**62), -3, -2, -1, 0, 1, 2, 3, 4, 5, 2**62, 2**62 + 1, 2**63 - 1])


def turn(
    number: int | None, session: str | None = "s", kind: MemoryType = MemoryType.EPISODIC
) -> CandidateRow:
    """A turn with this sequence number in a session, as a candidate. None leaves the number or
    session out.
    """
    fields = {"seq": number, "session_id": session}
    return CandidateRow(
        "id", kind, 0.5, None, {name: value for name, value in fields.items() if value is not None}
    )


TURNS = st.lists(
    st.builds(turn, st.none() | NUMBERS, st.sampled_from([None, "s", "t"]), st.sampled_from(KINDS)),
    max_size=25,
)


def plain_neighbour(
    candidates: list[CandidateRow], candidate: CandidateRow, offset: int
) -> int | None:
    """Position of the candidate that is `offset` turns after `candidate` in the same session; None
    if there is none.
    """
    session = candidate.payload.get("session_id")
    number = candidate.payload.get("seq")
    matching = [
        position
        for position, other in enumerate(candidates)
        if candidate.type in LONG_TERM
        and (session is not None and number is not None)
        and other.type in LONG_TERM
        and (other.payload.get("session_id"), other.payload.get("seq"))
        == (session, number + offset)
    ]
    return matching[-1] if matching else None


def plain_side(
    candidates: list[CandidateRow], values: NDArray[np.float64], offset: int
) -> list[float]:
    """For each candidate, the larger value of the turns `offset` turns before and after it; 0
    without such turns.
    """
    sides = [
        [plain_neighbour(candidates, row, step) for step in (-offset, offset)] for row in candidates
    ]
    return [
        max(
            (float(values[position]) for position in positions if position is not None), default=0.0
        )
        for positions in sides
    ]


def session_of(candidate: CandidateRow) -> str | None:
    """The session of a long-term memory with a sequence number; None for any other candidate."""
    is_turn = candidate.type in LONG_TERM and {"seq", "session_id"} <= candidate.payload.keys()
    return candidate.payload["session_id"] if is_turn else None


def plain_session(candidates: list[CandidateRow], values: NDArray[np.float64]) -> list[float]:
    """For each candidate, the largest of the values of its session's candidates; without a session,
    its own value.
    """
    sessions = [session_of(candidate) for candidate in candidates]
    return [
        float(
            max(
                values[other]
                for other in range(len(candidates))
                if other == position or (sessions[other] and sessions[other] == session)
            )
        )
        for position, session in enumerate(sessions)
    ]


@given(TURNS, st.integers(0, 2**32 - 1))
def test_neighbours_agree_with_the_plain_implementation(
    candidates: list[CandidateRow], seed: int
) -> None:
    """Fast and plain code find the same values of neighbours, also with gaps and repeated sequence
    numbers.
    """
    neighbours = neighbours_of(make_candidates(candidates))
    values = np.random.default_rng(seed).random(len(candidates))
    next_to = plain_side(candidates, values, 1)
    two_away = plain_side(candidates, values, 2)
    assert neighbours.next_to(values).tolist() == next_to
    assert neighbours.two_away(values).tolist() == two_away
    factors = (0.8, 0.5, 0.4)
    rows = zip(next_to, two_away, plain_session(candidates, values), strict=True)
    largest = [
        max(factor * value for factor, value in zip(factors, row, strict=True)) for row in rows
    ]
    assert (
        neighbours.spread(values, *factors).tolist() == np.maximum(values, largest or 0.0).tolist()
    )


@given(TURNS, st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_session_sums_add_the_best_values_of_each_session(
    candidates: list[CandidateRow], seed: int, best: int
) -> None:
    """Each candidate gets the sum of its session's `best` largest values. Without a session, it
    keeps its own value.
    """
    values = np.random.default_rng(seed).random(len(candidates))
    sessions = [
        session_of(candidate) or f"alone {position}"
        for position, candidate in enumerate(candidates)
    ]
    grouped = {
        name: [float(v) for v, other in zip(values, sessions, strict=True) if other == name]
        for name in sessions
    }
    expected = [sum(sorted(grouped[name], reverse=True)[:best]) for name in sessions]
    assert neighbours_of(make_candidates(candidates)).session_sums(
        values, best
    ).tolist() == pytest.approx(expected)


@given(st.integers(2, 40), st.integers(1, 6))
def test_a_matrix_is_spread_column_by_column(count: int, width: int) -> None:
    """spread() raises values to those of neighbours. Each column of a matrix gets the same result
    as on its own.
    """
    neighbours = neighbours_of(
        make_candidates([turn(number % 7, f"{number % 3}") for number in range(count)])
    )
    rows = np.random.default_rng(count).random((count, width))
    by_column = [neighbours.spread(rows[:, column], 0.8, 0.5, 0.4) for column in range(width)]
    assert (neighbours.spread(rows, 0.8, 0.5, 0.4) == np.column_stack(by_column)).all()


def test_only_memories_of_one_session_are_neighbours() -> None:
    """Candidates of different sessions, candidates without a session and working memory are no
    neighbours.
    """
    candidates = [turn(1), turn(2, "other"), turn(2, kind=MemoryType.WORKING), turn(0, None)]
    neighbours = neighbours_of(make_candidates(candidates))
    assert (
        neighbours.next_to(np.ones(4)).tolist()
        == neighbours.two_away(np.ones(4)).tolist()
        == [0.0] * 4
    )
    assert neighbours.spread(np.arange(4.0), 1.0, 1.0, 1.0).tolist() == list(range(4))


def test_turns_of_different_types_are_neighbours() -> None:
    """Consecutive messages of a session are neighbours, whatever their memory types."""
    neighbours = neighbours_of(make_candidates([turn(1), turn(2, kind=MemoryType.PROSPECTIVE)]))
    assert neighbours.next_to(np.array([0.5, 1.0])).tolist() == [1.0, 0.5]


def test_the_largest_value_of_a_session_reaches_all_of_it() -> None:
    """With a share of 0.5, every candidate of a session gets at least half of the session's largest
    value.
    """
    neighbours = neighbours_of(
        make_candidates([turn(1), turn(9, "other"), turn(40), turn(7, None)])
    )
    assert neighbours.spread(np.array([1.0, 5.0, 8.0, 0.0]), 0.8, 0.5, 0.5).tolist() == [
        4.0,
        5.0,
        8.0,
        0.0,
    ]

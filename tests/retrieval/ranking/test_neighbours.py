"""Neighbours: who stands next to whom, against the plain definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import Candidate, Candidates
from retrieval.ranking.neighbours import ORDERED, neighbours

KINDS = (MemoryType.EPISODIC, MemoryType.SEMANTIC, MemoryType.PROCEDURAL)
NUMBERS = st.sampled_from([-(2**62), -3, -2, -1, 0, 1, 2, 3, 4, 5, 2**62, 2**62 + 1, 2**63 - 1])


def turn(number: int | None, session: str | None = "s", kind: MemoryType = MemoryType.EPISODIC) -> Candidate:
    """The turn with this number of a session."""
    said = {"seq": number, "session_id": session}
    return Candidate("one", kind, 0.5, None, {name: value for name, value in said.items() if value is not None})


TURNS = st.lists(
    st.builds(turn, st.none() | NUMBERS, st.sampled_from([None, "s", "t"]), st.sampled_from(KINDS)), max_size=25
)


def plain_neighbour(found: list[Candidate], one: Candidate, offset: int) -> int | None:
    """The place of the last one that stands so many numbers on, as it is defined."""
    session, number = one.payload.get("session_id"), one.payload.get("seq")
    wanted = [
        place
        for place, other in enumerate(found)
        if one.type in ORDERED
        and (session is not None and number is not None)
        and (other.type, other.payload.get("session_id"), other.payload.get("seq"))
        == (one.type, session, number + offset)
    ]
    return wanted[-1] if wanted else None


def plain_side(found: list[Candidate], values: NDArray[np.float64], offset: int) -> list[float]:
    """The larger of the values so many numbers before and after each."""
    sides = [[plain_neighbour(found, one, away) for away in (-offset, offset)] for one in found]
    return [max((float(values[place]) for place in places if place is not None), default=0.0) for places in sides]


def plain_session(found: list[Candidate], values: NDArray[np.float64]) -> list[float]:
    """The largest value of each one's session, its own where it has none."""

    def session(one: Candidate) -> tuple[MemoryType, str] | None:
        has = one.type in ORDERED and {"seq", "session_id"} <= one.payload.keys()
        return (one.type, one.payload["session_id"]) if has else None

    own = [session(one) for one in found]
    return [
        float(
            max(values[other] for other in range(len(found)) if other == place or (own[other] and own[other] == mine))
        )
        for place, mine in enumerate(own)
    ]


@given(TURNS, st.integers(0, 2**32 - 1))
def test_values_of_neighbours_are_those_of_the_definition(found: list[Candidate], seed: int) -> None:
    """Next door, two places away and in the session, for any order, gaps, repeats and sizes of numbers."""
    near = neighbours(Candidates.of(found))
    values = np.random.default_rng(seed).random(len(found))
    next_to, two_away = plain_side(found, values, 1), plain_side(found, values, 2)
    assert near.next_to(values).tolist() == next_to
    assert near.two_away(values).tolist() == two_away
    parts = (0.8, 0.5, 0.4)
    shares = zip(next_to, two_away, plain_session(found, values), strict=True)
    widest = [max(part * value for part, value in zip(parts, three, strict=True)) for three in shares]
    assert near.widened(values, *parts).tolist() == np.maximum(values, widest or 0.0).tolist()


@given(st.integers(2, 40), st.integers(1, 6))
def test_rows_are_widened_as_their_columns_are(count: int, width: int) -> None:
    """A matrix of values is treated column by column."""
    near = neighbours(Candidates.of([turn(number % 7, f"{number % 3}") for number in range(count)]))
    rows = np.random.default_rng(count).random((count, width))
    by_column = [near.widened(rows[:, column], 0.8, 0.5, 0.4) for column in range(width)]
    assert (near.widened(rows, 0.8, 0.5, 0.4) == np.column_stack(by_column)).all()


def test_sessions_types_and_loners_have_no_common_neighbours() -> None:
    """Only memories of one ordered type in one session stand next to each other."""
    found = [turn(1), turn(2, "other"), turn(2, kind=MemoryType.SEMANTIC), turn(0, None), turn(7, kind=KINDS[2])]
    near = neighbours(Candidates.of([*found, turn(8, kind=KINDS[2])]))
    assert near.next_to(np.ones(6)).tolist() == near.two_away(np.ones(6)).tolist() == [0.0] * 6
    assert near.widened(np.arange(6.0), 1.0, 1.0, 1.0).tolist() == list(range(6))


def test_a_session_has_its_largest_value() -> None:
    """Each memory of a session has a part of the largest value of all its candidates, wherever they stand."""
    near = neighbours(Candidates.of([turn(1), turn(9, "other"), turn(40), turn(7, None)]))
    assert near.widened(np.array([1.0, 5.0, 8.0, 0.0]), 0.8, 0.5, 0.5).tolist() == [4.0, 5.0, 8.0, 0.0]

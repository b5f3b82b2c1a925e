"""Late interaction, neighbours and mention: from what the store gives to signals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import TYPES, Candidate, Candidates
from retrieval.ranking.maxsim import IN_SESSION, NEXT, SHARPNESS, TWO_AWAY, UNMET, late_similarity, token_weights
from retrieval.ranking.neighbours import neighbours
from retrieval.ranking.signals import context
from retrieval.ranking.speaker_match import mention, names


def candidate(
    number: int, late: list[float] | None = None, session: str | None = "s", kind: MemoryType = MemoryType.EPISODIC
) -> Candidate:
    """The turn with this number of a session."""
    payload = {"seq": number} if session is None else {"seq": number, "session_id": session}
    return Candidate(f"{number:03}", kind, 0.5, None, payload, None if late is None else np.array(late, np.float32))


def late_of(given: list[Candidate]) -> list[float]:
    """The late scores, which must be there."""
    found = Candidates.of(given)
    scores = late_similarity(found, neighbours(found))
    assert scores is not None
    return [float(score) for score in scores]


def test_a_token_that_stands_out_counts_more() -> None:
    """A query token that few candidates meet outweighs one that all meet alike."""
    found = [candidate(10 * n, row) for n, row in enumerate([[0.9, 0.2], [0.8, 0.9], [0.9, 0.2], [0.85, 0.1]])]
    scores = late_of(found)
    assert scores.index(max(scores)) == 1
    common, rare = token_weights(np.array([[0.9, 0.2], [0.8, 0.9], [0.9, 0.2], [0.85, 0.1]]))
    assert rare > 5 * common


def test_a_match_next_door_counts_less_than_ones_own() -> None:
    """A token that the neighbouring turn meets counts in part, two places away less, elsewhere in the session least."""
    rows = [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    found = [candidate(n, row) for n, row in enumerate(rows)]
    met = [(NEXT, 1.0), (1.0, NEXT), (NEXT, TWO_AWAY), (TWO_AWAY, IN_SESSION), (IN_SESSION, IN_SESSION)]
    expected = [np.sqrt((one + UNMET) * (other + UNMET)) / (1 + UNMET) for one, other in [*met, met[-1]]]
    assert late_of(found) == pytest.approx(expected)
    assert SHARPNESS > 1


def test_all_tokens_met_half_are_more_than_half_of_them_met_well() -> None:
    """What is sought is a memory that speaks of everything that was asked."""
    rows = {"a": [0.6, 0.6], "b": [0.95, 0.1], "c": [0.1, 0.95]}
    both, one, other = late_of([candidate(1, row, session) for session, row in rows.items()])
    assert both > max(one, other)


def test_without_token_vectors_there_is_no_late_score() -> None:
    """A memory without them has 0, next to those that have some; when none has any there is no late interaction."""
    nan = float("nan")
    assert late_of([candidate(1, [1.0]), candidate(2, [nan]), candidate(3)])[1:] == [0.0, 0.0]
    empty: list[list[list[float] | None]] = [[None, None], [[nan], [nan]], [[], []]]
    for rows in empty:
        found = Candidates.of([candidate(n, row) for n, row in enumerate(rows)])
        assert late_similarity(found, neighbours(found)) is None


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(1, 8)), elements=st.floats(0, 1)))
def test_weights_are_a_distribution(met: NDArray[np.float64]) -> None:
    """Whatever the cosines, no weight is negative and they sum to 1."""
    weights = token_weights(met)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_context_lies_between_0_and_1(similar: list[float]) -> None:
    """The neighbours' similarity, three parts next door and one part two places away."""
    found = Candidates.of([candidate(number) for number in range(len(similar))])
    signal = context(np.array(similar), neighbours(found), found)
    assert ((signal >= 0) & (signal <= 1)).all()


def test_the_neighbours_of_a_turn_count_half_of_those_of_a_fact() -> None:
    """A turn is embedded with what was said before it."""
    turns = Candidates.of([candidate(number) for number in range(3)])
    facts = replace(turns, kinds=np.full(3, TYPES.index(MemoryType.SEMANTIC), dtype=np.int8))
    similar, near = np.array([0.4, 0.0, 0.8]), neighbours(turns)
    assert context(similar, near, facts).tolist() == pytest.approx([0.2, 0.6, 0.1])
    assert context(similar, near, turns).tolist() == pytest.approx([0.1, 0.3, 0.05])


@pytest.mark.parametrize(
    ("query", "name", "named"),
    [
        ("What did Gina buy?", "Gina", True),
        ("what did GINA's brother say", "gina", True),
        ("Imagination", "Gina", False),
        ("Anna-Lena or Jo?", "Jo", True),
        ("What about José?", "JOSÉ", True),
        ("2+2 (a.b)", "a.b", True),
        ("2+2 (aXb)", "a.b", False),
    ],
)
def test_a_name_is_a_whole_word(query: str, name: str, named: bool) -> None:  # noqa: FBT001
    """In whatever case, whatever its signs, but not within another word."""
    assert names(query, name) is named


def test_mention_marks_what_the_named_said() -> None:
    """1 for the speakers that the query names, 0 for others and for what nobody said."""
    speakers = ["Gina", "Jon", None, "Gina"]
    found = [
        Candidate(str(n), MemoryType.EPISODIC, 0.1, None, {} if who is None else {"speaker": who})
        for n, who in enumerate(speakers)
    ]
    assert mention("Where did Gina go?", Candidates.of(found)).tolist() == [1.0, 0.0, 0.0, 1.0]

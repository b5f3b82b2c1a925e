"""Synthetic texts for speed benchmarks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness.synthetic import questions, turns


@given(st.integers(0, 50), st.integers(0, 1_000))
def test_texts_are_distinct_and_reproducible(count: int, seed: int) -> None:
    """The same seed gives the same synthetic texts. All texts of a seed are different."""
    texts = list(turns(count, seed=seed))
    assert texts == list(turns(count, seed=seed))
    assert len({turn.text for turn in texts}) == count
    assert len(set(questions(count, seed=seed))) == count


def test_synthetic_texts_are_as_long_as_conversation_turns() -> None:
    """Synthetic texts have a few dozen words on average."""
    lengths = [len(turn.text.split()) for turn in turns(300, seed=1)]
    assert min(lengths) >= 8
    assert max(lengths) <= 61
    assert 25 < sum(lengths) / len(lengths) < 45

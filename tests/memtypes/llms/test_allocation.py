"""The parts of a window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memtypes.llms.allocation import LARGE_WINDOW, allocate


@given(window=st.integers(0, 20_000_000))
def test_the_parts_are_the_whole(window: int) -> None:
    """No token of a window is given twice, and none is lost."""
    parts = allocate(window)
    assert parts.content + parts.response == window
    assert parts.files + parts.history + parts.memory + parts.prompt == parts.content
    assert min(parts.files, parts.history, parts.memory, parts.prompt, parts.response) >= 0


def test_a_window_below_the_bound() -> None:
    """60 % content, of it 30 % files and 50 % history."""
    parts = allocate(200_000)
    assert (parts.content, parts.response, parts.files, parts.history) == (120_000, 80_000, 36_000, 60_000)
    assert allocate(LARGE_WINDOW - 1).response > (LARGE_WINDOW - 1) // 3


def test_a_large_window() -> None:
    """80 % content, of it 40 % files and 40 % history."""
    parts = allocate(LARGE_WINDOW)
    assert (parts.content, parts.response, parts.files, parts.history) == (240_000, 60_000, 96_000, 96_000)

"""F1 of found types."""

from __future__ import annotations

import pytest

from benchmarks.texts.classification import f1
from memtypes.model.policy import MemoryType

A, B = MemoryType.EPISODIC, MemoryType.SEMANTIC


@pytest.mark.parametrize(
    ("pairs", "score"), [([(A, A), (B, B)], 1.0), ([(A, B), (B, A)], 0.0), ([(A, A), (A, B)], 2 / 3), ([], 0.0)]
)
def test_f1_counts_misses_and_false_finds(pairs: list[tuple[MemoryType, MemoryType]], score: float) -> None:
    """Twice the right ones over those plus all that was wrong."""
    assert f1(pairs, A) == pytest.approx(score)

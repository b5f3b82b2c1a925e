"""Paired tests: their chances, and what they say of equal and unequal rankings."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.paired import compare, mcnemar, sign_flip

COUNTS = st.integers(min_value=0, max_value=200)
GAINS = st.lists(st.sampled_from((-1.0, -0.5, 0.0, 0.5, 1.0)), max_size=12)


def test_mcnemar_of_known_counts() -> None:
    """The chances are those of a fair coin."""
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 5) == pytest.approx(2 / 32)
    assert mcnemar(1, 5) == pytest.approx(2 * 7 / 64)


@given(COUNTS, COUNTS)
def test_mcnemar_is_a_chance_and_knows_no_direction(lost: int, won: int) -> None:
    """It is between 0 and 1, and the same either way round."""
    assert 0.0 < mcnemar(lost, won) <= 1.0
    assert mcnemar(lost, won) == mcnemar(won, lost)


def test_counts_below_zero_are_refused() -> None:
    """There is no negative number of questions."""
    with pytest.raises(ValueError, match="0 or more"):
        mcnemar(-1, 0)


@given(GAINS)
def test_sign_flips_come_near_the_exact_chance(gains: list[float]) -> None:
    """Random sign changes give about what all of them together give."""
    changed = [abs(gain) for gain in gains if gain]
    observed = abs(sum(gains))
    sums = [
        sum(gain if mask >> place & 1 else -gain for place, gain in enumerate(changed))
        for mask in range(2 ** len(changed))
    ]
    exact = sum(abs(total) >= observed - 1e-9 for total in sums) / len(sums)
    assert sign_flip(gains) == pytest.approx(exact, abs=5 * math.sqrt(0.25 / 10_000) + 1e-3)


def test_equal_rankings_differ_by_nothing() -> None:
    """The difference is 0 and so is every doubt."""
    figures = [{"R@10": 0.5, "hit@10": 1.0}, {"R@10": 0.0, "hit@10": 0.0}]
    pair = compare(figures, figures)
    assert (pair.n, pair.first, pair.second) == (2, 0.25, 0.25)
    assert (pair.difference.mean, pair.recall_chance, pair.hit_chance) == (0.0, 1.0, 1.0)


def test_a_better_ranking_is_told_from_an_equal_one() -> None:
    """Twelve questions won and none lost are no coincidence."""
    lost = [{"R@10": 0.0, "hit@10": 0.0}] * 12
    won = [{"R@10": 1.0, "hit@10": 1.0}] * 12
    pair = compare(lost, won)
    assert pair.difference.mean == 1.0
    assert pair.recall_chance < 0.005
    assert pair.hit_chance == pytest.approx(2 / 2**12)


def test_questions_are_paired_one_to_one() -> None:
    """Rankings of different numbers of questions are refused."""
    with pytest.raises(ValueError, match="zip"):
        compare([{"R@10": 0.0, "hit@10": 0.0}], [])

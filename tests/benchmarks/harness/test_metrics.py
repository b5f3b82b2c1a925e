"""Ranking metrics, confidence intervals and paired tests, checked by hand and with random
inputs.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness.metrics import (
    bootstrap,
    hit_at,
    ndcg_at,
    paired_test,
    percentile,
    percentiles,
    recall_at,
    reciprocal_rank,
    sign_flip,
)

RANKING = ("a", "b", "c", "d", "e")
IDS = st.sampled_from("abcdefgh")
RANKINGS = st.lists(IDS, unique=True, max_size=8)
EVIDENCE = st.sets(IDS, min_size=1)
GAINS = st.lists(st.sampled_from((-1.0, -0.5, 0.0, 0.5, 1.0)), max_size=12)


def test_recall_counts_the_evidence_among_the_first() -> None:
    """Recall at k is the share of a question's evidence that is among the first k results."""
    assert recall_at(RANKING, ["b", "e", "x"], 2) == pytest.approx(1 / 3)
    assert recall_at(RANKING, ["b", "e", "x"], 5) == pytest.approx(2 / 3)


def test_hit_rate_needs_one_piece_of_evidence() -> None:
    """The hit rate at k is 1 for a question if any of its evidence is among the first k results,
    and otherwise 0.
    """
    assert hit_at(RANKING, ["e", "x"], 4) == 0.0
    assert hit_at(RANKING, ["e", "x"], 5) == 1.0


def test_reciprocal_rank_is_one_over_the_rank_of_the_first_evidence() -> None:
    assert reciprocal_rank(RANKING, ["c", "e"]) == pytest.approx(1 / 3)
    assert reciprocal_rank(RANKING, ["x"]) == 0.0


def test_ndcg_equals_the_value_computed_by_hand() -> None:
    """For two pieces of evidence at ranks 1 and 3, the nDCG is (1 + 1/2) / (1 + 1/log2 3)."""
    assert ndcg_at(RANKING, ["a", "c"], 10) == pytest.approx(1.5 / (1 + 1 / math.log2(3)))
    assert ndcg_at(RANKING, ["c"], 2) == 0.0
    assert ndcg_at(RANKING, ["c"], 0) == 0.0


def test_ndcg_counts_a_repeated_id_once() -> None:
    assert ndcg_at(["a", "a"], ["a", "b"], 2) == ndcg_at(["a", "x"], ["a", "b"], 2)


@pytest.mark.parametrize("metric", [recall_at, hit_at, ndcg_at])
def test_a_metric_without_evidence_raises_an_error(metric: object) -> None:
    with pytest.raises(ValueError, match="without evidence"):
        metric(RANKING, [], 5)  # type: ignore[operator]


@given(RANKINGS, EVIDENCE, st.integers(1, 10))
def test_metrics_lie_between_0_and_1(ranking: list[str], evidence: set[str], k: int) -> None:
    """Recall, nDCG and reciprocal rank are from 0 to 1. Recall is at most the hit rate."""
    figures = [
        recall_at(ranking, evidence, k),
        ndcg_at(ranking, evidence, k),
        reciprocal_rank(ranking, evidence),
    ]
    assert all(0.0 <= figure <= 1.0 + 1e-12 for figure in figures)
    assert recall_at(ranking, evidence, k) <= hit_at(ranking, evidence, k)


@given(RANKINGS, EVIDENCE, st.integers(1, 10))
def test_recall_grows_with_k(ranking: list[str], evidence: set[str], k: int) -> None:
    """A larger cutoff never lowers recall."""
    assert recall_at(ranking, evidence, k) <= recall_at(ranking, evidence, k + 1)


@given(EVIDENCE, st.lists(st.sampled_from("uvwxyz"), unique=True))
def test_a_ranking_that_begins_with_all_evidence_has_ndcg_1(
    evidence: set[str], other_ids: list[str]
) -> None:
    assert ndcg_at([*evidence, *other_ids], evidence, 10) == pytest.approx(1.0)


def test_bootstrap_of_equal_values_has_no_width() -> None:
    """If all values are equal, both ends of their bootstrap confidence interval equal the value."""
    interval = bootstrap([0.25] * 40)
    assert (interval.mean, interval.low, interval.high) == (0.25, 0.25, 0.25)


def test_bootstrap_reaches_two_standard_errors_to_either_side() -> None:
    values = [0.0, 1.0] * 200
    interval = bootstrap(values)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(400), rel=0.1)
    assert interval == bootstrap(values)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_bootstrap_stays_within_the_values(values: list[float]) -> None:
    """A bootstrap confidence interval lies between the smallest and the largest value."""
    interval = bootstrap(values, resamples=200)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


def test_bootstrap_needs_values() -> None:
    """A bootstrap confidence interval of an empty list raises ValueError."""
    with pytest.raises(ValueError, match="at least one"):
        bootstrap([])


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.001, 1)]
)
def test_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    """The 95th percentile of the numbers 1 to 100 is 95, and so on for other shares."""
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_percentiles_are_named() -> None:
    """percentiles() returns a dict with the keys p50, p95 and p99."""
    assert percentiles([1.0, 2.0]) == {"p50": 1.0, "p95": 2.0, "p99": 2.0}


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_an_element_of_its_input(values: list[float], share: float) -> None:
    """percentile() returns one of the values. At least the share `share` of all values is not
    larger.
    """
    chosen = percentile(values, share)
    assert chosen in values
    assert sum(value <= chosen for value in values) >= share * len(values) - 1e-6


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
def test_percentile_refuses_invalid_arguments(values: list[float], share: float) -> None:
    """A percentile of no values, or for a share outside of (0, 1], raises ValueError."""
    with pytest.raises(ValueError, match="needs values"):
        percentile(values, share)


@given(GAINS)
def test_sign_flips_approximate_the_exact_p_value(gains: list[float]) -> None:
    changed = [abs(gain) for gain in gains if gain]
    observed = abs(sum(gains))
    sums = [
        sum(gain if mask >> index & 1 else -gain for index, gain in enumerate(changed))
        for mask in range(2 ** len(changed))
    ]
    exact = sum(abs(total) >= observed - 1e-9 for total in sums) / len(sums)
    assert sign_flip(gains) == pytest.approx(exact, abs=5 * math.sqrt(0.25 / 10_000) + 1e-3)


def test_equal_rankings_have_no_difference_and_p_value_1() -> None:
    pair = paired_test([({"R@10": recall}, {"R@10": recall}) for recall in (0.5, 0.0)])
    assert (pair.n, pair.before, pair.after) == (2, 0.25, 0.25)
    assert (pair.difference.mean, pair.p) == (0.0, 1.0)


def test_a_better_ranking_is_significant() -> None:
    """A ranking that is better on twelve questions and worse on none has a p-value below 0.005."""
    pair = paired_test([({"R@10": 0.0}, {"R@10": 1.0})] * 12)
    assert pair.difference.mean == 1.0
    assert pair.p < 0.005

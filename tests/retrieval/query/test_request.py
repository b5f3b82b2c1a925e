"""Search and retrieve requests: validation, and the budget and tokenizer that the model
determines.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from memtypes.llms.registry import Registry, default_file
from memtypes.model.policy import MemoryType
from retrieval.query.request import (
    DEFAULT_BUDGET,
    Budget,
    RetrieveRequest,
    SearchRequest,
    reduced,
    resolve,
    shortened,
)

BASE = {"query": "what", "namespace": "n"}
REGISTRY = Registry.from_files(default_file())


def test_types_are_listed_once() -> None:
    """Memory types that a request names twice are kept once, in the order of the request."""
    request = SearchRequest.model_validate({**BASE, "types": ["semantic", "episodic", "semantic"]})
    assert request.types == [MemoryType.SEMANTIC, MemoryType.EPISODIC]


@given(st.text(alphabet="ab ", max_size=60), st.integers(5, 60))
def test_a_long_text_is_cut_to_whole_words_at_both_ends(text: str, most: int) -> None:
    """A query that is too long keeps whole words of its beginning and its end, and is never
    blank.
    """
    cut = shortened(text, most)
    assert len(cut) <= most
    assert bool(cut.strip()) == bool(text.strip())
    if len(text.strip()) > most:
        beginning, end = cut.split("\n")
        assert text.strip().startswith(beginning)
        assert text.strip().endswith(end)
    assert shortened("one two three four five", 15) == "one\nfive"
    assert shortened("one", 3) == "one"


def test_a_budget_is_a_number_or_has_caps_by_type() -> None:
    """A budget is a total, or has caps by memory type. Without a total, the total is
    DEFAULT_BUDGET.
    """
    assert RetrieveRequest.model_validate({**BASE, "budget": 300}).allowance == Budget(total=300)
    capped = RetrieveRequest.model_validate({**BASE, "budget": {"per_type": {"semantic": 50}}})
    assert capped.allowance == Budget(total=DEFAULT_BUDGET, per_type={MemoryType.SEMANTIC: 50})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"query": " "}, "blank"),
        ({"weights": {"recency": 0.0}}, "at least one weight must be above 0"),
        ({"budget": {"per_type": {"working": 10}}}, "set working_budget"),
        ({"budget": -1}, "greater than or equal to 0"),
        ({"unknown": 1}, "Extra inputs"),
        ({"min_score": float("nan")}, "finite"),
    ],
)
def test_a_malformed_request_is_refused(fields: dict[str, Any], message: str) -> None:
    """A malformed request raises a ValidationError that says what is wrong."""
    with pytest.raises(ValidationError, match=message):
        RetrieveRequest.model_validate({**BASE, **fields})


def request(**fields: Any) -> RetrieveRequest:
    """A retrieve request with `fields`."""
    return RetrieveRequest(query="what", namespace="n", **fields)


def total(request: RetrieveRequest) -> int:
    """The total budget of `request`."""
    assert isinstance(request.budget, Budget)
    return request.budget.total


@given(tokens=st.integers(0, 1_000_000), margin=st.floats(0, 4))
def test_reduced_tokens_fit_with_the_margin(tokens: int, margin: float) -> None:
    """A budget that reduced() lowers by a margin is, times (1 + margin), at most the original
    budget.
    """
    assert reduced(tokens, margin) * (1 + margin) <= tokens * (1 + 1e-12)
    assert reduced(tokens, 0.0) == tokens


def test_without_a_model_the_request_is_unchanged() -> None:
    """A request that names no model keeps its total budget, without a safety margin."""
    unresolved = request(budget=500)
    resolved = resolve(unresolved, REGISTRY)
    assert resolved.request is unresolved
    assert (resolved.total, resolved.margin) == (500, 0.0)


def test_a_known_model_sets_tokenizer_and_budget() -> None:
    resolved = resolve(request(model="gpt-4o"), REGISTRY)
    assert resolved.request.tokenizer == "o200k_base"
    assert (total(resolved.request), resolved.total, resolved.margin) == (7_680, 7_680, 0.0)


def test_a_small_window_gives_a_small_budget() -> None:
    """For a model with a window of 8,192 tokens, the budget is 492 tokens instead of the default of
    8,000.
    """
    assert total(resolve(request(model="gpt-4"), REGISTRY).request) == 492


def test_a_total_in_the_request_is_kept() -> None:
    """If a request names a total budget, as a number or as `budget.total`, the model does not
    change it.
    """
    assert resolve(request(model="gpt-4o", budget=8_000), REGISTRY).total == 8_000
    assert resolve(request(model="gpt-4o", budget={"total": 300}), REGISTRY).total == 300


def test_without_a_total_a_budget_gets_the_models_share() -> None:
    """A budget with caps but no total gets the total that the model's entry in the registry gives
    to memories.
    """
    resolved = resolve(request(model="gpt-4o", budget={"per_type": {"semantic": 100}}), REGISTRY)
    assert resolved.request.budget == Budget(total=7_680, per_type={MemoryType.SEMANTIC: 100})


def test_an_approximate_tokenizer_reduces_the_budgets() -> None:
    """With an approximated tokenizer, the total, the caps and the working budget are reduced by a
    safety margin.

    The answer reports the total that the caller asked for.
    """
    unresolved = request(
        model="claude-sonnet-4-5",
        budget={"total": 1_400, "per_type": {"semantic": 700}},
        working_budget=140,
    )
    resolved = resolve(unresolved, REGISTRY)
    assert resolved.request.tokenizer == "cl100k_base"
    assert resolved.margin == 0.4
    assert resolved.request.budget == Budget(total=1_000, per_type={MemoryType.SEMANTIC: 500})
    assert (resolved.request.working_budget, resolved.total) == (100, 1_400)


def test_a_tokenizer_in_the_request_has_no_margin() -> None:
    """If a request names a tokenizer, tokens are counted with it, and the budget is not reduced by
    a safety margin.
    """
    resolved = resolve(
        request(model="claude-sonnet-4-5", tokenizer="o200k_base", budget=1_400), REGISTRY
    )
    assert (resolved.request.tokenizer, total(resolved.request), resolved.margin) == (
        "o200k_base",
        1_400,
        0.0,
    )


def test_an_unknown_model_has_the_default_budget_and_the_widest_margin() -> None:
    resolved = resolve(request(model="nobody-knows"), REGISTRY)
    assert (resolved.total, total(resolved.request), resolved.margin) == (
        DEFAULT_BUDGET,
        5_333,
        0.5,
    )


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "nobody-knows"])
def test_resolving_a_recorded_request_again_changes_nothing(model: str) -> None:
    """A request that is resolved a second time keeps its budget and tokenizer."""
    resolved = resolve(request(model=model, budget=1_000), REGISTRY).request
    resolved_again = resolve(
        RetrieveRequest.model_validate(resolved.model_dump(mode="json", exclude_none=True)),
        REGISTRY,
    )
    assert (resolved_again.request.budget, resolved_again.request.tokenizer) == (
        resolved.budget,
        resolved.tokenizer,
    )
    assert resolved_again.request.working_budget == resolved.working_budget

"""What a request's model changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.llms.registry import Registry
from memtypes.llms.registry_file import default_file
from memtypes.model.policy import MemoryType
from retrieval.query.model_budget import settle, within
from retrieval.query.request import DEFAULT_BUDGET, Budget, RetrieveRequest

REGISTRY = Registry.of(default_file())


def request(**fields: Any) -> RetrieveRequest:
    """A question with `fields`."""
    return RetrieveRequest(query="what", namespace="n", **fields)


def total(asked: RetrieveRequest) -> int:
    """The total that `asked` gives."""
    assert isinstance(asked.budget, Budget)
    return asked.budget.total


@given(tokens=st.integers(0, 1_000_000), margin=st.floats(0, 4))
def test_what_is_within_holds_with_the_margin(tokens: int, margin: float) -> None:
    """As many stand-in tokens, each counting for one and the margin, are no more than were allowed."""
    assert within(tokens, margin) * (1 + margin) <= tokens * (1 + 1e-12)
    assert within(tokens, 0.0) == tokens


def test_without_a_model_nothing_changes() -> None:
    """The request stays as it is."""
    asked = request(budget=500)
    settled = settle(asked, REGISTRY)
    assert settled.request is asked
    assert (settled.total, settled.margin) == (500, 0.0)


def test_a_model_on_hand_chooses_its_tokenizer_and_the_budget_of_its_window() -> None:
    """128,000 tokens of window give 7,680 to memory; the count is exact."""
    settled = settle(request(model="gpt-4o"), REGISTRY)
    assert settled.request.tokenizer == "o200k_base"
    assert (total(settled.request), settled.total, settled.margin) == (7_680, 7_680, 0.0)


def test_a_small_window_gives_a_small_budget() -> None:
    """A model of 8,192 tokens is not handed 8,000."""
    assert total(settle(request(model="gpt-4"), REGISTRY).request) == 492


def test_a_given_budget_stays() -> None:
    """As a number, or as a total."""
    assert settle(request(model="gpt-4o", budget=8_000), REGISTRY).total == 8_000
    assert settle(request(model="gpt-4o", budget={"total": 300}), REGISTRY).total == 300


def test_caps_alone_leave_the_total_to_the_model() -> None:
    """Only what was not given is decided."""
    settled = settle(request(model="gpt-4o", budget={"per_type": {"semantic": 100}}), REGISTRY)
    assert settled.request.budget == Budget(total=7_680, per_type={MemoryType.SEMANTIC: 100})


def test_a_model_without_its_tokenizer_gets_smaller_budgets() -> None:
    """Total, caps and working memory shrink by the margin; the caller's own figure is remembered."""
    asked = request(
        model="claude-sonnet-4-5", budget={"total": 1_400, "per_type": {"semantic": 700}}, working_budget=140
    )
    settled = settle(asked, REGISTRY)
    assert settled.request.tokenizer == "cl100k_base"
    assert settled.margin == 0.4
    assert settled.request.budget == Budget(total=1_000, per_type={MemoryType.SEMANTIC: 500})
    assert (settled.request.working_budget, settled.total) == (100, 1_400)


def test_a_named_tokenizer_counts_without_a_margin() -> None:
    """Who names the tokenizer gets its exact budget."""
    settled = settle(request(model="claude-sonnet-4-5", tokenizer="o200k_base", budget=1_400), REGISTRY)
    assert (settled.request.tokenizer, total(settled.request), settled.margin) == ("o200k_base", 1_400, 0.0)


def test_an_unknown_model_keeps_the_default_budget_with_the_widest_margin() -> None:
    """Nothing is made up about its window."""
    settled = settle(request(model="nobody-knows"), REGISTRY)
    assert (settled.total, total(settled.request), settled.margin) == (DEFAULT_BUDGET, 5_333, 0.5)


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "nobody-knows"])
def test_a_settled_request_is_settled(model: str) -> None:
    """Sent again as it was recorded, it asks for the same."""
    once = settle(request(model=model, budget=1_000), REGISTRY).request
    again = settle(RetrieveRequest.model_validate(once.model_dump(mode="json", exclude_none=True)), REGISTRY)
    assert (again.request.budget, again.request.tokenizer) == (once.budget, once.tokenizer)
    assert again.request.working_budget == once.working_budget

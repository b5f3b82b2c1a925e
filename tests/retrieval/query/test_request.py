"""Validation of the requests of search and retrieve."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from memtypes.model.policy import MemoryType
from retrieval.query.request import DEFAULT_BUDGET, Budget, RetrieveRequest, SearchRequest

BASE = {"query": "what", "namespace": "n"}


def test_types_are_listed_once() -> None:
    """In their order."""
    request = SearchRequest.model_validate({**BASE, "types": ["semantic", "episodic", "semantic"]})
    assert request.types == [MemoryType.SEMANTIC, MemoryType.EPISODIC]


def test_a_budget_is_a_total_or_a_total_with_caps() -> None:
    """The default total applies where only caps are set."""
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
    """With a message that says what is wrong."""
    with pytest.raises(ValidationError, match=message):
        RetrieveRequest.model_validate({**BASE, **fields})

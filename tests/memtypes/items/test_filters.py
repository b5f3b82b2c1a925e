"""Filters on items (JSON values with keys): matching values, and the digests by which an index
finds candidates.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from memtypes.items.filters import ItemFilter, facts_of
from tests.contracts.item_oracle import matches
from tests.contracts.test_item_store import FILTERS, JSON


@given(JSON, FILTERS)
def test_a_filter_matches_as_in_langgraph_except_for_equality(
    value: Any, conditions: dict[str, Any] | None
) -> None:
    """A filter matches the values that it matches in LangGraph, except that values are equal as in
    JSON.

    A value that matches has all digests with which the filter searches the index.
    """
    parsed = ItemFilter.parse(conditions or {})
    if parsed is None:
        return
    expected = isinstance(value, dict) and matches(value, conditions)
    assert parsed.holds(value) is expected
    assert not expected or set(parsed.facts()) <= set(facts_of(value))


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"a": 1}, True),
        ({"a": 1.0}, True),
        ({"a": True}, False),
        ({"b": {"c": "x"}}, True),
        ({"b": {"c": {"$gt": "w"}}}, True),
        ({"b": {"$eq": {"c": "x", "d": None}}}, True),
        ({"b": {"$eq": {"c": "x"}}}, False),
        ({"missing": None}, True),
        ({"missing": {"$ne": 1}}, True),
        ({"missing": {"$lt": 1}}, False),
        ({"a": {"$gte": 1, "$lt": 1}}, False),
        ({"a": {"$gt": "0"}}, False),
        ({"flag": {"$gte": 0}}, False),
        ({"list": [1, {"$gt": 1}]}, True),
        ({"list": [1]}, False),
        ({"a.b": 2}, True),
    ],
)
def test_filters_compare_members_as_json(conditions: dict[str, Any], *, holds: bool) -> None:
    """A missing member counts as null. Of values of different JSON types, none is less than the
    other.

    A member's name may contain a dot.
    """
    value = {"a": 1, "b": {"c": "x", "d": None}, "flag": True, "list": [1, 2], "a.b": 2}
    parsed = ItemFilter.parse(conditions)
    assert parsed is not None
    assert parsed.holds(value) is holds
    assert not parsed.holds([value])

"""The filters by memory type that decide which memories a query may return."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from memtypes.model.errors import InvalidRequest
from memtypes.model.filters import Absent, Compare, Filter, leaves
from memtypes.model.policy import LONG_TERM, MemoryType
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.query.validity import context_filters, ended_filters, search_filters

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def context(**fields: Any) -> dict[MemoryType, Filter]:
    """For each memory type, the filter that a retrieval applies. fields: fields of the request."""
    return context_filters(RetrieveRequest(query="what", namespace="n", **fields), NOW)


def fields_of(where: Filter) -> list[str]:
    """Names of the fields that the filter `where` compares, in order."""
    return [leaf.field for leaf in leaves(where)]


def test_a_search_covers_the_types_of_the_request_or_all_types() -> None:
    """A search covers the memory types that the request names, otherwise all types.

    The filter is the same for each type.
    """
    everything = search_filters(SearchRequest(query="what", namespace="n"), NOW)
    assert set(everything) == set(MemoryType)
    assert len(set(everything.values())) == 1
    one = search_filters(SearchRequest(query="what", namespace="n", types=[MemoryType.WORKING]), NOW)
    assert set(one) == {MemoryType.WORKING}


def test_a_context_leaves_out_closed_intentions_and_cleared_working_items() -> None:
    """The filters of a retrieval exclude intentions (tasks) that are closed, and working items that are cleared."""
    filters = context()
    assert set(filters) == {*LONG_TERM, MemoryType.WORKING}
    assert fields_of(filters[MemoryType.PROSPECTIVE])[-1] == "status"
    assert "status" not in fields_of(filters[MemoryType.SEMANTIC])
    assert Absent("cleared_at") in leaves(filters[MemoryType.WORKING])


@pytest.mark.parametrize("fields", [{"include_working": False}, {"working_budget": 0}])
def test_working_memory_can_be_left_out(fields: dict[str, Any]) -> None:
    """`include_working: false` or a working budget of 0 leaves working memory out."""
    assert MemoryType.WORKING not in context(**fields)


def test_a_filter_on_status_includes_closed_intentions() -> None:
    """A condition on `status` in the request's filter replaces the default that leaves out closed intentions."""
    status = {"status": {"eq": "completed"}}
    for tree in (status, {"not": status}, {"or": [{"tags": {"any": ["a"]}}, {"and": [status]}]}):
        assert fields_of(context(filters=tree)[MemoryType.PROSPECTIVE]).count("status") == 1


def test_the_word_status_as_a_value_does_not_include_closed_intentions() -> None:
    """A filter on the field `status` includes closed intentions (tasks).

    The word "status" in a compared value does not.
    """
    where = context(filters={"title": {"eq": "a note on 'status': done"}})[MemoryType.PROSPECTIVE]
    assert fields_of(where)[-1] == "status"


def test_a_filter_on_state_may_find_replaced_memories() -> None:
    """If the caller filters on `state`, replaced memories may be found, but expired ones are left out.

    The filter that finds ended memories then excludes replaced ones, so that they are not listed twice.
    """
    replaced = {"state": {"eq": "replaced"}}
    where = context(filters=replaced)[MemoryType.SEMANTIC]
    assert fields_of(where) == ["valid_from", "expires_at", "expires_at", "valid_to", "state_until"]
    ended = ended_filters(SearchRequest(query="what", namespace="n", filters=replaced), NOW)
    assert fields_of(ended[MemoryType.SEMANTIC]) == ["expires_at", "valid_to", "state_until"]


def test_filters_of_the_caller_do_not_apply_to_working_memory() -> None:
    """The filter of a request restricts long-term memories, but not working memory."""
    filters = context(filters={"tags": {"any": ["a"]}})
    assert "tags" in fields_of(filters[MemoryType.SEMANTIC])
    assert "tags" not in fields_of(filters[MemoryType.WORKING])


def test_ended_memories_are_superseded_or_expired() -> None:
    """The filter for ended memories finds expired and replaced memories that meet the conditions of the caller.

    It covers the long-term types.
    """
    request = SearchRequest(query="what", namespace="n", filters={"tags": {"any": ["a"]}})
    filters = ended_filters(request, NOW)
    assert set(filters) == set(LONG_TERM)
    assert fields_of(filters[MemoryType.SEMANTIC]) == ["expires_at", "valid_to", "state_until", "tags"]
    assert all(isinstance(leaf, Compare) for leaf in leaves(filters[MemoryType.SEMANTIC]))


def test_a_malformed_filter_is_refused() -> None:
    """The error for a malformed filter says what is wrong."""
    with pytest.raises(InvalidRequest, match="unknown field"):
        context(filters={"nope": {"eq": 1}})

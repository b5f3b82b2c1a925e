"""The filters by memory type that decide which memories a query may return."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from memtypes.model.errors import InvalidRequest
from memtypes.model.filters import Absent, Compare, Filter, leaves
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.ports.memory_store import Listing
from retrieval.query.named_times import QueryTimes
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.query.validity import context_filters, ended_filters, search_filters
from tests.builders import DIMENSIONS, SCOPE, make_memory, make_record
from tests.fakes_memories import InMemoryStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NO_TIMES = QueryTimes.from_query("what", NOW)


def context(**fields: Any) -> dict[MemoryType, Filter]:
    """For each memory type, the filter that a retrieval applies. fields: fields of the request."""
    return context_filters(RetrieveRequest(query="what", namespace="n", **fields), NO_TIMES)


def fields_of(where: Filter) -> list[str]:
    """Names of the fields that the filter `where` compares, in order."""
    return [leaf.field for leaf in leaves(where)]


def test_a_search_covers_the_types_of_the_request_or_all_types() -> None:
    """A search covers the memory types that the request names, otherwise all types.

    The filter is the same for each type.
    """
    all_types = search_filters(SearchRequest(query="what", namespace="n"), NO_TIMES)
    assert set(all_types) == set(MemoryType)
    assert len(set(all_types.values())) == 1
    single = search_filters(
        SearchRequest(query="what", namespace="n", types=[MemoryType.WORKING]), NO_TIMES
    )
    assert set(single) == {MemoryType.WORKING}


def test_a_context_leaves_out_closed_intentions_and_cleared_working_items() -> None:
    filters = context()
    assert set(filters) == {*LONG_TERM, MemoryType.WORKING}
    assert "status" in fields_of(filters[MemoryType.PROSPECTIVE])
    assert "status" not in fields_of(filters[MemoryType.SEMANTIC])
    assert Absent("cleared_at") in leaves(filters[MemoryType.WORKING])


@pytest.mark.parametrize("fields", [{"include_working": False}, {"working_budget": 0}])
def test_working_memory_can_be_left_out(fields: dict[str, Any]) -> None:
    assert MemoryType.WORKING not in context(**fields)


def test_a_filter_on_status_includes_closed_intentions() -> None:
    """A condition on `status` in the request's filter replaces the default that leaves out closed
    intentions.
    """
    status = {"status": {"eq": "completed"}}
    for tree in (status, {"not": status}, {"or": [{"tags": {"any": ["a"]}}, {"and": [status]}]}):
        filters = context(filters=tree)
        assert filters[MemoryType.PROSPECTIVE] == filters[MemoryType.SEMANTIC]


def test_the_word_status_as_a_value_does_not_include_closed_intentions() -> None:
    """A filter on the field `status` includes closed intentions (tasks).

    The word "status" in a compared value does not.
    """
    where = context(filters={"title": {"eq": "a note on 'status': done"}})[MemoryType.PROSPECTIVE]
    assert "status" in fields_of(where)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "filters", "shown", "ended"),
    [
        ("which limit", None, ["now"], ["expired", "former"]),
        ("which limit", {"state": {"eq": "replaced"}}, ["former"], ["expired"]),
        ("which limit before", None, ["former", "now"], ["expired"]),
        ("which limit did we have in November 2025", None, ["former", "now"], ["expired"]),
        ("which limit did we have in February 2026", None, ["now"], ["expired", "former"]),
        ("which limit did we have in June 2025", None, ["now"], ["expired", "former"]),
        ("which limit do we have in March 2026", None, ["now"], ["expired", "former"]),
    ],
)
async def test_a_replaced_memory_is_shown_or_listed_as_ended(
    query: str, filters: dict[str, Any] | None, shown: list[str], ended: list[str]
) -> None:
    """A replaced memory is shown if the request asks for former states, or for a past time at which
    it was valid.

    Otherwise it is among the ended memories, so that none is listed twice. An expired memory is
    never shown.
    """
    store = InMemoryStore(DIMENSIONS)
    valid_from = datetime(2025, 9, 1, tzinfo=UTC)
    replaced_at = datetime(2026, 1, 5, tzinfo=UTC)
    replaced = {"valid_to": replaced_at, "superseded_by": str(UUID(int=1)), "state": "replaced"}
    texts: dict[str, dict[str, Any]] = {
        "former": replaced,
        "expired": {"expires_at": replaced_at, **replaced},
        "now": {"valid_from": replaced_at},
    }
    memories = [
        make_memory(MemoryType.SEMANTIC, name, **{"valid_from": valid_from, **fields})
        for name, fields in texts.items()
    ]
    await store.upsert(SCOPE, [make_record(memory) for memory in memories])
    request = RetrieveRequest(query=query, namespace="n", filters=filters)
    times = QueryTimes.from_query(query, NOW)
    for where, expected in (
        (context_filters(request, times), shown),
        (ended_filters(request, times), ended),
    ):
        listing = Listing(types=(MemoryType.SEMANTIC,), filter=where[MemoryType.SEMANTIC])
        assert (
            sorted([memory.content async for memory in store.list_all(SCOPE, listing)]) == expected
        )


def test_filters_of_the_caller_do_not_apply_to_working_memory() -> None:
    """The filter of a request restricts long-term memories, but not working memory."""
    filters = context(filters={"tags": {"any": ["a"]}})
    assert "tags" in fields_of(filters[MemoryType.SEMANTIC])
    assert "tags" not in fields_of(filters[MemoryType.WORKING])


def test_ended_memories_are_superseded_or_expired() -> None:
    """The filter for ended memories finds expired and replaced memories that meet the conditions of
    the caller.

    It covers the long-term types.
    """
    request = SearchRequest(query="what", namespace="n", filters={"tags": {"any": ["a"]}})
    filters = ended_filters(request, NO_TIMES)
    assert set(filters) == set(LONG_TERM)
    assert fields_of(filters[MemoryType.SEMANTIC]) == [
        "expires_at",
        "valid_to",
        "state_until",
        "tags",
    ]
    assert all(isinstance(leaf, Compare) for leaf in leaves(filters[MemoryType.SEMANTIC]))


def test_a_malformed_filter_is_refused() -> None:
    """The error for a malformed filter says what is wrong."""
    with pytest.raises(InvalidRequest, match="unknown field"):
        context(filters={"nope": {"eq": 1}})

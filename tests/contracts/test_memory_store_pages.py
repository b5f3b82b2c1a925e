"""The contract of MemoryStore: pages in order, totals and counts, on every implementation."""

from __future__ import annotations

from datetime import timedelta

import pytest

from memtypes.model.errors import InvalidRequest
from memtypes.model.filters import Compare, Op, parse_filter
from memtypes.model.memory import TokenCount
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing, MemoryStore, TypeStats
from tests.builders import NOW, make_memory
from tests.contracts.memory_steps import keep, listed

pytestmark = pytest.mark.anyio


async def test_stats_count_memories_and_tokens(store: MemoryStore, scope: Scope) -> None:
    """The stats have the number of memories and of tokens for each type; zeros for a type without
    memories.
    """
    assert await store.stats(scope) == dict.fromkeys(MemoryType, TypeStats(0, 0))
    counts = [1, 7, 7, 120_000]
    await keep(
        store,
        scope,
        *(
            make_memory(
                MemoryType.EPISODIC, f"e{n}", scope, tokens=TokenCount(count=c, tokenizer="t")
            )
            for n, c in enumerate(counts)
        ),
        make_memory(MemoryType.WORKING, "w", scope, tokens=TokenCount(count=0, tokenizer="t")),
    )
    stats = await store.stats(scope)
    assert stats[MemoryType.EPISODIC] == TypeStats(4, 120_015)
    assert stats[MemoryType.WORKING] == TypeStats(1, 0)
    assert stats[MemoryType.SEMANTIC] == TypeStats(0, 0)


@pytest.mark.slow
async def test_pages_cover_everything_once_despite_equal_times(
    store: MemoryStore, scope: Scope
) -> None:
    """Pages list each memory of the scope once, newest first, at any page size.

    Memories with equal times are sorted by id.
    """
    kinds = (MemoryType.EPISODIC, MemoryType.SEMANTIC, MemoryType.WORKING)
    memories = [
        make_memory(kinds[n % 3], f"m{n}", scope, created_at=NOW + timedelta(microseconds=n // 11))
        for n in range(40)
    ]
    await keep(store, scope, *memories)
    expected = sorted(
        sorted(memories, key=lambda m: m.id), key=lambda m: m.created_at, reverse=True
    )
    for limit in (1, 4, 7, 39, 40, 41, 500):
        memories = await listed(store, scope, limit=limit)
        assert [memory.id for memory in memories] == [memory.id for memory in expected], limit
    first_nine = [memory.id async for memory in store.list_all(scope, Listing(limit=4), most=9)]
    assert first_nine == [memory.id for memory in expected[:9]]


async def test_a_page_has_the_total(store: MemoryStore, scope: Scope) -> None:
    """Each page has the total number of memories that match. The last page has no cursor."""
    await keep(
        store,
        scope,
        *(make_memory(kind, f"{n}", scope, importance=n) for kind in MemoryType for n in (1, 2, 3)),
    )
    listing = Listing(
        (MemoryType.EPISODIC, MemoryType.SEMANTIC),
        parse_filter({"importance": {"gte": 2}}),
        limit=3,
    )
    first = await store.page(scope, listing)
    assert (len(first.memories), first.total) == (3, 4)
    assert first.next_cursor is not None
    second = await store.page(scope, Listing(listing.types, listing.filter, 3, first.next_cursor))
    assert (len(second.memories), second.total, second.next_cursor) == (1, 4, None)
    assert {memory.type for memory in (*first.memories, *second.memories)} == set(listing.types)


async def test_paging_continues_when_the_cursors_memory_was_removed(
    store: MemoryStore, scope: Scope
) -> None:
    """After the last memory of a page is removed, the next page neither skips nor repeats another
    memory.
    """
    memories = [make_memory(MemoryType.EPISODIC, f"m{n}", scope) for n in range(6)]
    await keep(store, scope, *memories)
    order = sorted(memory.id for memory in memories)
    first = await store.page(scope, Listing(limit=3))
    await store.delete(scope, [order[2]])
    second = await store.page(scope, Listing(limit=10, cursor=first.next_cursor))
    assert [memory.id for memory in second.memories] == order[3:]


@pytest.mark.parametrize(
    "cursor", ["", "garbage", "e30=", "WyJub3QgYSB0aW1lIiwgMV0=", "ünïcode", "W10=", "bnVsbA=="]
)
async def test_an_invalid_cursor_is_refused(store: MemoryStore, scope: Scope, cursor: str) -> None:
    """A malformed cursor raises InvalidRequest, whose `path` is "cursor"."""
    with pytest.raises(InvalidRequest) as caught:
        await store.page(scope, Listing(cursor=cursor))
    assert caught.value.path == "cursor"


@pytest.mark.parametrize("limit", [0, -1, 501])
async def test_a_limit_out_of_range_is_refused(
    store: MemoryStore, scope: Scope, limit: int
) -> None:
    """Asking for a page of fewer than 1 or more than 500 memories raises InvalidRequest."""
    with pytest.raises(InvalidRequest):
        await store.page(scope, Listing(limit=limit))


async def test_counts_are_given_for_each_filter_and_type(store: MemoryStore, scope: Scope) -> None:
    """For each filter, `counts` returns a dictionary with the number of matching memories by type.

    Memories of other scopes are not counted.
    """
    hour = timedelta(hours=1)
    await keep(
        store,
        scope,
        *(
            make_memory(MemoryType.SEMANTIC, f"s{n}", scope, created_at=NOW + n * hour)
            for n in range(3)
        ),
        make_memory(MemoryType.EPISODIC, "e", scope, created_at=NOW),
    )
    later = Compare("created_at", Op.GTE, NOW + hour)
    never = Compare("created_at", Op.LT, NOW)
    none = dict.fromkeys(MemoryType, 0)
    assert await store.counts(scope, [later, never]) == [none | {MemoryType.SEMANTIC: 2}, none]
    assert await store.counts(Scope(scope.tenant, "elsewhere"), [later]) == [none]
    assert await store.counts(scope, []) == []

"""Copies of live items that earlier versions kept in the memory store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ingest.working.copies import remove_live_copies
from memtypes.model.policy import MemoryType
from memtypes.model.working import ClearReason, Working
from memtypes.ports.memory_store import Listing
from memtypes.ports.working import ItemSelection, LiveItem
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.working import RedisWorking
from tests.builders import DIMENSIONS, make_memory, make_record
from tests.fakes_memories import InMemoryStore
from tests.ingest.conversations.builders import NOW
from tests.live import fresh_scope

pytestmark = pytest.mark.anyio
TTL = timedelta(hours=1)


async def test_copies_of_items_in_the_live_store_are_removed(live: LiveClient) -> None:
    """Other working memories stay: ended items, notes that were stored, and copies whose item is
    lost.
    """
    items = RedisWorking(live)
    store = InMemoryStore(DIMENSIONS)
    scope = fresh_scope()
    for session in ("s 1", "s 2"):
        in_session = replace(scope, session_id=session)
        for content in ("live", "cleared", "no item"):
            times = {"created_at": NOW, "updated_at": NOW, "expires_at": NOW + TTL}
            memory = make_memory(
                MemoryType.WORKING, f"{content} {session}", in_session, session_id=session, **times
            )
            assert isinstance(memory, Working)
            await store.upsert(in_session, [make_record(memory)])
            if content != "no item":
                await items.put(in_session, LiveItem(memory, TTL))
            if content == "cleared":
                await items.clear(in_session, ItemSelection(id=memory.id), NOW, ClearReason.CLEARED)
    await remove_live_copies(items, store, NOW)
    page = await store.page(scope, Listing((MemoryType.WORKING,)))
    assert {memory.content for memory in page.memories} == {"no item s 1", "no item s 2"}
    assert len(await items.items(replace(scope, session_id="s 1"))) == 2

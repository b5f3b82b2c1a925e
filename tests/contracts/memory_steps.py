"""Functions shared by the tests of the MemoryStore contract."""

from __future__ import annotations

from typing import Any

from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing, MemoryStore
from tests.builders import make_record


async def keep(store: MemoryStore, scope: Scope, *memories: Memory) -> None:
    """Store memories with vectors derived from their ids."""
    await store.upsert(scope, [make_record(memory) for memory in memories])


async def listed(store: MemoryStore, scope: Scope, **listing: Any) -> list[Memory]:
    """All memories of a scope, collected from all pages."""
    memories: list[Memory] = []
    page = await store.page(scope, Listing(**listing))
    while True:
        memories += page.memories
        if page.next_cursor is None:
            return memories
        page = await store.page(scope, Listing(**listing, cursor=page.next_cursor))

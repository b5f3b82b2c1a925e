"""Removes what earlier versions stored beside live items.

They kept a copy of each live item in the memory store from the start. Now an item is written there
when it has ended.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from memtypes.ports.memory_store import MemoryStore
from memtypes.ports.working import LiveItemStore

_FAR_FUTURE = timedelta(days=3_650)
_ALL = 1_000_000


async def remove_live_copies(items: LiveItemStore, store: MemoryStore, now: datetime) -> int:
    """Delete the memories that have the id of an item in the live store; return how many.

    The item is written again under this id when it has ended. A copy whose item the live store has
    lost is left: it is a memory that expires when the item would have.
    """
    removed = 0
    end = now + _FAR_FUTURE
    for namespace in await items.due_namespaces(end, _ALL):
        scope = namespace.scope
        for session in await items.due_sessions(scope, end, _ALL):
            ids = [item.memory.id for item in await items.items(replace(scope, session_id=session))]
            removed += await store.delete(scope, ids)
    return removed

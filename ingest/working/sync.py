"""Brings the embedded copies of live items into step with them, and sweeps what is over.

What was written, used or cleared is marked as behind in the same step that changes it, and stays so until its copy has
been patched: whoever dies between the two leaves the mark, and the next sweep heals it. Sweeps run under a lock whose
fence the patches carry, so that a sweep that was stopped for too long can't overwrite what a later one knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.ports.memory_store import MemoryStore
from memtypes.ports.working import LiveItem, LiveItemStore

NAMESPACES = 100
SESSIONS = 100
"""What one sweep looks at; the rest is the next one's."""


@dataclass(frozen=True, slots=True)
class Copies:
    """The embedded copies of live items."""

    items: LiveItemStore
    store: MemoryStore
    clock: Clock

    async def sweep(self, fence: int) -> int:
        """How many copies were brought into step or swept. Raises LockLost and Unavailable; what was done stays."""
        now = self.clock()
        done = 0
        for due in await self.items.due_namespaces(now, NAMESPACES):
            for session in await self.items.due_sessions(due.scope, now, SESSIONS):
                done += await self.bring_into_step(replace(due.scope, session_id=session), fence)
            await self.items.reschedule(due)
        return done

    async def bring_into_step(self, scope: Scope, fence: int | None = None) -> int:
        """The same for one session."""
        now = self.clock()
        entries = [one for one in await self.items.items(scope) if one.unsynced or one.is_over(now)]
        await self._patch(scope, [one for one in entries if one.memory.cleared_at is not None], fence, ())
        current = [one for one in entries if one.memory.cleared_at is None]
        await self._patch(scope, current, fence, ("cleared_at",))
        await self.items.mark_synced(scope, entries, now)
        return len(entries)

    async def _patch(
        self, scope: Scope, entries: Sequence[LiveItem], fence: int | None, removed: Sequence[str]
    ) -> None:
        if entries:
            changes = {one.memory.id: _fields(one) for one in entries}
            await self.store.patch(scope, changes, removed=removed, fence=fence)


def _fields(entry: LiveItem) -> dict[str, Any]:
    """What a copy says of its item's life."""
    memory = entry.memory
    times: dict[str, datetime | None] = {
        "accessed_at": memory.accessed_at,
        "expires_at": memory.expires_at,
        "cleared_at": memory.cleared_at,
    }
    return {"live": True} | {name: rfc3339(at) for name, at in times.items() if at is not None}

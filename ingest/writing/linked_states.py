"""Writes the states (current, replaced, contested) of the memories that a change affects.

Before a memory is deleted, the facts that it had replaced are made current in the store. If the
process dies before the deletion, the memory and these facts are all current and marked as
contested, until the deletion is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.identity.states import States
from ingest.writing.drafts import CountTokens
from memtypes.model.filters import MAX_LIST, Absent, AnyOf, Compare, Filter, Not, Op, all_of
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import from_payload
from memtypes.offload import offload
from memtypes.ports.memory_store import Listing, MemoryStore

_PAGE = 500


@dataclass(frozen=True, slots=True)
class StateWriter:
    """Computes and writes the states of memories that are linked to changed ones. Raises the errors
    of the store.

    count_tokens: counts the tokens of changed memories again, because a context shows what has
    changed.
    """

    store: MemoryStore
    count_tokens: CountTokens

    async def complete(self, scope: Scope, states: States) -> None:
        """Complete `states` with all memories whose state depends on its changes so far; write
        nothing.
        """
        states.recompute()
        while missing := states.needed():
            states.add_loaded(missing, await self.store.get(scope, sorted(missing)))
            states.recompute()
        changed = [states.memories[memory_id] for memory_id in states.changed]
        await offload(
            (memory.content for memory in changed), lambda: states.count_tokens(self.count_tokens)
        )

    async def write(self, scope: Scope, states: States) -> None:
        """Write the changes in `states`, except to deleted memories."""
        if changed := states.changed - states.deleted:
            await self.store.patch(scope, states.patches(changed))

    async def detach(self, scope: Scope, removed: Mapping[str, Memory], now: datetime) -> None:
        """Remove the links to memories that are about to be deleted (by id), and write the states
        that change.
        """
        linking = await _with_any(self.store, scope, Listing(), "links.to", list(removed))
        linking = {memory.id: memory for memory in linking.values() if memory.id not in removed}
        states = States(now, {**linking, **removed}, deleted=set(removed))
        states.changed |= linking.keys()
        await self.complete(scope, states)
        await self.write(scope, states)

    async def mend(self, scope: Scope, now: datetime) -> int:
        """Correct states (current, replaced, contested) that a crash left wrong; return how many
        memories changed.
        """
        connected = Listing(
            filter=AnyOf((Not(Absent("links.to")), Not(Absent("superseded_by")))), limit=_PAGE
        )
        stored = {memory.id: memory async for memory in self.store.list_all(scope, connected)}
        return await self.update(scope, stored, now, {})

    async def update(
        self,
        scope: Scope,
        stored: Mapping[str, Memory],
        now: datetime,
        changes: Mapping[str, Mapping[str, Any]],
    ) -> int:
        """Set fields of stored memories, and the states of these and linked ones; return how many
        states changed.

        stored: the memories, by id. changes: payload fields to set, by memory id. All changes are
        written in one request. So a crash cannot leave a memory marked as replaced by a memory that
        has ended.
        """
        states = States(now)
        payloads = {
            memory.id: {**memory.to_payload(), **changes.get(memory.id, {})}
            for memory in stored.values()
        }
        states.add_loaded(
            stored, {memory_id: from_payload(payload) for memory_id, payload in payloads.items()}
        )
        states.stale |= stored.keys()
        await self.complete(scope, states)
        recomputed = {
            memory_id: states.patch(memory_id)
            for memory_id in sorted(states.changed - states.deleted)
        }
        ids = {**changes, **recomputed}
        if patches := {
            memory_id: {**changes.get(memory_id, {}), **recomputed.get(memory_id, {})}
            for memory_id in ids
        }:
            await self.store.patch(scope, patches)
        return len(recomputed)


async def linked_where(
    store: MemoryStore, scope: Scope, types: Sequence[MemoryType], where: Filter | None
) -> dict[str, Memory]:
    """The memories of `types` (empty: all) that match `where` and have a link to or from another
    memory, by id.
    """
    linked = Listing(filter=Not(Absent("links.to")), limit=_PAGE)
    ends: set[str] = set()
    async for memory in store.list_all(scope, linked):
        ends |= {memory.id, *(link.to for link in memory.links)}
    return await _with_any(store, scope, Listing(tuple(types), where), "id", sorted(ends))


async def _with_any(
    store: MemoryStore, scope: Scope, listing: Listing, name: str, ids: Sequence[str]
) -> dict[str, Memory]:
    """Read the memories that `listing` asks for and whose list of ids in the field `name` has one
    of `ids`, by id.
    """
    memories: dict[str, Memory] = {}
    for start in range(0, len(ids), MAX_LIST):
        has_any = Compare(name, Op.ANY, tuple(ids[start : start + MAX_LIST]))
        page = Listing(listing.types, all_of(listing.filter, has_any), _PAGE)
        memories |= {memory.id: memory async for memory in store.list_all(scope, page)}
    return memories

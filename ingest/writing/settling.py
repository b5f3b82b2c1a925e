"""Updates the states (current, replaced, contested) of the memories that a change affects, and reads their histories.

Before a memory is deleted, the facts that it had replaced are made current in the store. If the process dies before the
deletion, the memory and these facts are all current and marked as contested, until the deletion is repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.identity.states import States, contradicted
from memtypes.model.filters import MAX_LIST, Absent, AnyOf, Compare, Filter, Not, Op, all_of
from memtypes.model.memory import Memory, State
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import from_payload
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.memory_store import Listing, MemoryStore

MAX_VERSIONS = 1_000
"""When a history has this many memories, no further related memories are added to it."""

EDITED = "edited"
"""The reason that a history gives for the end of an earlier text of a memory."""

ENDED = "ended by a caller"
EXPIRED = "expired"

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Version:
    """A text in the history of a memory, and the time in which it was true.

    memory: has the text as its content. since, until: the time; `until` is None if the text is still true. replaced_by:
    id of the memory whose text replaced this one. This is the memory's own id if its text was edited, or if the text
    is a rewording that was merged into it. reason: why the text was replaced or ended, or is contested.
    """

    memory: Memory
    since: datetime
    until: datetime | None = None
    replaced_by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StateWriter:
    """Works out how a change affects the states of linked memories, and writes these. Raises what the store raises.

    tokenizer: recounts the tokens of changed memories, because a state may add a date to a memory's line in a context.
    """

    store: MemoryStore
    tokenizer: Tokenizer

    async def settle(self, scope: Scope, states: States) -> None:
        """Add to `states` the memories whose state changes because of the changes made so far; writes nothing."""
        states.settle()
        while wanted := states.needed():
            states.know(wanted, await self.store.get(scope, sorted(wanted)))
            states.settle()
        states.count_lines(self.tokenizer.count)

    async def write(self, scope: Scope, states: States, but: Collection[str | None] = ()) -> None:
        """Write the changes in `states`, except to deleted memories and to memories whose ids are in `but`."""
        written = states.changed - states.gone - set(but)
        if written:
            await self.store.patch(scope, {memory_id: states.patch(memory_id) for memory_id in sorted(written)})

    async def release(self, scope: Scope, removed: Mapping[str, Memory], now: datetime) -> None:
        """Remove the links to memories that are about to be deleted (by id), and write the states that change."""
        found = await _with_any(self.store, scope, Listing(), "links.to", list(removed))
        linking = {memory.id: memory for memory in found.values() if memory.id not in removed}
        states = States(now, {**linking, **removed}, gone=set(removed))
        states.changed |= linking.keys()
        await self.settle(scope, states)
        await self.write(scope, states)

    async def mend(self, scope: Scope, now: datetime) -> int:
        """Correct states (current, replaced, contested) that a crash left wrong; return how many memories changed."""
        connected = Listing(filter=AnyOf((Not(Absent("links.to")), Not(Absent("superseded_by")))), limit=_PAGE)
        stored = {memory.id: memory async for memory in self.store.list_all(scope, connected)}
        return await self.update(scope, stored, now, {})

    async def update(
        self, scope: Scope, stored: Mapping[str, Memory], now: datetime, changes: Mapping[str, Mapping[str, Any]]
    ) -> int:
        """Set fields of stored memories, and update states in these and linked ones; return how many states changed.

        stored: the memories, by id. changes: payload fields to set, by memory id. All changes are written in one
        request. So a crash cannot leave a memory marked as replaced by a memory that has ended.
        """
        states = States(now)
        changed = {known: {**memory.to_payload(), **changes.get(known, {})} for known, memory in stored.items()}
        states.know(stored, {known: from_payload(payload) for known, payload in changed.items()})
        states.touched |= stored.keys()
        await self.settle(scope, states)
        settled = {known: states.patch(known) for known in sorted(states.changed - states.gone)}
        patches = {known: {**changes.get(known, {}), **settled.get(known, {})} for known in {**changes, **settled}}
        if patches:
            await self.store.patch(scope, patches)
        return len(settled)


async def linked_where(
    store: MemoryStore, scope: Scope, types: Sequence[MemoryType], where: Filter | None
) -> dict[str, Memory]:
    """The memories, by id, that match `where` and have a link to or from another. types: empty for all types."""
    linked = Listing(filter=Not(Absent("links.to")), limit=_PAGE)
    ends: set[str] = set()
    async for memory in store.list_all(scope, linked):
        ends |= {memory.id, *(link.to for link in memory.links)}
    return await _with_any(store, scope, Listing(tuple(types), where), "id", sorted(ends))


async def _with_any(
    store: MemoryStore, scope: Scope, among: Listing, name: str, ids: Sequence[str]
) -> dict[str, Memory]:
    """The memories among those of a listing, by id, whose field `name` has one of `ids`."""
    found: dict[str, Memory] = {}
    for start in range(0, len(ids), MAX_LIST):
        has_any = Compare(name, Op.ANY, tuple(ids[start : start + MAX_LIST]))
        listing = Listing(among.types, all_of(among.filter, has_any), _PAGE)
        found |= {memory.id: memory async for memory in store.list_all(scope, listing)}
    return found


async def history_of(store: MemoryStore, scope: Scope, memory: Memory, now: datetime) -> list[Version]:
    """All versions of the text of `memory` and of its related memories, in the order in which they became true.

    Related are the memories that replaced `memory` or that it replaced, directly or through other memories, and the
    memories that contest one of these. now: a text whose memory has expired by this time counts as ended.
    """
    chain = {memory.id: memory.at(now)}
    waiting = {memory.id}
    while waiting and len(chain) < MAX_VERSIONS:
        near = [{*contradicted(chain[memory_id]), chain[memory_id].superseded_by or memory_id} for memory_id in waiting]
        wanted = set().union(*near) - chain.keys()
        found = {known_id: known.at(now) for known_id, known in (await store.get(scope, sorted(wanted))).items()}
        waiting = {known_id for known_id, known in found.items() if _belongs(known, chain)}
        chain |= {known_id: found[known_id] for known_id in waiting}
    versions = [version for known in chain.values() for version in versions_of(known, now)]
    return sorted(versions, key=lambda version: (version.since, version.until is None, version.memory.id))


def _belongs(memory: Memory, chain: Mapping[str, Memory]) -> bool:
    """Whether `memory` belongs to a history: a memory in `chain` replaced it, was replaced by it, or contests it."""
    if memory.superseded_by in chain or any(other.superseded_by == memory.id for other in chain.values()):
        return True
    return memory.state is State.CONTESTED and not contradicted(memory).isdisjoint(chain)


def versions_of(memory: Memory, now: datetime) -> list[Version]:
    """The texts that `memory` had, those in other words that were merged into it, and its own."""
    versions: list[Version] = []
    for text in memory.earlier:
        fields = {"content": text.content, "state": State.REPLACED, "valid_to": text.until, "superseded_by": memory.id}
        versions.append(Version(memory.model_copy(update=fields), text.since, text.until, memory.id, EDITED))
    for other in memory.rewordings:
        fields = {"content": other.content, "state": State.REPLACED, "superseded_by": memory.id}
        versions.append(Version(memory.model_copy(update=fields), other.at, other.at, memory.id, other.reason))
    since = memory.earlier[-1].until if memory.earlier else memory.valid_from
    replaced_by = memory.superseded_by or (memory.upkeep.into if memory.upkeep is not None else None)
    until, reason = memory.valid_to, memory.state_reason
    if memory.state is State.REPLACED and replaced_by is None:
        reason = reason or ENDED
    if memory.expires_at is not None and memory.expires_at <= min(now, until or now):
        until, reason = memory.expires_at, EXPIRED
    return [*versions, Version(memory, since, until, replaced_by, reason)]

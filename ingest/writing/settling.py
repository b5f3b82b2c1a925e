"""Writes the states (current, replaced, contested) of the memories that a change affects, and reads
histories.

Before a memory is deleted, the facts that it had replaced are made current in the store. If the
process dies before the deletion, the memory and these facts are all current and marked as
contested, until the deletion is repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.identity.states import States, contradicted
from ingest.writing.drafts import CountTokens
from memtypes.model.filters import MAX_LIST, Absent, AnyOf, Compare, Filter, Not, Op, all_of
from memtypes.model.memory import Memory, State
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import from_payload
from memtypes.offload import offload
from memtypes.ports.memory_store import Listing, MemoryStore

MAX_VERSIONS = 1_000
"""Number of memories at which a history stops looking for further related memories."""

EDITED = "edited"
"""The reason that a history gives for the end of an earlier text of a memory."""

ENDED = "ended by a caller"
EXPIRED = "expired"

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Version:
    """A text in the history of a memory, and the time during which it was true.

    memory: the memory with this text as its content. since, until: the time; `until` is None if the
    text is still true. replaced_by: id of the memory whose text replaced this one; the memory's own
    id if it was edited, or if the text is a rewording that was merged into it. reason: why the text
    was replaced or ended, or is contested.
    """

    memory: Memory
    since: datetime
    until: datetime | None = None
    replaced_by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StateWriter:
    """Computes and writes the states of memories that are linked to changed ones. Raises the errors
    of the store.

    count_tokens: counts the tokens of changed memories again, because a context shows what has
    changed.
    """

    store: MemoryStore
    count_tokens: CountTokens

    async def settle(self, scope: Scope, states: States) -> None:
        """Complete `states` with all memories whose state depends on its changes so far; write
        nothing.
        """
        states.settle()
        while missing := states.needed():
            states.add_loaded(missing, await self.store.get(scope, sorted(missing)))
            states.settle()
        changed = [states.memories[memory_id] for memory_id in states.changed]
        await offload(
            (memory.content for memory in changed), lambda: states.count_tokens(self.count_tokens)
        )

    async def write(self, scope: Scope, states: States, but: Collection[str | None] = ()) -> None:
        """Write the changes in `states`, except to deleted memories and to memories whose ids are
        in `but`.
        """
        if changed := states.changed - states.deleted - set(but):
            await self.store.patch(
                scope, {memory_id: states.patch(memory_id) for memory_id in sorted(changed)}
            )

    async def detach(self, scope: Scope, removed: Mapping[str, Memory], now: datetime) -> None:
        """Remove the links to memories that are about to be deleted (by id), and write the states
        that change.
        """
        linking = await _with_any(self.store, scope, Listing(), "links.to", list(removed))
        linking = {memory.id: memory for memory in linking.values() if memory.id not in removed}
        states = States(now, {**linking, **removed}, deleted=set(removed))
        states.changed |= linking.keys()
        await self.settle(scope, states)
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
        await self.settle(scope, states)
        settled = {
            memory_id: states.patch(memory_id)
            for memory_id in sorted(states.changed - states.deleted)
        }
        ids = {**changes, **settled}
        if patches := {
            memory_id: {**changes.get(memory_id, {}), **settled.get(memory_id, {})}
            for memory_id in ids
        }:
            await self.store.patch(scope, patches)
        return len(settled)


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


async def history_of(
    store: MemoryStore, scope: Scope, memory: Memory, now: datetime
) -> list[Version]:
    """All versions of the text of `memory` and of its related memories, in the order in which they
    became true.

    Related are the memories that replaced `memory` or that it replaced, directly or through other
    memories, and the memories that contest one of these. now: a text whose memory has expired by
    this time counts as ended.
    """
    chain = {memory.id: memory.at(now)}
    newest = dict(chain)
    while newest and len(chain) < MAX_VERSIONS:
        linked = [
            {*contradicted(member), member.superseded_by or member.id} for member in newest.values()
        ]
        missing = set().union(*linked) - chain.keys()
        loaded = [member.at(now) for member in (await store.get(scope, sorted(missing))).values()]
        newest = {member.id: member for member in loaded if _belongs(member, chain)}
        chain |= newest
    versions = [version for member in chain.values() for version in versions_of(member, now)]
    return sorted(
        versions, key=lambda version: (version.since, version.until is None, version.memory.id)
    )


def _belongs(memory: Memory, chain: Mapping[str, Memory]) -> bool:
    """Whether a memory of the history `chain` replaced `memory`, was replaced by it, or is
    contested by it.
    """
    if memory.superseded_by in chain or any(
        other.superseded_by == memory.id for other in chain.values()
    ):
        return True
    return memory.state is State.CONTESTED and not contradicted(memory).isdisjoint(chain)


def versions_of(memory: Memory, now: datetime) -> list[Version]:
    """The earlier texts of `memory`, then the rewordings that were merged into it, and last its
    present text.
    """
    versions: list[Version] = []
    for text in memory.earlier:
        fields = {
            "content": text.content,
            "state": State.REPLACED,
            "valid_to": text.until,
            "superseded_by": memory.id,
        }
        versions.append(
            Version(memory.model_copy(update=fields), text.since, text.until, memory.id, EDITED)
        )
    for other in memory.rewordings:
        fields = {"content": other.content, "state": State.REPLACED, "superseded_by": memory.id}
        versions.append(
            Version(memory.model_copy(update=fields), other.at, other.at, memory.id, other.reason)
        )
    since = memory.earlier[-1].until if memory.earlier else memory.valid_from
    replaced_by = memory.superseded_by or (
        memory.upkeep.into if memory.upkeep is not None else None
    )
    until = memory.valid_to
    reason = memory.state_reason
    if memory.state is State.REPLACED and replaced_by is None:
        reason = reason or ENDED
    if memory.expires_at is not None and memory.expires_at <= min(now, until or now):
        until = memory.expires_at
        reason = EXPIRED
    return [*versions, Version(memory, since, until, replaced_by, reason)]

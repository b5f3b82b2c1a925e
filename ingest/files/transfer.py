"""A namespace's memories out of one store and into another, as they are: ids, times, uses and links included.

Vectors do not travel: they are made anew by the encoder at hand, so that a namespace moves between encoders too. A
memory keeps its id in its own tenant and namespace; in another one it gets the id that it would have there, and what
points to it follows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from pydantic import ValidationError

from ingest.screening.redaction.redactor import Redactor, SecretsRefused
from ingest.writing.drafts import PendingWrite, Preparer
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.validation import as_invalid
from ingest.writing.writer import NOT_READ_BACK, ScopeLocks
from memtypes.conversation_context import ConversationContext
from memtypes.model.errors import InvalidRequest
from memtypes.model.ids import memory_id
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import from_payload
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import Listing, MemoryStore

PAGE = 500
PIECE = 64


async def exported(store: MemoryStore, scope: Scope) -> AsyncIterator[dict[str, Any]]:
    """Each memory of the namespace as plain JSON, newest first; what is written meanwhile may be missing."""
    cursor: str | None = None
    while True:
        page = await store.page(scope, Listing(limit=PAGE, cursor=cursor))
        for memory in page.memories:
            yield memory.to_payload()
        cursor = page.next_cursor
        if cursor is None:
            return


def read_exported(scope: Scope, lines: Sequence[Mapping[str, Any]]) -> list[Memory]:
    """The memories of `lines` as they will be in `scope`. Raises InvalidRequest that names the line and the field."""
    memories = [_read(index, line) for index, line in enumerate(lines)]
    ids = _ids_in(scope, memories)
    return [_moved(memory, scope, ids) for memory in memories]


@dataclass(frozen=True, slots=True)
class Restorer:
    """Keeps memories that come from elsewhere, where other rules may have held: secrets are taken out here, too."""

    store: MemoryStore
    embedder: Embedder
    preparer: Preparer
    locks: ScopeLocks
    redactor: Redactor | None = None

    async def restore(self, scope: Scope, memories: Sequence[Memory]) -> list[WriteOutcome]:
        """What became of each, after reading back. Raises Conflict when an id belongs to another scope."""
        # In order of arrival, since a turn is embedded with those before it.
        order = sorted(range(len(memories)), key=lambda place: memories[place].seq)
        outcomes: dict[int, WriteOutcome] = {}
        for start in range(0, len(order), PIECE):
            places = order[start : start + PIECE]
            told = await self._restore_piece(scope, [memories[place] for place in places])
            outcomes.update(zip(places, told, strict=True))
        return [outcomes[place] for place in range(len(memories))]

    async def _restore_piece(self, scope: Scope, memories: Sequence[Memory]) -> list[WriteOutcome]:
        entries = await anyio.to_thread.run_sync(lambda: [self._prepared(scope, memory) for memory in memories])
        prepared = [entry for entry in entries if isinstance(entry, PendingWrite)]
        given = await ConversationContext(self.store).in_context(scope, [one.memory for one in prepared])
        embeddings = await self.embedder.embed_in_context(given)
        records = [one.record(embedding) for one, embedding in zip(prepared, embeddings, strict=True)]
        async with self.locks.of(scope):
            await self.store.upsert(scope, records)
            kept = await self.store.get(scope, {one.memory.id: one.memory.type for one in prepared})
        return [_outcome(one.memory, kept) if isinstance(one, PendingWrite) else one for one in entries]

    def _prepared(self, scope: Scope, memory: Memory) -> PendingWrite | WriteOutcome:
        """The memory without secrets, ready to be embedded; or why it may not be kept."""
        if self.redactor is None:
            return self.preparer.prepare_memory(memory)
        objection = self.redactor.rules(scope.tenant).objection(memory)
        if objection:
            return WriteOutcome(WriteStatus.REJECTED, reason=objection)
        try:
            return self.preparer.prepare_memory(self.redactor.clean_draft(scope.tenant, memory).value)
        except SecretsRefused as error:
            return WriteOutcome(WriteStatus.REJECTED, reason=str(error))


def _outcome(memory: Memory, kept: Mapping[str, Memory]) -> WriteOutcome:
    if kept.get(memory.id) != memory:
        return WriteOutcome(WriteStatus.FAILED, id=memory.id, reason=NOT_READ_BACK)
    return WriteOutcome(WriteStatus.STORED, id=memory.id, memory=memory)


def _read(index: int, line: Mapping[str, Any]) -> Memory:
    path = f"items[{index}]"
    if line.get("type") not in set(MemoryType):
        known = ", ".join(MemoryType)
        raise InvalidRequest(f"must be one of {known}", path=f"{path}.type", got=line.get("type"))
    try:
        return from_payload(line)
    except ValidationError as error:
        invalid = as_invalid(error)
        raise InvalidRequest(str(invalid), path=f"{path}.{invalid.path}", got=invalid.got) from error


def _ids_in(scope: Scope, memories: Sequence[Memory]) -> dict[str, str]:
    """The id that each memory will have in `scope`, by the one that it has."""
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for memory in memories:
        number = 0
        new = _id_in(scope, memory, number)
        while new in taken:
            number += 1
            new = _id_in(scope, memory, number)
        taken.add(new)
        ids[memory.id] = new
    return ids


def _id_in(scope: Scope, memory: Memory, number: int) -> str:
    if (memory.tenant, memory.namespace) == (scope.tenant, scope.namespace) and not number:
        return memory.id
    moved = memory.model_copy(update={"tenant": scope.tenant, "namespace": scope.namespace})
    identity = moved.identity() if not number else (*moved.identity(), f"namesake {number}")
    return memory_id(scope, memory.type, identity)


def _moved(memory: Memory, scope: Scope, ids: Mapping[str, str]) -> Memory:
    """`memory` in `scope`: what it points to is pointed to by its id there."""
    changes: dict[str, Any] = {"id": ids[memory.id], "tenant": scope.tenant, "namespace": scope.namespace}
    if memory.superseded_by is not None:
        changes["superseded_by"] = ids.get(memory.superseded_by, memory.superseded_by)
    changes["links"] = [link.model_copy(update={"id": ids.get(link.id, link.id)}) for link in memory.links]
    return memory.model_copy(update=changes)

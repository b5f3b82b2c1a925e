"""Exports the memories of a namespace, and restores them in another store with their ids, times,
uses and links.

Vectors are not exported but computed again by the current encoder, so a namespace can move between
encoders. A memory keeps its id in its own tenant and namespace. Elsewhere it gets the id that it
would have there, and references to it are changed accordingly. For this, each line also has the
identifying fields of the memories that it refers to, from which their new ids are derived. So an
export can be imported in parts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import anyio
import msgspec
from pydantic import ValidationError

from ingest.screening.redaction.redactor import Redactor, SecretsRefused
from ingest.screening.submission import as_invalid
from ingest.writing.drafts import Preparer
from ingest.writing.embedding import MemoryEmbedder
from ingest.writing.outcome import Entry, WriteOutcome, WriteStatus, unfinished, with_results
from ingest.writing.writer import NOT_READ_BACK, ScopeLocks
from memtypes.model.errors import InvalidRequest
from memtypes.model.ids import memory_id
from memtypes.model.memory import Memory, readable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import from_payload
from memtypes.ports.memory_store import Listing, MemoryStore

EXPORT_PAGE = 500
IDENTITIES = "identities"
"""Member of an exported line: the type and identity of each memory that the line refers to, by
memory id.
"""

ITEM = "item"
"""Value of `type` in the exported lines that hold keyed items instead of memories."""

RESTORE_PIECE = 64

_Identities: TypeAlias = dict[str, Annotated[list[str | None], msgspec.Meta(min_length=1)]]
"""Memory type, followed by the values of `Memory.identity`, by memory id."""


async def exported(store: MemoryStore, scope: Scope) -> AsyncIterator[dict[str, Any]]:
    """Yield each memory of the namespace as plain JSON, newest first; those written meanwhile may
    be missing.
    """
    async for memory in store.list_all(scope, Listing(limit=EXPORT_PAGE)):
        line = memory.to_payload()
        into = memory.upkeep.into if memory.upkeep is not None else None
        ids = (memory.superseded_by, into, *(link.to for link in memory.links))
        if references := [end for end in ids if end is not None]:
            ends = [
                end
                for end in (await store.get(scope, references)).values()
                if _follows_from_identity(end)
            ]
            line[IDENTITIES] = {end.id: [end.type, *end.identity()] for end in ends}
        yield line


def read_exported(scope: Scope, lines: Sequence[Mapping[str, Any]]) -> list[Memory]:
    """The memories in exported `lines`, moved to the tenant and namespace of `scope`. Lines of
    keyed items are skipped.

    Raises InvalidRequest for an invalid line, with its index and the field in the path.
    """
    identities: _Identities = {}
    memories: list[Memory] = []
    for index, line in enumerate(lines):
        if line.get("type") == ITEM:
            continue
        memory = _memory(
            f"items[{index}]", {name: value for name, value in line.items() if name != IDENTITIES}
        )
        try:
            identities |= msgspec.convert(line.get(IDENTITIES, {}), type=_Identities)
        except msgspec.ValidationError as error:
            raise InvalidRequest(str(error), path=f"items[{index}].{IDENTITIES}") from error
        if _follows_from_identity(memory):
            identities[memory.id] = [memory.type, *memory.identity()]
        memories.append(memory)
    return [_moved(memory, scope, identities) for memory in memories]


@dataclass(frozen=True, slots=True)
class Restorer:
    """Stores exported memories after redacting them by this service's rules."""

    store: MemoryStore
    embedder: MemoryEmbedder
    preparer: Preparer
    locks: ScopeLocks
    redactor: Redactor

    async def restore(self, scope: Scope, memories: Sequence[Memory]) -> list[WriteOutcome]:
        """Store `memories`, read them back, and return the outcomes. Raises Conflict if another
        scope has an id.
        """
        # In order of arrival, since a turn is embedded with those before it.
        order = sorted(range(len(memories)), key=lambda index: memories[index].seq)
        outcomes: dict[int, WriteOutcome] = {}
        for start in range(0, len(order), RESTORE_PIECE):
            piece = order[start : start + RESTORE_PIECE]
            restored = await self._restore_piece(scope, [memories[index] for index in piece])
            outcomes.update(zip(piece, restored, strict=True))
        return [outcomes[index] for index in range(len(memories))]

    async def _restore_piece(self, scope: Scope, memories: Sequence[Memory]) -> list[WriteOutcome]:
        entries = await anyio.to_thread.run_sync(
            lambda: [self._prepare(scope, memory) for memory in memories]
        )
        pending = unfinished(entries)
        # No turn is deleted while it is read as the context of another
        async with self.locks.lock(scope):
            in_context = await self.embedder.in_context(scope, [entry.memory for entry in pending])
            records = await self.embedder.records(in_context)
            await self.store.upsert(scope, records)
            stored = await self.store.get(
                scope, {entry.memory.id: entry.memory.type for entry in pending}
            )
        return with_results(entries, [_outcome(entry.memory, stored) for entry in pending])

    def _prepare(self, scope: Scope, memory: Memory) -> Entry:
        """`memory`, ready to be written, without secrets in any of its texts; or the outcome if it
        is rejected.
        """
        if objection := self.redactor.rules(scope.tenant).objection(memory):
            return WriteOutcome(WriteStatus.REJECTED, reason=objection)
        members = memory.model_dump(include={"earlier", "rewordings", "sources"})
        try:
            cleaned: Memory = self.redactor.clean_draft(memory.tenant, memory).value
            if any(members.values()):
                cleaned = cleaned.replace(**self.redactor.clean(memory.tenant, members).value)
        except SecretsRefused as error:
            reason = f"{error.path}: {error}" if error.path else str(error)
            return WriteOutcome(WriteStatus.REJECTED, reason=reason)
        return self.preparer.prepare_memory(cleaned)


def _outcome(memory: Memory, stored: Mapping[str, Memory]) -> WriteOutcome:
    if stored.get(memory.id) != memory:
        return WriteOutcome(WriteStatus.FAILED, id=memory.id, reason=NOT_READ_BACK)
    return WriteOutcome(WriteStatus.STORED, id=memory.id, memory=memory)


def _memory(path: str, line: Mapping[str, Any]) -> Memory:
    if str(line.get("type")) not in set(MemoryType):
        types = ", ".join([*MemoryType, ITEM])
        raise InvalidRequest(f"must be one of {types}", path=f"{path}.type", got=line.get("type"))
    try:
        memory = from_payload(line)
        readable(memory.content)  # stores are read without this check
    except ValidationError as error:
        invalid = as_invalid(error)
        raise InvalidRequest(
            str(invalid), path=f"{path}.{invalid.path}", got=invalid.got
        ) from error
    except ValueError as error:
        raise InvalidRequest(str(error), path=f"{path}.content", got=line["content"]) from error
    return memory


def _follows_from_identity(memory: Memory) -> bool:
    """Whether the id of `memory` follows from its fields; not if it was edited or restates a
    replaced fact.
    """
    return memory.id == memory_id(
        Scope(memory.tenant, memory.namespace), memory.type, memory.identity()
    )


def _moved(memory: Memory, scope: Scope, identities: _Identities) -> Memory:
    """`memory` moved to `scope`, with new ids for itself and for the memories that it refers to.

    identities: by exported id, the memory's type and identifying fields, from which the new id is
    derived.
    """
    if (memory.tenant, memory.namespace) == (scope.tenant, scope.namespace):
        return memory

    def moved(exported_id: str) -> str:
        kind, *identity = identities.get(exported_id, ["moved", exported_id])
        return memory_id(scope, str(kind), tuple(identity))

    changes: dict[str, Any] = {
        "id": moved(memory.id),
        "tenant": scope.tenant,
        "namespace": scope.namespace,
    }
    if memory.superseded_by is not None:
        changes["superseded_by"] = moved(memory.superseded_by)
    if memory.upkeep is not None and memory.upkeep.into is not None:
        changes["upkeep"] = memory.upkeep.model_copy(update={"into": moved(memory.upkeep.into)})
    changes["links"] = [link.model_copy(update={"to": moved(link.to)}) for link in memory.links]
    return memory.model_copy(update=changes)

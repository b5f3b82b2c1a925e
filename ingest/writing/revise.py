"""Changes of a stored memory by its caller: some fields anew, the rest as it was, always under the same id.

May be changed: content, importance, tags, metadata, pinned, expires_at and the type's own fields. None clears a field
that may be absent; a title, concept or name that is cleared, or that was never given, follows the content. Vectors are
made anew only when the embedded text changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
from pydantic import ValidationError

from ingest.files.problems import as_invalid
from ingest.writing.prepare import Prepared, Preparer, check_expiry, own_defaults
from ingest.writing.re_embedding import Echoes
from ingest.writing.writer import NOT_READ_BACK, existing, record_of
from memtypes.conversation_context import Preceding
from memtypes.model.errors import Conflict, InvalidRequest, Unavailable
from memtypes.model.ids import memory_id
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.model.types import DRAFT, AnyDraft
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import MemoryStore

CHANGEABLE = frozenset({"content", "importance", "tags", "metadata", "pinned", "expires_at"})
"""The common fields that a caller may change."""


@dataclass(frozen=True, slots=True)
class Reviser:
    """Applies changes; its caller holds the namespace's lock."""

    store: MemoryStore
    embedder: Embedder
    preparer: Preparer
    clock: Clock

    async def revise(self, scope: Scope, known_id: str, changes: dict[str, Any]) -> Memory:
        """The memory as read back after `changes`.

        Raises NotFound, InvalidRequest for what can't be changed so, and Conflict when it would then say the same as
        another memory.
        """
        before = await existing(self.store, scope, known_id)
        after = revised(before, changes)
        if after == before:
            return before
        await self._refuse_double(scope, before, after)
        updated = after.model_copy(update={"updated_at": self.clock()})
        prepared = await anyio.to_thread.run_sync(self.preparer.finish, updated)
        if prepared.text == before.embedding_text():
            await self._patch(scope, before, prepared.memory)
        else:
            await self._replace(scope, before, prepared)
        kept = await existing(self.store, scope, known_id)
        if (kept.content_hash, kept.updated_at) != (prepared.memory.content_hash, prepared.memory.updated_at):
            raise Unavailable(f"the change was not kept: {NOT_READ_BACK}")
        return kept

    async def _refuse_double(self, scope: Scope, before: Memory, after: Memory) -> None:
        if after.identity() == before.identity():
            return
        namesake = memory_id(scope, after.type, after.identity())
        other = (await self.store.get(scope, [namesake])).get(namesake)
        if other is not None and other.id != after.id and other.identity() == after.identity():
            raise Conflict(f"this would say the same as memory {other.id}")

    async def _replace(self, scope: Scope, before: Memory, prepared: Prepared) -> None:
        """Keep the memory with new vectors, and those of the turns after it."""
        given = await Preceding(self.store).in_context(scope, [prepared.memory])
        (embedding,) = await self.embedder.embed_in_context(given)
        await Echoes(self.store, self.embedder, self.preparer).renew(scope, [before], [prepared.memory])
        await self.store.upsert(scope, [record_of(prepared, embedding)])

    async def _patch(self, scope: Scope, before: Memory, after: Memory) -> None:
        old, new = before.to_payload(), after.to_payload()
        changed = {name: value for name, value in new.items() if old.get(name) != value}
        await self.store.patch(scope, {after.id: changed}, removed=sorted(set(old) - set(new)))


def revised(memory: Memory, changes: dict[str, Any]) -> Memory:
    """`memory` with `changes`, validated like a new one. Raises InvalidRequest that names the field."""
    _refuse_foreign(memory, changes)
    old = _draft_fields(memory)
    derived = {name for name, value in own_defaults(_draft(old)).items() if old.get(name) == value}
    fields = {name: value for name, value in {**old, **changes}.items() if name in changes or name not in derived}
    draft = _draft(fields)
    check_expiry(memory.created_at, draft.expires_at)
    dumped = draft.model_dump(include=set(old))
    named = {name: value for name, value in own_defaults(draft).items() if dumped.get(name) is None}
    return memory.replace(**{**dumped, **named})


def _refuse_foreign(memory: Memory, changes: dict[str, Any]) -> None:
    allowed = CHANGEABLE | memory.own_fields
    for name, value in changes.items():
        if name in allowed:
            continue
        why = "can't be changed" if name in type(memory).model_fields else "is no field of this type"
        known = ", ".join(sorted(allowed))
        raise InvalidRequest(f"{why}; may be changed: {known}", path=name, got=value)


def _draft_fields(memory: Memory) -> dict[str, Any]:
    fields = memory.model_dump(include=set(CHANGEABLE | memory.own_fields))
    return {"type": memory.type, **fields}


def _draft(fields: dict[str, Any]) -> AnyDraft:
    try:
        return DRAFT.validate_python(fields)
    except ValidationError as error:
        raise as_invalid(error) from error

"""Changes stored memories: edits, feedback and removal; updates the other memories that such a
change affects.

An edited memory keeps its earlier texts, but rejected texts that repeat them are removed. Facts
that it had replaced are compared with its new text. They become current again if the new text does
not contradict them, or if the memory is removed or ended.

A conversation turn is embedded with the turns before it as context. So when a turn is edited or
removed, the turns after it are embedded again, and nothing of the old text remains in their
vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import anyio

from ingest.identity.acts import text_hash, without_earlier
from ingest.identity.duplicates import has_ended
from ingest.identity.merging import joined_links
from ingest.identity.relation import contradict, is_public_fact
from ingest.identity.states import States, contradicted
from ingest.identity.stored import Neighbour
from ingest.identity.timeline import Timeline, judge_again
from ingest.screening.redaction.redactor import Redactor
from ingest.writing.drafts import END, SUCCESSOR, Preparer, check_links, revised
from ingest.writing.embedding import MemoryEmbedder
from ingest.writing.linked_states import StateWriter, linked_where
from ingest.writing.lookup import LookedUp, read_stored
from ingest.writing.versions import versions_of
from ingest.writing.writer import NOT_READ_BACK, ScopeLocks
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, Unavailable
from memtypes.model.filters import Filter, parse_time
from memtypes.model.ids import memory_id, normalise
from memtypes.model.memory import MAX_EARLIER, PAST, Link, LinkType, Memory, State
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import Procedural
from memtypes.model.prospective import Prospective
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.offload import offload
from memtypes.ports.memory_store import MemoryStore
from memtypes.ports.rejections import RejectionStore
from memtypes.search.vectors import Embedding

RESTORED = "restored by a caller"
RETRACTED = "retracted by a caller"
ACCEPTED = "as before it was retracted"
SUPERSEDED = "replaced by a caller"


class FeedbackOutcome(StrEnum):
    """What a caller reports about a recalled memory: that it was used, or how useful it was.

    `success` and `failure` raise the number of uses of a procedure and change its success rate. For
    memories of other types they mean the same as `helpful` and `unhelpful`.
    """

    USED = "used"
    HELPFUL = "helpful"
    UNHELPFUL = "unhelpful"
    SUCCESS = "success"
    FAILURE = "failure"


_POSITIVE = (FeedbackOutcome.HELPFUL, FeedbackOutcome.SUCCESS)


@dataclass(frozen=True, slots=True)
class MemoryEditor:
    """Changes stored memories while holding the lock of their namespace. redactor, rejections: see
    `Ingestor`.
    """

    store: MemoryStore
    embedder: MemoryEmbedder
    preparer: Preparer
    clock: Clock
    locks: ScopeLocks
    redactor: Redactor
    rejections: RejectionStore | None

    @property
    def state_writer(self) -> StateWriter:
        """Writes the states (current, replaced, contested) of memories in the editor's store."""
        return StateWriter(self.store, self.preparer.count_tokens)

    async def revise(
        self,
        scope: Scope,
        known_id: str,
        changes: dict[str, Any],
        check: Callable[[Memory], object] | None = None,
    ) -> Memory:
        """Set the fields `changes` of the memory `known_id`, without secrets; return the memory as
        read back.

        check: called with the memory before the change; may raise to prevent it. Raises NotFound,
        InvalidRequest for invalid changes, Conflict if another memory already says the same, and
        what `check` raises.
        """
        changes = (
            await offload([str(changes)], lambda: self.redactor.clean(scope.tenant, changes))
        ).value
        async with self.locks.lock(scope):
            now = self.clock()
            stored = await existing_memory(self.store, scope, known_id)
            if check is not None:
                check(stored)
            before = stored.at(now)
            fields = {name: changes[name] for name in changes.keys() - {END, SUCCESSOR}}
            after = revised(before, fields, now).at(now) if fields else before
            if after.identity() != before.identity():
                same_id = memory_id(scope, after.type, after.identity())
                other = (await self.store.get(scope, [same_id])).get(same_id)
                if (
                    other is not None
                    and other.id != known_id
                    and other.identity() == after.identity()
                ):
                    raise Conflict(f"this would say the same as memory {other.id}")
            if after.content != before.content:
                edited = before.edited(after.content, now).earlier
                restated = {"restated_at": now if is_public_fact(after) else None}
                after = after.model_copy(update={"earlier": edited, **restated})
            states = States(now, {known_id: after})
            embedding = await self._compare_again(scope, states, before)
            if END in changes:
                await self._set_end(scope, states, known_id, changes[END])
            if SUCCESSOR in changes:
                await self._set_successor(scope, states, known_id, changes[SUCCESSOR])
            if after.content != before.content:
                await self._forget_rejected(scope, [before])
            return await self._write(
                scope, stored, states, embedding, pinned="pinned" not in changes
            )

    async def bring_back(self, scope: Scope, known_id: str) -> Memory:
        """Make a replaced, ended or expired memory current again. If another memory replaced it,
        both are contested.

        Raises NotFound, and Conflict if the memory is none of these.
        """
        async with self.locks.lock(scope):
            now = self.clock()
            stored = await existing_memory(self.store, scope, known_id)
            memory = stored.at(now)
            expired = memory.expires_at is not None and memory.expires_at <= now
            if memory.state not in PAST and not expired:
                raise Conflict(f"memory {known_id} is {memory.state}: there is nothing to restore")
            if expired:
                memory = memory.model_copy(update={"expires_at": None}).at(now)
            states = States(now, {known_id: memory}, {known_id})
            await self._set_end(scope, states, known_id, None)
            return await self._write(scope, stored, states)

    async def retract(self, scope: Scope, known_id: str, reason: str | None) -> Memory:
        """Mark a memory as wrong: it never was true. What it had replaced is current again.

        reason: why, stored without secrets. A memory that is wrong already stays as it is. Raises
        NotFound.
        """
        reason = RETRACTED if reason is None else reason
        clean = await offload([reason], lambda: self.redactor.clean(scope.tenant, reason))
        async with self.locks.lock(scope):
            now = self.clock()
            stored = await existing_memory(self.store, scope, known_id)
            memory = stored.at(now)
            if memory.state is State.WRONG:
                return memory
            states = States(now, {known_id: memory}, {known_id})
            states.mark_wrong(known_id, clean.value)
            return await self._write(scope, stored, states)

    async def accept(self, scope: Scope, known_id: str) -> Memory:
        """Undo that a caller retracted a memory. It takes its place among what is stored by now: if
        another fact has replaced it, before or since, it is replaced.

        Raises NotFound, and Conflict if no caller has retracted it.
        """
        async with self.locks.lock(scope):
            now = self.clock()
            stored = await existing_memory(self.store, scope, known_id)
            memory = stored.at(now)
            if not is_retracted(memory):
                raise Conflict(f"memory {known_id} is {memory.state}: no caller has retracted it")
            states = States(now, {known_id: memory}, {known_id})
            await self.state_writer.complete(scope, states)  # knows its chain afterwards
            states.accept(known_id, ACCEPTED)
            accepted = states.memories[known_id]
            if accepted.state is State.CURRENT and is_public_fact(accepted):
                linked = [
                    Neighbour(states.memories[other], None)
                    for other in sorted(contradicted(accepted) & states.memories.keys())
                ]
                similar, _ = await self._similar(scope, accepted, now)
                near = [*linked, *similar]
                await offload([accepted.content], lambda: Timeline(states).add(accepted, near))
            return await self._write(scope, stored, states)

    async def part(self, scope: Scope, known_id: str) -> Memory:
        """Make a replaced or contested memory current, by unlinking it from the memories that
        replaced or contest it.

        Facts that the memory itself replaced stay replaced. Raises NotFound, and Conflict if the
        memory is neither replaced nor contested.
        """
        async with self.locks.lock(scope):
            now = self.clock()
            stored = await existing_memory(self.store, scope, known_id)
            states = States(now, {known_id: stored.at(now)}, {known_id})
            await self.state_writer.complete(scope, states)
            memory = states.memories[known_id]
            others = {
                other
                for other in contradicted(memory)
                if states.memories[other].superseded_by != known_id
            }
            others |= {memory.superseded_by} if memory.superseded_by else set()
            if not others:
                raise Conflict(
                    f"memory {known_id} is neither replaced nor contested: there is nothing to undo"
                )
            states.unlink(known_id, others)
            successor = states.memories.get(memory.superseded_by or "")
            if isinstance(memory, Prospective) and successor is not None:
                kept = [*memory.kept_from, text_hash(successor.content)][-MAX_EARLIER:]
                separate = states.memories[known_id].model_copy(update={"kept_from": kept})
                states.memories[known_id] = separate
                if isinstance(successor, Prospective):
                    parted = without_earlier(successor, memory)
                    states.memories[successor.id] = states.memories[successor.id].model_copy(
                        update={"history": parted.history}
                    )
            return await self._write(scope, stored, states)

    async def _compare_again(
        self, scope: Scope, states: States, before: Memory
    ) -> Embedding | None:
        """Compare a fact whose text has changed with other facts; add the result and changed links
        to `states`.

        before: the memory before the change. Returns the embedding of the new text; None if nothing
        was compared.
        """
        after = states.memories[before.id]
        if after == before:
            return None
        states.changed.add(after.id)
        if after.links != before.links or after.content != before.content:
            ends = {link.to for memory in (before, after) for link in memory.links}
            states.add_loaded(ends, await self.store.get(scope, sorted(ends)))
            check_links(
                after.links,
                {link.to for link in before.links} | states.memories.keys() - {after.id},
            )
        states.unlink(after.id, contradicted(before) - contradicted(after))
        if after.content == before.content or not is_public_fact(after):
            return None
        if after.superseded_by is not None:
            states.add_loaded(
                [after.superseded_by], await self.store.get(scope, [after.superseded_by])
            )
            newer = states.memories.get(after.superseded_by)
            if newer is None or not contradict(newer, after, states.now):
                states.unlink(after.id, [after.superseded_by])
        # The new text is a statement of now, whatever the time from which the fact holds.
        linked = states.retract(after.id)
        similar, embedding = await self._similar(scope, after, states.now)
        await offload([after.content], lambda: judge_again(states, after.id, linked, similar))
        added = [link for link in after.links if link not in before.links]
        judged = states.memories[after.id]
        states.memories[after.id] = judged.model_copy(
            update={"links": joined_links(judged.links, added)}
        )
        return embedding

    async def _similar(
        self, scope: Scope, fact: Memory, now: datetime
    ) -> tuple[Sequence[Neighbour], Embedding | None]:
        """The stored memories that are similar to `fact`, none if it has ended, and the embedding
        of its text.
        """
        prepared = await anyio.to_thread.run_sync(self.preparer.prepare_memory, fact)
        (prepared,) = await self.embedder.embedded([prepared])
        if has_ended(fact, now) or prepared.embedding is None:
            return (), prepared.embedding
        looked_up = LookedUp(fact, prepared.vectors(prepared.embedding))
        read = await read_stored(self.store, scope, [looked_up], now)
        (similar,) = read.neighbours
        return similar, prepared.embedding

    async def _set_end(self, scope: Scope, states: States, known_id: str, end: object) -> None:
        """End a memory at `end`, an RFC 3339 time; None makes an ended or replaced memory current
        again.

        A replaced memory with an `end` in the future is current until then. Raises InvalidRequest
        for an invalid `end`.
        """
        memory = states.memories[known_id]
        if end is None and memory.valid_to is None:
            return
        if end is None:
            states.changed.add(known_id)
            await self.state_writer.complete(scope, states)  # knows its chain afterwards
            states.bring_back(known_id, RESTORED)
            return
        ended_at = parse_time(end, END)
        if ended_at < memory.valid_from:
            raise InvalidRequest(
                f"must not be before valid_from, {rfc3339(memory.valid_from)}", path=END, got=end
            )
        if memory.superseded_by is not None and ended_at > states.now:
            await self._set_end(scope, states, known_id, None)
        states.end(known_id, ended_at)

    async def _set_successor(
        self, scope: Scope, states: States, known_id: str, newer_id: object
    ) -> None:
        """Mark a memory as replaced by `newer_id`, which is then current. Raises InvalidRequest for
        an unknown id.
        """
        if not isinstance(newer_id, str) or not (
            newer := await self.store.get(scope, [*{newer_id} - {known_id}])
        ):
            raise InvalidRequest(
                "must be the id of another memory of the namespace", path=SUCCESSOR, got=newer_id
            )
        states.add_loaded(newer, newer)
        states.stale |= {known_id, newer_id}
        await self.state_writer.complete(scope, states)  # knows both chains afterwards
        if states.memories[newer_id].state in PAST:
            states.bring_back(newer_id, RESTORED)
        states.replace(known_id, newer_id, SUPERSEDED)
        known = states.memories[known_id]
        begins_before = states.memories[newer_id].valid_from <= known.valid_from
        if begins_before and known.retracted_at is None:
            states.end(known_id, states.now)  # else it would never have been valid

    async def _write(
        self,
        scope: Scope,
        stored: Memory,
        states: States,
        embedding: Embedding | None = None,
        *,
        pinned: bool = True,
    ) -> Memory:
        """Write a changed memory and the memories whose state changes with it; return the memory as
        read back.

        stored: the memory before the change. states: it and the other memories after the change.
        The memories that it replaces, and its successor, are written last, so a failure in between
        hides no memory. pinned: whether to pin the memory if upkeep had forgotten it and the change
        makes it current.
        """
        if not states.changed:
            return stored.at(states.now)
        await self.state_writer.complete(scope, states)
        updated = states.memories[stored.id].model_copy(update={"updated_at": states.now})
        if not has_ended(updated, states.now):
            updated = _without_upkeep(updated, pinned=pinned)
        pending = await anyio.to_thread.run_sync(
            self.preparer.prepare_memory, updated.at(states.now)
        )
        others = states.changed - states.deleted - {stored.id}
        replaced = {
            memory.id for memory in states.memories.values() if memory.superseded_by == stored.id
        }
        last = others & {stored.superseded_by, *replaced}
        first_patches = states.patches(others - last)
        last_patches = states.patches(last)
        if pending.memory.embedding_text() == stored.embedding_text():
            changes = {stored.id: _payload_changes(stored, pending.memory)}
            await self.store.patch(scope, {**first_patches, **changes, **last_patches})
        else:
            if embedding is None:
                (pending,) = await self.embedder.in_context(scope, [pending.memory])
            records = await self.embedder.records([replace(pending, embedding=embedding)])
            await self._embed_following(scope, [stored], [pending.memory])
            if first_patches:
                await self.store.patch(scope, first_patches)
            await self.store.write(scope, records, last_patches)
        written = await existing_memory(self.store, scope, stored.id)
        if (written.content_hash, written.updated_at) != (
            pending.memory.content_hash,
            pending.memory.updated_at,
        ):
            raise Unavailable(f"the change was not stored: {NOT_READ_BACK}")
        return written

    async def rate(self, scope: Scope, memory_id: str, outcome: FeedbackOutcome) -> Memory:
        """Apply the feedback `outcome` to a memory; return the memory as read back. Raises
        NotFound.
        """
        async with self.locks.lock(scope):
            memory = await existing_memory(self.store, scope, memory_id)
            await self.store.patch(
                scope, {memory_id: feedback_changes(memory, outcome, self.clock())}
            )
            return await existing_memory(self.store, scope, memory_id)

    async def remove(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete memories and rejected texts that repeat them; return how many memories existed."""
        async with self.locks.lock(scope):
            await self._forget_rejected(scope, (await self.store.get(scope, ids)).values())
            return await self.remove_locked(scope, ids)

    async def _forget_rejected(self, scope: Scope, memories: Iterable[Memory]) -> None:
        if self.rejections is not None:
            await self.rejections.remove(scope, await self.repetitions(scope, memories))

    async def repetitions(self, scope: Scope, memories: Iterable[Memory]) -> list[str]:
        """The ids of the rejected texts that contain a present or earlier text of one of
        `memories`, ignoring case.
        """
        texts = {
            _folded(text.memory.content)
            for memory in memories
            for text in versions_of(memory, self.clock())
        }
        if self.rejections is None or not texts:
            return []
        return await self.rejections.matching(
            scope,
            lambda rejected: any(map(_folded(rejected.fields["content"]).__contains__, texts)),
        )

    async def remove_locked(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete memories, but no rejected texts; return how many existed. The caller holds the
        namespace's lock.
        """
        memories = await self.store.get(scope, ids)
        await self._embed_following(scope, list(memories.values()))
        await self.state_writer.detach(scope, memories, self.clock())
        return await self.store.delete(scope, list(memories))

    async def remove_where(
        self, scope: Scope, types: Sequence[MemoryType], where: Filter | None
    ) -> int:
        """Delete the memories of `types` (empty: all) that match `where`; return how many were
        deleted.

        `where` must match either all turns of a conversation or none of them, because turns that
        remain are not embedded again: their vectors would still contain the removed turns before
        them.
        """
        async with self.locks.lock(scope):
            if types or where is not None:
                linked = await linked_where(self.store, scope, types, where)
                await self.state_writer.detach(scope, linked, self.clock())
            return await self.store.delete_where(scope, types, where)

    async def embed_changed(self, scope: Scope, before: Mapping[str, Memory]) -> None:
        """Embed memories whose text to embed differs from `before` again, and the turns after them.
        Needs the lock.
        """
        for memory in (await self.store.get(scope, list(before))).values():
            if memory.embedding_text() != before[memory.id].embedding_text():
                renewed = await self.embedder.in_context(scope, [memory])
                records = await self.embedder.records(renewed)
                await self._embed_following(scope, [before[memory.id]], [memory])
                await self.store.upsert(scope, records)

    async def _embed_following(
        self, scope: Scope, removed: Sequence[Memory], added: Sequence[Memory] = ()
    ) -> None:
        """Embed the stored conversation turns again that have the turns `removed` as context, with
        `added` in their place.

        The caller changes or deletes `removed` later. So if the encoder or the store fails here,
        the whole change can be repeated.
        """
        if following := await self.embedder.following(scope, removed, added):
            await self.store.upsert(scope, await self.embedder.records(following))


def is_retracted(memory: Memory) -> bool:
    """Whether a caller said that `memory` is wrong, not a text that replaced it."""
    by_caller = memory.retracted_at is not None or memory.superseded_by is None
    return memory.state is State.WRONG and by_caller


def _folded(text: str) -> str:
    return f" {normalise(text).casefold()} "  # no text begins or ends within a word of another


def _payload_changes(before: Memory, after: Memory) -> dict[str, Any]:
    """The payload fields in which `after` differs from `before`; None for a field that it lacks."""
    old = before.to_payload()
    new = after.to_payload()
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return {name: new.get(name) for name in names}


def _without_upkeep(memory: Memory, *, pinned: bool) -> Memory:
    """`memory` without the mark of the upkeep job that ended it, and protected from being ended by
    a job again.

    If it had been merged, it gets a link of strength 0 to the other memory, which says that it is
    no duplicate of that. If it had been forgotten, it is pinned, unless `pinned` is False.
    """
    mark = memory.upkeep
    if mark is None or not memory.ended_by_upkeep:
        return memory
    if mark.into is None:
        return memory.model_copy(update={"upkeep": None, "pinned": pinned or memory.pinned})
    other = Link(to=mark.into, type=LinkType.REINFORCES, strength=0.0)
    return memory.model_copy(update={"upkeep": None, "links": [*memory.links, other]})


async def existing_memory(store: MemoryStore, scope: Scope, memory_id: str) -> Memory:
    """The memory with this id. Raises NotFound if the namespace has none."""
    memory = (await store.get(scope, [memory_id])).get(memory_id)
    if memory is None:
        raise NotFound(f"no memory {memory_id} in namespace {scope.namespace!r}")
    return memory


def feedback_changes(memory: Memory, outcome: FeedbackOutcome, now: datetime) -> dict[str, Any]:
    """The payload fields of `memory` to set for the feedback `outcome`, by name."""
    at = rfc3339(now)
    if outcome is FeedbackOutcome.USED:
        return {"access_count": memory.access_count + 1, "accessed_at": at}
    if isinstance(memory, Procedural) and outcome in (
        FeedbackOutcome.SUCCESS,
        FeedbackOutcome.FAILURE,
    ):
        # Uses before the first rating do not count
        uses = 0 if memory.success_rate is None else memory.usage_count
        rate = ((memory.success_rate or 0.0) * uses + float(outcome in _POSITIVE)) / (uses + 1)
        used = {"usage_count": memory.usage_count + 1, "last_used_at": at, "updated_at": at}
        return {**used, "success_rate": min(1.0, rate)}
    step = 1 if outcome in _POSITIVE else -1
    return {"importance": min(10, max(1, memory.importance + step)), "updated_at": at}

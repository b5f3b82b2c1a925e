"""Writes prepared memories into the store and tells what became of each after reading it back."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ingest.identity.duplicates import (
    SAME_SAYING,
    SAME_WORDS,
    SAME_WRITE,
    Plan,
    Verdict,
    comes_back,
    is_over,
    plan_writes,
    same_place,
)
from ingest.identity.exact_duplicates import originals
from ingest.identity.neighbours import Surroundings, nearest
from ingest.identity.superseding import Timeline, timeline, unfinished
from ingest.writing.locks import ScopeLocks
from ingest.writing.outcome import Outcome, Status
from ingest.writing.prepare import Prepared
from memtypes.model.errors import Conflict, NotFound
from memtypes.model.ids import memory_id
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import MemoryStore, Record
from memtypes.search.vectors import Embedding, SparseVector, Vectors

NOT_READ_BACK = "the store took it but did not give it back when it was read again"
_MAX_NAMESAKES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A prepared memory with its embedding; None where it was known already when the piece was embedded."""

    prepared: Prepared
    embedding: Embedding | None

    @property
    def memory(self) -> Memory:
        """The memory alone."""
        return self.prepared.memory

    @property
    def sparse(self) -> SparseVector:
        """Its words."""
        return self.prepared.sparse


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps pieces of memories, one piece at a time in a namespace."""

    store: MemoryStore
    embedder: Embedder
    clock: Clock
    locks: ScopeLocks

    async def keep(self, scope: Scope, arriving: Sequence[Encoded]) -> list[Outcome]:
        """One outcome for each of `arriving`, in order. Raises what the store and the embedder raise."""
        if not arriving:
            return []
        async with self.locks.of(scope):
            settled, stored = await self._settle(scope, arriving)
            settled = await self._embedded(settled, stored)
            around = await nearest(self.store, scope, _first_of_each(settled, stored, self.clock()))
            settled, stored = await _as_originals(settled, stored, around)
            now = self.clock()
            plan = plan_writes([encoded.memory for encoded in settled], stored, now)
            placed = await self._placed(scope, plan, around, stored, now)
            await self._write(scope, plan, settled)
            replaced = {verdict.id: placed.replaced_by(verdict.id) for verdict in plan.verdicts}
            facts = dict.fromkeys((old for gone in replaced.values() for old in gone), MemoryType.SEMANTIC)
            kept = await self.store.get(scope, facts | {one.memory.id: one.memory.type for one in settled})
        return [
            _with_replaced(_outcome(verdict, encoded.memory, kept), replaced, kept)
            for verdict, encoded in zip(plan.verdicts, settled, strict=True)
        ]

    async def _settle(self, scope: Scope, arriving: Sequence[Encoded]) -> tuple[list[Encoded], dict[str, Memory]]:
        """`arriving` under the ids that they will have, and what is stored there now.

        A memory that was revised keeps its id, so an id may be taken by other words, or by the same words for another
        day; and a fact that was replaced keeps its id for its time. The statement that comes back is then a memory of
        its own, under the next id that follows from its identity.
        """
        settled = list(arriving)
        for attempt in range(1, _MAX_NAMESAKES):
            ids = {encoded.memory.id: encoded.memory.type for encoded in settled}
            stored = await self.store.get(scope, ids)
            others = {
                place: other
                for place, encoded in enumerate(settled)
                if (other := _namesake(encoded.memory, stored, ids, attempt)) is not None
            }
            if not others:
                return settled, stored
            settled = [
                _renamed(scope, one, others[place]) if place in others else one for place, one in enumerate(settled)
            ]
        raise Conflict(f"{_MAX_NAMESAKES} revised memories stand where this statement would")

    async def _placed(
        self, scope: Scope, plan: Plan, around: Surroundings, stored: Mapping[str, Memory], now: datetime
    ) -> Timeline:
        """How facts stand after this piece; what changes for that is put into `plan`."""
        inserted = {insert.memory.id: insert for insert in plan.inserts.values()}
        near = {one: [other.memory for other in around.get(insert.index, ())] for one, insert in inserted.items()}
        again = {verdict.id: stored[verdict.id] for verdict in plan.verdicts if verdict.id in stored}
        linked = unfinished([memory for memory in again.values() if memory.id not in inserted])
        if linked:
            others = dict.fromkeys((one for ids in linked.values() for one in ids), MemoryType.SEMANTIC)
            known = await self.store.get(scope, others)
            near |= {new: [known[one] for one in ids if one in known] for new, ids in linked.items()}
        facts = [*(insert.memory for insert in inserted.values()), *(again[one] for one in linked)]
        placed = await offload((one.content for one in facts), lambda: timeline(facts, near, now))
        for one in placed.changed:
            if one in inserted:
                plan.inserts[one] = replace(inserted[one], memory=placed.current[one])
            else:
                plan.patches[one] = {**plan.patches.get(one, {}), **placed.patch(one)}
        return placed

    async def _write(self, scope: Scope, plan: Plan, settled: Sequence[Encoded]) -> None:
        records = [
            record_of(replace(settled[insert.index].prepared, memory=insert.memory), embedding)
            for insert in plan.inserts.values()
            if (embedding := settled[insert.index].embedding) is not None
        ]
        if records:
            await self.store.upsert(scope, records)
        if plan.patches:
            await self.store.patch(scope, plan.patches)

    async def _embedded(self, settled: Sequence[Encoded], stored: Mapping[str, Memory]) -> list[Encoded]:
        """`settled`, the first of each id with an embedding if it will be kept: what was known earlier has none yet."""
        now = self.clock()
        first = _first_of_each(settled, stored, now)
        missing = [place for place, one in first.items() if one.embedding is None]
        complete = list(settled)
        given = [first[place].prepared.in_context for place in missing]
        made = await self.embedder.embed_in_context(given) if given else []
        for place, embedding in zip(missing, made, strict=True):
            complete[place] = Encoded(settled[place].prepared, embedding)
        return complete


def record_of(prepared: Prepared, embedding: Embedding) -> Record:
    """The record that is kept for `prepared`."""
    return Record(prepared.memory, Vectors(embedding.dense, prepared.sparse, embedding.tokens))


async def existing(store: MemoryStore, scope: Scope, memory_id: str) -> Memory:
    """The memory of `memory_id`. Raises NotFound when `scope` has none."""
    found = (await store.get(scope, [memory_id])).get(memory_id)
    if found is None:
        raise NotFound(f"no memory {memory_id} in namespace {scope.namespace!r}")
    return found


def _taken(memory: Memory, stored: Mapping[str, Memory]) -> bool:
    other = stored.get(memory.id)
    return other is not None and other.identity() != memory.identity() and not same_place(other, memory)


def _namesake(memory: Memory, stored: Mapping[str, Memory], arriving: Container[str], attempt: int) -> str | None:
    """What tells `memory` from the one that has its id; None where it needs no other id."""
    if _taken(memory, stored):
        return f"namesake {attempt}"
    other = stored.get(memory.id)
    if other is not None and comes_back(other, memory, arriving):
        return f"since {rfc3339(memory.valid_from)}"
    return None


def _renamed(scope: Scope, encoded: Encoded, namesake: str) -> Encoded:
    memory = encoded.memory
    return _under(encoded, memory_id(scope, memory.type, (*memory.identity(), namesake)))


def _under(encoded: Encoded, other_id: str) -> Encoded:
    """`encoded` with another id."""
    memory = encoded.memory.model_copy(update={"id": other_id})
    return Encoded(replace(encoded.prepared, memory=memory), encoded.embedding)


def _first_of_each(settled: Sequence[Encoded], stored: Mapping[str, Memory], now: datetime) -> dict[int, Encoded]:
    """By place, the first of each id that is not there, or only as something that is over."""
    first: dict[str, int] = {}
    for place, one in enumerate(settled):
        kept = stored.get(one.memory.id)
        if kept is None or is_over(kept, now):
            first.setdefault(one.memory.id, place)
    return {place: settled[place] for place in first.values()}


async def _as_originals(
    settled: list[Encoded], stored: dict[str, Memory], around: Surroundings
) -> tuple[list[Encoded], dict[str, Memory]]:
    """`settled`, with the id of its original for what was said before in other case or spacing."""
    memories = [one.memory for one in settled]
    found = await offload((one.content for one in memories), lambda: originals(memories, stored, around))
    renamed = [_under(one, found[place].id) if place in found else one for place, one in enumerate(settled)]
    arriving = {one.memory.id for one in settled}
    kept = {original.id: original for original in found.values() if original.id not in arriving}
    return renamed, {**kept, **stored}


def _with_replaced(outcome: Outcome, replaced: Mapping[str, Sequence[str]], kept: Mapping[str, Memory]) -> Outcome:
    """`outcome` with what its memory has replaced, as far as that was read back."""
    if outcome.status is Status.FAILED or outcome.id is None:
        return outcome
    gone = [old for old in replaced.get(outcome.id, ()) if old in kept and kept[old].superseded_by == outcome.id]
    return replace(outcome, supersedes=tuple(gone))


def _outcome(verdict: Verdict, written: Memory, kept: Mapping[str, Memory]) -> Outcome:
    memory = kept.get(verdict.id)
    as_written = memory is not None and memory.content_hash == written.content_hash
    if memory is None or not (as_written or verdict.merged in (SAME_WRITE, SAME_WORDS, SAME_SAYING)):
        return Outcome(Status.FAILED, id=verdict.id, reason=NOT_READ_BACK)
    if verdict.merged is None:
        return Outcome(Status.STORED, id=verdict.id, memory=memory)
    reason = verdict.merged if verdict.merged == SAME_WRITE else f"{verdict.merged} as {verdict.id}"
    return Outcome(Status.MERGED, id=verdict.id, reason=reason, merged_into=verdict.id, memory=memory)

"""Writes prepared memories into the store and tells what became of each after reading it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ingest.duplicates import SAME_WORDS, SAME_WRITE, Plan, Verdict, plan_writes, same_place
from ingest.locks import ScopeLocks
from ingest.near import NearDuplicates
from ingest.outcome import Outcome, Status
from ingest.prepare import Prepared
from ingest.superseding import Superseder
from memtypes.errors import Conflict, NotFound
from memtypes.ids import memory_id
from memtypes.memory import Memory
from memtypes.ports import Embedder, MemoryStore, Record
from memtypes.scope import Scope
from memtypes.times import Clock
from memtypes.vectors import DenseVector, Embedding, Vectors

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


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps pieces of memories, one piece at a time in a namespace."""

    store: MemoryStore
    embedder: Embedder
    clock: Clock
    locks: ScopeLocks
    near: NearDuplicates

    async def keep(self, scope: Scope, arriving: Sequence[Encoded]) -> list[Outcome]:
        """One outcome for each of `arriving`, in order. Raises what the store and the embedder raise."""
        if not arriving:
            return []
        async with self.locks.of(scope):
            settled, stored = await self._as_original(scope, *await self._settle(scope, arriving))
            plan = plan_writes([encoded.memory for encoded in settled], stored, self.clock())
            await self._write(scope, plan, settled)
            replaced = await Superseder(self.store).supersede(scope, _new(plan, settled), self.clock())
            ids = {verdict.id for verdict in plan.verdicts}.union(*replaced.values())
            kept = await self.store.get(scope, list(ids))
        return [
            _with_replaced(_outcome(verdict, encoded.memory, kept), replaced, kept)
            for verdict, encoded in zip(plan.verdicts, settled, strict=True)
        ]

    async def _settle(self, scope: Scope, arriving: Sequence[Encoded]) -> tuple[list[Encoded], dict[str, Memory]]:
        """`arriving` under the ids that they will have, and what is stored there now.

        A memory that was revised keeps its id, so an id may be taken by other words, or by the same words for another
        day. The statement that comes back as it was is then a memory of its own, under the next id that follows from
        its identity.
        """
        settled = list(arriving)
        for attempt in range(1, _MAX_NAMESAKES):
            stored = await self.store.get(scope, list({encoded.memory.id for encoded in settled}))
            if not any(_taken(encoded.memory, stored) for encoded in settled):
                return settled, stored
            settled = [
                _renamed(scope, encoded, attempt) if _taken(encoded.memory, stored) else encoded for encoded in settled
            ]
        raise Conflict(f"{_MAX_NAMESAKES} revised memories stand where this statement would")

    async def _as_original(
        self, scope: Scope, settled: list[Encoded], stored: dict[str, Memory]
    ) -> tuple[list[Encoded], dict[str, Memory]]:
        """`settled`, with the id of its original for what was said before in other case or spacing."""
        originals = await self.near.originals(scope, settled, stored)
        renamed = list(settled)
        for place, original in originals.items():
            one = settled[place]
            memory = one.memory.model_copy(update={"id": original.id})
            renamed[place] = Encoded(replace(one.prepared, memory=memory), one.embedding)
        arriving = {one.memory.id for one in settled}
        kept = {original.id: original for original in originals.values() if original.id not in arriving}
        return renamed, {**kept, **stored}

    async def _write(self, scope: Scope, plan: Plan, settled: Sequence[Encoded]) -> None:
        if plan.inserts:
            inserts = list(plan.inserts.values())
            encoded = await self._embedded([settled[insert.index] for insert in inserts])
            await self.store.upsert(
                scope,
                [
                    record_of(replace(one.prepared, memory=insert.memory), vectors)
                    for insert, one, vectors in zip(inserts, encoded, (one.embedding for one in encoded), strict=True)
                    if vectors is not None
                ],
            )
        if plan.patches:
            await self.store.patch(scope, plan.patches)

    async def _embedded(self, arriving: list[Encoded]) -> list[Encoded]:
        """`arriving`, each with an embedding: what vanished from the store since the look-up has none yet."""
        missing = [index for index, encoded in enumerate(arriving) if encoded.embedding is None]
        if not missing:
            return arriving
        made = await self.embedder.embed_documents([arriving[index].prepared.text for index in missing])
        complete = list(arriving)
        for index, embedding in zip(missing, made, strict=True):
            complete[index] = Encoded(arriving[index].prepared, embedding)
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


def _renamed(scope: Scope, encoded: Encoded, attempt: int) -> Encoded:
    memory = encoded.memory
    identity = memory_id(scope, memory.type, (*memory.identity(), f"namesake {attempt}"))
    return Encoded(replace(encoded.prepared, memory=memory.model_copy(update={"id": identity})), encoded.embedding)


def _new(plan: Plan, settled: Sequence[Encoded]) -> list[tuple[Memory, DenseVector]]:
    """The memories that were inserted, with their vectors."""
    inserted = [(insert.memory, settled[insert.index].embedding) for insert in plan.inserts.values()]
    return [(memory, embedding.dense) for memory, embedding in inserted if embedding is not None]


def _with_replaced(outcome: Outcome, replaced: Mapping[str, Sequence[str]], kept: Mapping[str, Memory]) -> Outcome:
    """`outcome` with what its memory has replaced, as far as that was read back."""
    if outcome.status is not Status.STORED or outcome.id is None:
        return outcome
    gone = [old for old in replaced.get(outcome.id, ()) if old in kept and kept[old].superseded_by == outcome.id]
    return replace(outcome, supersedes=tuple(gone))


def _outcome(verdict: Verdict, written: Memory, kept: Mapping[str, Memory]) -> Outcome:
    memory = kept.get(verdict.id)
    as_written = memory is not None and memory.content_hash == written.content_hash
    if memory is None or not (as_written or verdict.merged in (SAME_WRITE, SAME_WORDS)):
        return Outcome(Status.FAILED, id=verdict.id, reason=NOT_READ_BACK)
    if verdict.merged is None:
        return Outcome(Status.STORED, id=verdict.id, memory=memory)
    reason = verdict.merged if verdict.merged == SAME_WRITE else f"{verdict.merged} as {verdict.id}"
    return Outcome(Status.MERGED, id=verdict.id, reason=reason, merged_into=verdict.id, memory=memory)

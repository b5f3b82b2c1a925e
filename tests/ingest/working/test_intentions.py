"""Intentions (tasks with a trigger): when they become due, and how they are delivered, snoozed and
ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

import anyio
import pytest

from ingest.working.intentions import LOCK_S, MAX_OPEN, DueRequest, Intentions
from ingest.writing.pipeline import Ingestor
from ingest.writing.writer import ScopeLocks
from memtypes.model.errors import Conflict, InvalidRequest, NotFound
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import ProspectiveDraft, Status, TriggerType
from memtypes.model.scope import Scope
from memtypes.ports.locks import Lease, LockRequest, Locks
from memtypes.search.vectors import Embedding
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.locks import RedisLocks
from tests.builders import make_dense, make_memory, make_record
from tests.fakes import FakeEmbedder
from tests.fakes_locks import FakeLocks, UnavailableLocks
from tests.fakes_memories import InMemoryStore
from tests.ingest.conversations.builders import NOW, ingestor_over

pytestmark = pytest.mark.anyio
SCOPE = Scope("t", "n")
PAST = NOW - timedelta(hours=1)
FUTURE = NOW + timedelta(hours=1)


class SlowStore(InMemoryStore):
    """A memory store that yields to other tasks after each read."""

    async def get(
        self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]
    ) -> dict[str, Memory]:
        """The memories with these ids, after a pause in which other tasks run."""
        memories = await super().get(scope, ids)
        await anyio.sleep(0.01)
        return memories


def intentions_over(
    store: InMemoryStore, ingestor: Ingestor, locks: Locks | None = None
) -> Intentions:
    """The intentions service of one process, over shared stores and locks."""
    return Intentions(
        store, FakeEmbedder(), ingestor, ScopeLocks(), lambda: NOW, locks or FakeLocks()
    )


async def write(ingestor: Ingestor, content: str, **fields: object) -> str:
    """Store a new intention and return its id."""
    draft = ProspectiveDraft.model_validate({"type": "prospective", "content": content, **fields})
    outcome = await ingestor.write_one(SCOPE, draft)
    assert outcome.id is not None
    return outcome.id


async def test_intentions_are_due_by_time_event_or_context() -> None:
    """An intention is due at its time, at a named event, or in a context similar to its condition.

    Intentions that became due first are listed first. Names of events are compared without case and
    repeated blanks.
    """
    store = InMemoryStore()
    ingestor = ingestor_over(store)
    intentions = intentions_over(store, ingestor)
    await write(ingestor, "call Bob", due_at=NOW)
    await write(ingestor, "call Ann", due_at=PAST)
    await write(ingestor, "call Eve", due_at=FUTURE)
    await write(ingestor, "notify", trigger_type=TriggerType.EVENT, trigger_condition="Build  Done")
    await write(
        ingestor, "recipe", trigger_type=TriggerType.CONTEXT, trigger_condition="cooking dinner"
    )

    async def due(request: DueRequest) -> list[str]:
        return [memory.content for memory in await intentions.due(SCOPE, request)]

    assert await due(DueRequest(NOW)) == ["call Ann", "call Bob"]
    assert await due(DueRequest(PAST, event="build done")) == ["call Ann", "notify"]
    assert await due(DueRequest(PAST, context="cooking dinner")) == ["call Ann", "recipe"]
    assert await due(DueRequest(PAST, context="sailing")) == ["call Ann"]


async def test_a_session_sees_its_own_intentions_and_those_of_the_namespace() -> None:
    """A session's own intentions and those visible in the whole namespace are due in that session.

    Without a session, only intentions visible in the namespace are due.
    """
    store = InMemoryStore()
    ingestor = ingestor_over(store)
    await write(ingestor, "mine", due_at=PAST, session_id="s", visibility=Visibility.SESSION)
    await write(ingestor, "ours", due_at=PAST, session_id="s", visibility=Visibility.NAMESPACE)
    intentions = intentions_over(store, ingestor)
    due = [
        {
            memory.content
            for memory in await intentions.due(SCOPE, DueRequest(NOW, session_id=session))
        }
        for session in ("s", "other", None)
    ]
    assert due == [{"mine", "ours"}, {"ours"}, {"ours"}]


async def test_an_ended_intention_stays_ended() -> None:
    """Completing an intention twice changes nothing, and cancelling it afterwards is a conflict.

    Snoozing to a time in the past is refused.
    """
    store = InMemoryStore()
    ingestor = ingestor_over(store)
    intentions = intentions_over(store, ingestor)
    memory_id = await write(ingestor, "call Ann", due_at=PAST)
    with pytest.raises(InvalidRequest, match="must lie in the future"):
        await intentions.snooze(SCOPE, memory_id, PAST)
    await intentions.snooze(SCOPE, memory_id, FUTURE)
    assert await intentions.due(SCOPE, DueRequest(NOW)) == []
    completed = await intentions.end(SCOPE, memory_id, Status.COMPLETED)
    assert (completed.status, completed.completed_at) == (Status.COMPLETED, NOW)  # type: ignore[attr-defined]
    assert await intentions.end(SCOPE, memory_id, Status.COMPLETED) == completed
    with pytest.raises(Conflict, match="completed already"):
        await intentions.end(SCOPE, memory_id, Status.CANCELLED)
    with pytest.raises(NotFound):
        await intentions.end(SCOPE, "0" * 8, Status.COMPLETED)


async def times_fired(locks: Locks | None) -> int:
    """How often a due intention is delivered if two processes ask for due intentions at once."""
    store = SlowStore()
    ingestor = ingestor_over(store)
    await write(ingestor, "call Ann", due_at=PAST)
    fired: list[int] = []

    async def ask() -> None:
        process = intentions_over(store, ingestor_over(store), locks)
        fired.append(len(await process.fire(SCOPE, DueRequest(NOW))))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)
    return sum(fired)


async def test_an_intention_fires_in_one_of_two_processes(live: LiveClient) -> None:
    """If two processes ask for due intentions at once, a lock lets only one deliver the intention.

    Without a lock both deliver it.
    """
    assert await times_fired(RedisLocks(live)) == 1
    assert await times_fired(None) == 2


async def test_intentions_fire_while_the_locks_are_unavailable() -> None:
    """While the lock server is unavailable, both processes deliver a due intention rather than
    none.
    """
    assert await times_fired(UnavailableLocks()) == 2


async def results_of_two_processes(locks: Locks | None) -> list[Status | None]:
    """The results if one process completes an intention while another cancels it. None is the
    result of a conflict.
    """
    store = SlowStore()
    memory_id = await write(ingestor_over(store), "call Ann")
    statuses: list[Status | None] = []

    async def end(status: Literal[Status.COMPLETED, Status.CANCELLED]) -> None:
        process = intentions_over(store, ingestor_over(store), locks)
        try:
            ended = await process.end(SCOPE, memory_id, status)
            statuses.append(Status(ended.model_dump()["status"]))
        except Conflict:
            statuses.append(None)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end, Status.COMPLETED)
        tasks.start_soon(end, Status.CANCELLED)
    assert (await store.get(SCOPE, [memory_id]))[memory_id].model_dump()["status"] in statuses
    return statuses


async def test_an_intention_is_ended_by_one_of_two_processes(live: LiveClient) -> None:
    """If two processes end an intention at once, a lock lets one succeed, and the other gets a
    conflict.

    While the locks are unavailable both may end it.
    """
    statuses = await results_of_two_processes(RedisLocks(live))
    assert sorted(map(str, statuses)) in (["None", "cancelled"], ["None", "completed"])
    assert None not in await results_of_two_processes(UnavailableLocks())


async def test_delivering_and_ending_intentions_at_once_does_not_deadlock(live: LiveClient) -> None:
    """Calls that deliver intentions and calls that end them run at once and all return.

    Both take the lock shared by processes before the namespace's lock.
    """
    store = SlowStore()
    ingestor = ingestor_over(store)
    memory_id = await write(ingestor, "call Ann", due_at=PAST)
    process = Intentions(
        store, FakeEmbedder(), ingestor, ingestor.locks, lambda: NOW, RedisLocks(live)
    )
    with anyio.fail_after(LOCK_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(process.fire, SCOPE, DueRequest(NOW))
                tasks.start_soon(process.end, SCOPE, memory_id, Status.COMPLETED)


class Observed(FakeEmbedder):
    """An embedder that records each batch of documents, and whether any call was made while `locks`
    were held.
    """

    def __init__(self, locks: Observing) -> None:
        self.locks = locks
        self.batches: list[list[str]] = []
        self.under_lock = False

    async def embed_query(self, text: str) -> Embedding:
        """The embedding of `text`. Records whether `locks` were held."""
        self.under_lock |= self.locks.is_held
        return await super().embed_query(text)

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """The embeddings of `texts`. Records the batch and whether `locks` were held."""
        self.batches.append(list(texts))
        self.under_lock |= self.locks.is_held
        return await super().embed_documents(texts)


class Observing(FakeLocks):
    """Locks that record in `is_held` whether they are held.

    lost: if true, releasing a lock reports that another process has taken it.
    """

    def __init__(self, *, lost: bool = False) -> None:
        super().__init__()
        self.is_held = False
        self.is_lost = lost

    async def acquire(self, request: LockRequest) -> Lease:
        """Acquire the lock, and record that it is held."""
        lease = await super().acquire(request)
        self.is_held = True
        return lease

    async def release(self, lease: Lease) -> bool:
        """Release the lock. False if it was lost to another process."""
        self.is_held = False
        return await super().release(lease) and not self.is_lost


CONTEXT = "cooking dinner"


class Crowded(FakeEmbedder):
    """An embedder that, while it embeds the condition "new", serves the intentions of other
    namespaces.
    """

    def __init__(self, store: InMemoryStore, ingestor: Ingestor) -> None:
        self.intentions = Intentions(store, self, ingestor, ScopeLocks(), lambda: NOW, FakeLocks())

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """The embeddings of `texts`. For "new", looks for due intentions in four more namespaces
        first.
        """
        if list(texts) == ["new"]:
            for number in range(4):
                await self.intentions.due(
                    Scope("t", f"n{number}"), DueRequest(NOW, context=CONTEXT)
                )
        return await super().embed_documents(texts)


async def test_a_condition_that_leaves_the_cache_meanwhile_is_still_compared() -> None:
    """Other calls may fill the cache of embedded conditions while a call embeds its own new
    ones.
    """
    store = InMemoryStore()
    ingestor = ingestor_over(store)
    intentions = Crowded(store, ingestor).intentions
    by_context = {"trigger_type": TriggerType.CONTEXT}
    for number in range(4):
        other = Scope("t", f"n{number}")
        conditions = [f"condition {number} {place}" for place in range(MAX_OPEN)]
        memories = [
            make_memory(
                MemoryType.PROSPECTIVE, condition, other, trigger_condition=condition, **by_context
            )
            for condition in conditions
        ]
        await store.upsert(other, [make_record(memory, make_dense(0, 16)) for memory in memories])
    known = await write(ingestor, "known", trigger_condition=CONTEXT, **by_context)
    assert [
        memory.id for memory in await intentions.due(SCOPE, DueRequest(NOW, context=CONTEXT))
    ] == [known]
    await write(ingestor, "other", trigger_condition="new", **by_context)
    assert [
        memory.id for memory in await intentions.due(SCOPE, DueRequest(NOW, context=CONTEXT))
    ] == [known]


async def test_conditions_are_embedded_in_one_batch_before_the_lock_is_taken() -> None:
    """All conditions of intentions (texts that describe a context) are embedded in one batch,
    before the lock is taken.

    If no intention is due, no lock is taken.
    """
    store = InMemoryStore()
    ingestor = ingestor_over(store)
    conditions = [CONTEXT, "sailing at night", "repairing the roof"]
    for number, condition in enumerate(conditions):
        await write(
            ingestor,
            f"note {number}",
            trigger_type=TriggerType.CONTEXT,
            trigger_condition=condition,
        )
    locks = Observing()
    embedder = Observed(locks)
    intentions = Intentions(store, embedder, ingestor, ScopeLocks(), lambda: NOW, locks)
    assert await intentions.fire(SCOPE, DueRequest(NOW, context="sculpture")) == []
    assert locks.counts.acquired == 0
    assert [
        memory.content for memory in await intentions.fire(SCOPE, DueRequest(NOW, context=CONTEXT))
    ] == ["note 0"]
    assert [sorted(batch) for batch in embedder.batches] == [sorted(conditions)]
    assert not embedder.under_lock
    assert locks.counts.acquired == 1, "the lock is held by `held`, which renews it"


async def test_an_intention_is_delivered_though_its_lock_was_lost_meanwhile() -> None:
    """A due intention is marked as delivered under a lock. It is returned even if another process
    has taken the lock.

    The other process may then deliver the intention, too.
    """
    store = InMemoryStore()
    ingestor = ingestor_over(store)
    await write(ingestor, "call Ann", due_at=PAST)
    fired = await intentions_over(store, ingestor, Observing(lost=True)).fire(
        SCOPE, DueRequest(NOW)
    )
    assert [memory.content for memory in fired] == ["call Ann"]


async def test_an_intention_snoozed_while_a_delivery_waits_is_not_delivered() -> None:
    store = InMemoryStore()
    ingestor = ingestor_over(store)
    memory_id = await write(ingestor, "call Ann", due_at=PAST)
    intentions = intentions_over(store, ingestor, UnavailableLocks())
    async with anyio.create_task_group() as tasks, intentions.locks.lock(SCOPE):
        fired: list[int] = []

        async def fire() -> None:
            fired.append(len(await intentions.fire(SCOPE, DueRequest(NOW))))

        tasks.start_soon(fire)
        await anyio.wait_all_tasks_blocked()
        await intentions.snooze(SCOPE, memory_id, FUTURE)
    assert fired == [0]

"""Turns that a thread evicts are stored as memories exactly once.

A batch of evicted turns that cannot be stored does not delay other batches, and is retried.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ingest.conversations.evicted_turns import FIRST_PAUSE, LONGEST_PAUSE, TRIES, EvictedTurnWriter
from ingest.conversations.threads import OpenRequest, Threads
from ingest.screening.redaction.redactor import RedactionGate, RedactionRules, Redactor, RuleBook
from ingest.screening.submission import ScreeningGate, Submission
from memtypes.live.eviction import ThreadLimits
from memtypes.live.turns import NewTurn, Turn
from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing, Record
from memtypes.ports.threads import AppendTurn, EvictedBacklog, NewThread
from memtypes.stores.redis.connection.client import LiveClient
from tests.fakes_memories import InMemoryStore
from tests.fakes_threads import FakeThreads
from tests.ingest.conversations.builders import NOW, SlowGate, ingestor_over, threads_over
from tests.live import fresh_scope

pytestmark = pytest.mark.anyio
SCOPE = Scope("acme", "n")


class PoisonGate:
    """A screening gate that raises `error` for drafts that contain "poison"."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def examine(self, _scope: Scope, submission: Submission) -> Submission:
        """Return the submission unchanged; raise `error` if its text contains "poison"."""
        if self.error is not None and "poison" in submission.draft.content:
            raise self.error
        return submission


class CrashingStore(InMemoryStore):
    """A memory store that stores records and then raises Unavailable, while `crashes` is set."""

    crashes = True

    async def write(
        self,
        scope: Scope,
        records: Sequence[Record],
        changes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Write the memories. While `crashes` is set, raise Unavailable afterwards."""
        await super().write(scope, records, changes)
        if self.crashes:
            raise Unavailable("killed")


async def evicted(*contents: str) -> FakeThreads:
    """A fake thread store with one batch of evicted turns for each text in `contents`."""
    threads = FakeThreads()
    await threads.create(SCOPE, NewThread("t", 60, NOW))
    for content in (*contents, "stays"):
        await threads.append(
            SCOPE, AppendTurn("t", Turn("user", content, 1, NOW), "0", ThreadLimits(None, 1, 9))
        )
    return threads


async def episodes(store: InMemoryStore, scope: Scope = SCOPE) -> list[Memory]:
    """All episodic memories in `store`."""
    return list(
        (await store.page(scope, Listing(types=(MemoryType.EPISODIC,), limit=500))).memories
    )


async def stored_turns(store: InMemoryStore, scope: Scope = SCOPE) -> list[int]:
    """Sorted numbers of the turns that the sources of the stored episodic memories list."""
    return sorted(
        index
        for memory in await episodes(store, scope)
        if memory.source
        for index in memory.source.turns
    )


@pytest.mark.parametrize("error", [InvalidRequest("refused"), ValueError("a bug")])
async def test_a_failing_batch_of_evicted_turns_is_set_aside_after_three_tries(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch of evicted turns that cannot be stored is set aside after three tries, and retried
    later.

    It is counted and logged without its text. The other batches are stored at the first try.
    """
    threads = await evicted("poison", "a", "b")
    store = InMemoryStore()
    writer = EvictedTurnWriter(threads, ingestor_over(store, PoisonGate(error)), lambda: NOW)
    with caplog.at_level(logging.ERROR):
        assert len((await writer.persist(SCOPE))["t"]) == 2
        for tried in range(1, TRIES):
            assert [batch.tries for batch in await threads.pending(SCOPE, 9)] == [tried]
            assert await writer.persist(SCOPE) == {"t": []}
    assert await stored_turns(store) == [1, 2]
    backlog = await writer.store.backlog(SCOPE, "t")
    assert backlog.waiting == 0
    assert [(batch.turns[0].content, batch.retry_at) for batch in backlog.set_aside] == [
        ("poison", NOW + FIRST_PAUSE)
    ]
    assert (writer.counts.kept, writer.counts.postponed, writer.counts.set_aside) == (
        2,
        TRIES - 1,
        1,
    )
    assert "after 3 tries" in caplog.text
    assert "poison" not in caplog.text
    assert writer.counts.set_aside == 1


async def test_an_append_does_not_wait_for_its_evicted_turns_to_be_stored(live: LiveClient) -> None:
    """An append returns while the turns that it evicted are still being stored as memories.

    A list of evicted turns shows them at once, and gives a turn's memory id as None until its
    memory is stored.
    """
    gate = SlowGate()
    scope = fresh_scope()
    threads = threads_over(
        live, "threads: {r: {max_messages: 2}}", ingestor_over(InMemoryStore(), gate)
    )
    thread = (await threads.open(scope, OpenRequest(resource="r"))).thread
    with anyio.fail_after(5):
        for number in range(4):
            await threads.append(
                scope, thread.id, NewTurn(role="user", content=f"turn {number}"), None
            )
        removed = await threads.evicted_turns.turns(scope, thread.id)
        assert [(entry.turn.content, entry.memory_id) for entry in removed] == [
            ("turn 0", None),
            ("turn 1", None),
        ]
        gate.opened.set()
        await threads.evicted_turns.wait_until_idle()
    assert all(entry.memory_id for entry in await threads.evicted_turns.turns(scope, thread.id))


async def test_a_flush_during_background_writes_returns_only_its_own_memories() -> None:
    """While a first call of `persist` stores evicted turns, another turn is queued and `persist` is
    called again.

    The second call stores the newly queued turn, and returns only that turn's memory id.
    """
    gate = SlowGate()
    threads = await evicted("a", "b")
    store = InMemoryStore()
    writer = EvictedTurnWriter(threads, ingestor_over(store, gate), lambda: NOW)
    flush: list[str] = []

    async def persist(memory_ids: list[str]) -> None:
        memory_ids += (await writer.persist(SCOPE))["t"]

    async with anyio.create_task_group() as calls:
        calls.start_soon(persist, [])
        await gate.reached.wait()
        await threads.append(
            SCOPE, AppendTurn("t", Turn("user", "c", 1, NOW), "0", ThreadLimits(None, 1, 9))
        )
        calls.start_soon(persist, flush)
        await anyio.lowlevel.checkpoint()
        gate.opened.set()
    assert ["stays" in memory.content for memory in (await store.get(SCOPE, flush)).values()] == [
        True
    ]


async def test_closing_waits_for_the_current_batch_only(live: LiveClient) -> None:
    """Closing the writer of evicted turns waits for the batch that is being stored.

    The next writer stores the others.
    """
    gate = SlowGate()
    scope = fresh_scope()
    store = InMemoryStore()
    threads = threads_over(live, "threads: {r: {max_messages: 2}}", ingestor_over(store, gate))
    thread = (await threads.open(scope, OpenRequest(resource="r"))).thread
    for number in range(6):
        await threads.append(scope, thread.id, NewTurn(role="user", content=f"turn {number}"), None)
    with anyio.fail_after(5):
        await gate.reached.wait()
        async with anyio.create_task_group() as closing:
            closing.start_soon(threads.evicted_turns.aclose)
            await anyio.lowlevel.checkpoint()
            gate.opened.set()
    assert await stored_turns(store, scope) == [0]
    following = EvictedTurnWriter(threads.evicted_turns.store, ingestor_over(store), lambda: NOW)
    assert await following.persist_all() == 3
    assert await stored_turns(store, scope) == [0, 1, 2, 3]


async def test_a_batch_waits_while_the_store_is_unavailable() -> None:
    """While the memory store is unavailable for a batch of evicted turns, the batch stays queued
    and others are stored.

    The batch is never set aside, however often it is tried, and is stored once the store is
    available again.
    """
    threads = await evicted("poison", "a", "b")
    store = InMemoryStore()
    gate = PoisonGate(Unavailable("away"))
    writer = EvictedTurnWriter(threads, ingestor_over(store, gate), lambda: NOW)
    for _ in range(3 * TRIES):
        await writer.persist(SCOPE)
    assert await stored_turns(store) == [1, 2]
    assert (await writer.store.backlog(SCOPE, "t")).waiting == 1
    gate.error = None
    assert len((await writer.persist(SCOPE))["t"]) == 1
    assert await stored_turns(store) == [0, 1, 2]


async def test_a_starting_service_retries_everything_that_is_set_aside() -> None:
    """A starting service retries all evicted turns that were set aside, because redaction rules may
    have changed.
    """
    threads = await evicted("poison")
    gate = PoisonGate(InvalidRequest("refused"))
    ingestor = ingestor_over(InMemoryStore(), gate)
    writer = EvictedTurnWriter(threads, ingestor, lambda: NOW)
    for _ in range(TRIES):
        await writer.persist(SCOPE)
    assert await writer.persist_all() == 0
    assert len((await writer.store.backlog(SCOPE, "t")).set_aside) == 1
    gate.error = None
    assert await EvictedTurnWriter(threads, ingestor, lambda: NOW).persist_all() == 1
    assert await writer.store.backlog(SCOPE, "t") == EvictedBacklog(0)


async def test_the_pause_before_a_retry_doubles_up_to_a_day() -> None:
    """Evicted turns that were set aside are retried after 10 minutes, then after 20, 40 and so on,
    up to a day.
    """
    threads = await evicted("poison")
    gate = PoisonGate(InvalidRequest("refused"))
    now = [NOW]
    writer = EvictedTurnWriter(threads, ingestor_over(InMemoryStore(), gate), lambda: now[0])
    await writer.persist_all()
    for _ in range(TRIES - 1):
        await writer.persist(SCOPE)
    pauses = []
    for _ in range(10):
        (batch,) = (await writer.store.backlog(SCOPE, "t")).set_aside
        assert batch.retry_at is not None
        pauses.append(batch.retry_at - now[0])
        now[0] = batch.retry_at - timedelta(seconds=1)
        await writer.persist_all()
        assert (await writer.store.backlog(SCOPE, "t")).set_aside == (batch,)
        now[0] = batch.retry_at
        await writer.persist_all()
    assert pauses == [
        min(timedelta(minutes=10 * 2**times), timedelta(days=1)) for times in range(10)
    ]
    assert writer.counts.recalled == 10
    gate.error = None
    now[0] += LONGEST_PAUSE
    assert await writer.persist_all() == 1


@pytest.mark.parametrize(
    "rules", [{"never_keep_types": frozenset({MemoryType.EPISODIC})}, {"policy": "refuse"}]
)
async def test_a_batch_that_redaction_rules_reject_is_not_counted_as_stored(
    rules: dict[str, object],
) -> None:
    """If redaction rules reject the memory made from evicted turns, the turns are set aside.

    The reason that is recorded with the turns does not contain the secret.
    """
    gate = RedactionGate(Redactor(RuleBook(default=RedactionRules.model_validate(rules))))
    threads = await evicted("write to ann@example.org")
    writer = EvictedTurnWriter(threads, ingestor_over(InMemoryStore(), gate), lambda: NOW)
    for _ in range(TRIES):
        assert await writer.persist(SCOPE) == {"t": []}
    (batch,) = (await writer.store.backlog(SCOPE, "t")).set_aside
    assert batch.reason.startswith("the memory of evicted turns was rejected: ")
    assert "ann@" not in batch.reason


async def test_a_long_batch_of_evicted_turns_becomes_several_memories() -> None:
    """Evicted turns that are too long together for one memory are divided among several memories.

    Each turn is listed in the source of exactly one memory, in the order of the conversation.
    """
    turns = [Turn("user", f"{number} " + "x" * 150_000, 2, NOW) for number in range(4)]
    threads = FakeThreads()
    store = InMemoryStore()
    await threads.create(SCOPE, NewThread("t", 60, NOW))
    for turn, rank in zip(turns, ("3", "1", "2", "0"), strict=True):
        await threads.append(SCOPE, AppendTurn("t", turn, rank, ThreadLimits(None, 9, 9)))
    await threads.append(
        SCOPE, AppendTurn("t", Turn("user", "stays", 8, NOW), "0", ThreadLimits(8, None, 9))
    )
    (batch,) = await threads.pending(SCOPE, 9)
    ids = (await EvictedTurnWriter(threads, ingestor_over(store), lambda: NOW).persist(SCOPE))["t"]
    stored = await store.get(SCOPE, ids)
    assert [turn.index for turn in batch.turns] != [0, 1, 2, 3]
    assert [stored[memory_id].source.turns for memory_id in ids] == [[0, 1], [2, 3]]  # type: ignore[union-attr]


async def test_a_memory_is_never_dated_in_the_future() -> None:
    """An evicted turn whose timestamp is two days ahead becomes a memory with the present time as
    its creation time.
    """
    threads = FakeThreads()
    store = InMemoryStore()
    await threads.create(SCOPE, NewThread("t", 60, NOW))
    for moment in (NOW + timedelta(days=2), NOW):
        await threads.append(
            SCOPE,
            AppendTurn(
                "t", Turn("user", "what time is it", 6, moment), "0", ThreadLimits(None, 1, 9)
            ),
        )
    await EvictedTurnWriter(threads, ingestor_over(store), lambda: NOW).persist(SCOPE)
    assert [memory.created_at for memory in await episodes(store)] == [NOW]


async def test_turns_that_no_memory_can_hold_are_set_aside() -> None:
    """An evicted turn that is too long for any memory is set aside, and the reason recorded with it
    says so.
    """
    threads = await evicted("x" * 600_000)
    writer = EvictedTurnWriter(threads, ingestor_over(InMemoryStore()), lambda: NOW)
    for _ in range(TRIES):
        await writer.persist(SCOPE)
    (batch,) = (await writer.store.backlog(SCOPE, "t")).set_aside
    assert batch.reason.startswith("evicted turns do not form a valid memory: ")


@pytest.mark.parametrize("moment", ["before the write", "after the write"])
async def test_a_crash_neither_loses_nor_duplicates_turns(live: LiveClient, moment: str) -> None:
    """If a process crashes before or after it writes evicted turns, another process stores them
    exactly once.
    """
    policy = "threads: {r: {type: message_count_based, max_messages: 10}}"
    scope = fresh_scope()
    store = CrashingStore()
    gates: tuple[ScreeningGate, ...] = (
        () if moment == "after the write" else (PoisonGate(Unavailable("killed")),)
    )
    await flush_once(threads_over(live, policy, ingestor_over(store, *gates)), scope)
    store.crashes = False
    other = threads_over(live, policy, ingestor_over(store))
    assert await other.evicted_turns.persist_all() >= 1
    assert await stored_turns(store, scope) == [0, 1, 2]
    assert await other.evicted_turns.persist(scope) == {}


async def flush_once(threads: Threads, scope: Scope) -> None:
    """Append eight turns; the last triggers a flush. Wait until the evicted turns are stored or
    have failed.
    """
    opened = await threads.open(scope, OpenRequest(resource="r"))
    turn = NewTurn(role="user", content="poison")
    appended = [await threads.append(scope, opened.thread.id, turn, None) for _ in range(8)]
    assert appended[-1].flushed == 3
    await threads.evicted_turns.wait_until_idle()

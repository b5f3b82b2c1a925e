"""Threads (conversations) on a real Redis server: opening, limits, round trips, TTL of ancestors,
gaps and dry runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from redis.asyncio import Redis

from ingest.conversations.agent_threads import open_for_agent, opens_for_agent
from ingest.conversations.flushing import FlushRequest
from ingest.conversations.threads import OpenRequest, Threads
from memtypes.live.turns import NewTurn
from memtypes.model.errors import InvalidRequest, NotFound, ReadOnly
from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.availability import COMMAND, Workload
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from tests.ingest.conversations.builders import threads_over
from tests.live import everything, fresh_scope

T = TypeVar("T")
pytestmark = pytest.mark.anyio
POLICY = "threads: {r: {ttl: 1h, max_messages: 10, flush: {strategy: hybrid_summary}}}"
AGENTS = """
threads:
  notes: {key: "notes:{{ user.id }}"}
  facts: {key: "facts:{{ project.id }}"}
  small: {max_tokens: 6, max_messages: 2}
agents:
  helper: {memories: [{id: notes, mode: read-write}, {id: facts, mode: read-only}]}
"""
USER = {"user": {"id": "ann"}}


@pytest.fixture
def threads(live: LiveClient) -> Threads:
    """A threads service whose threads expire after an hour."""
    return threads_over(live, POLICY)


@pytest.fixture
def scope() -> Scope:
    """A tenant and namespace that no other test uses."""
    return fresh_scope()


class CountingClient(LiveClient):
    """A client of the live server that counts its calls; each call is one round trip."""

    def __init__(self, inner: LiveClient) -> None:
        self._inner = inner
        self.calls = 0

    async def run(
        self,
        call: Callable[[Redis], Awaitable[T]],
        *,
        idempotent: bool,
        workload: Workload = COMMAND,
        key: str | None = None,
    ) -> T:
        """Count the call, pass it on to the wrapped client and return its result."""
        self.calls += 1
        return await self._inner.run(call, idempotent=idempotent, workload=workload, key=key)


def turn(content: str) -> NewTurn:
    """A new turn by the user."""
    return NewTurn(role="user", content=content)


async def chain_of(threads: Threads, scope: Scope, length: int = 3) -> list[str]:
    """Open `length` threads with one turn each, where each thread is the parent of the next.

    Returns their ids, oldest first.
    """
    ids: list[str] = []
    for number in range(length):
        parent = ids[-1] if ids else None
        opened = await threads.open(
            scope, OpenRequest(key=f"k{number}", resource="r", parent_id=parent)
        )
        ids.append(opened.thread.id)
        await threads.append(scope, ids[-1], turn(f"turn of {number}"), None)
    return ids


async def ttls(live: LiveClient, scope: Scope) -> dict[str, int]:
    """The remaining time to live in seconds of each Redis key of the scope."""
    keys = await live.keys_of(scope)

    async def read(redis: Redis) -> dict[str, int]:
        return {key: await redis.ttl(key) for key in keys}

    return await live.run(read, idempotent=True)


async def expire(
    live: LiveClient, scope: Scope, seconds: int, thread_id: str | None = None
) -> None:
    """Set the remaining time to live of all Redis keys of the scope, or only of those of one
    thread.
    """
    prefix = live_key(scope, "thread", thread_id or "")
    keys = [key for key in await live.keys_of(scope) if thread_id is None or key.startswith(prefix)]

    async def set_all(redis: Redis) -> None:
        for key in keys:
            await redis.expire(key, seconds)

    await live.run(set_all, idempotent=True)


async def test_an_append_is_one_round_trip(live: LiveClient, scope: Scope) -> None:
    """An append to a thread makes one call to Redis, which also checks limits and refreshes the
    TTL.

    Only the first append to a thread makes another call, to read the name of the thread's policy.
    """
    counting = CountingClient(live)
    threads = threads_over(counting, "threads: {r: {max_messages: 100}}")
    opened = await threads.open(scope, OpenRequest(resource="r"))
    await threads.append(scope, opened.thread.id, turn("first"), None)
    before = counting.calls
    for number in range(5):
        await threads.append(scope, opened.thread.id, turn(f"turn {number}"), None)
    assert counting.calls - before == 5


async def test_an_append_refreshes_the_ttl_of_the_thread_and_its_ancestors(
    live: LiveClient, threads: Threads, scope: Scope
) -> None:
    """An append refreshes the TTL of all Redis keys of the thread and its ancestors.

    The keys of the thread's descendants keep their TTL.
    """
    ids = await chain_of(threads, scope, 4)
    await expire(live, scope, 100)
    await threads.append(scope, ids[2], turn("again"), None)
    ttls_after = await ttls(live, scope)
    youngest = [key for key in ttls_after if ids[3] in key or key.endswith(":k3")]
    assert len(ttls_after) >= 4 * 6
    assert len(youngest) >= 6
    assert all(ttls_after[key] <= 100 for key in youngest)
    assert all(seconds > 3_500 for key, seconds in ttls_after.items() if key not in youngest)


async def test_replacing_turns_refreshes_the_ttl_and_reading_does_not(
    live: LiveClient, threads: Threads, scope: Scope
) -> None:
    """Replacing a thread's turns refreshes the TTL of the thread and all its ancestors.

    Reading leaves the TTL unchanged.
    """
    ids = await chain_of(threads, scope)
    await expire(live, scope, 100)
    await threads.chain(scope, ids[2])
    await threads.store.page(scope, ids[2], 0, 10)
    assert all(seconds <= 100 for seconds in (await ttls(live, scope)).values())
    await threads.replace(scope, ids[2], [turn("new")], None)
    assert all(seconds > 3_500 for seconds in (await ttls(live, scope)).values())


async def test_an_expired_ancestor_is_missing_from_the_chain(
    live: LiveClient, threads: Threads, scope: Scope
) -> None:
    """The chain of a thread (its ancestors and the thread itself) leaves out an ancestor that has
    expired.

    The thread still names it. The chain still contains the older ancestors, and an append to the
    thread renews their TTL. Opening a child of the expired thread is refused as NotFound.
    """
    ids = await chain_of(threads, scope, 4)
    await expire(live, scope, 0, ids[1])
    chain = await threads.chain(scope, ids[3])
    assert [thread.id for thread in chain] == [ids[0], ids[2], ids[3]]
    assert chain[-1].ancestors == tuple(ids[:3])
    await expire(live, scope, 100)
    await threads.append(scope, ids[3], turn("on"), None)
    assert (await threads.store.get(scope, ids[0])).ttl_left_s > 3_500
    with pytest.raises(NotFound):
        await threads.open(scope, OpenRequest(parent_id=ids[1]))
    assert (await threads.chain(scope, ids[0]))[-1].ancestors == ()


async def test_the_resource_and_key_of_an_expired_thread_can_be_used_again(
    live: LiveClient, threads: Threads, scope: Scope
) -> None:
    (old,) = await chain_of(threads, scope, 1)
    await expire(live, scope, 0, old)
    opened = await threads.open(scope, OpenRequest(key="k0", resource="r"))
    assert opened.created
    assert opened.thread.id != old


@pytest.mark.parametrize("force", [True, False])
async def test_a_dry_run_changes_nothing(
    live: LiveClient, threads: Threads, scope: Scope, *, force: bool
) -> None:
    """A dry run of a flush changes no Redis key and reports what the actual flush then does."""
    (thread_id,) = await chain_of(threads, scope, 1)
    for number in range(7):
        await threads.append(
            scope, thread_id, turn(f"We decided on step {number}. It must hold."), None
        )
    before = await everything(live, scope)
    dry_runs = [
        await threads.flush(scope, thread_id, FlushRequest(dry_run=True, force=force))
        for _ in range(3)
    ]
    assert await everything(live, scope) == before
    flushed = await threads.flush(scope, thread_id, FlushRequest(force=force))
    assert dry_runs == [replace(flushed, memory_ids=(), version=0)] * 3
    assert flushed.flushed > 0
    assert len(flushed.memory_ids) == 1
    assert flushed.tokens_after == (await threads.store.get(scope, thread_id)).tokens
    assert await everything(live, scope) != before


async def test_an_agent_opens_a_thread_for_each_of_its_resources(
    live: LiveClient, scope: Scope
) -> None:
    """One call opens a thread for each resource (thread policy) that the policy file lists for the
    agent.

    The initial context is set only in threads that the agent may write. A second call returns the
    same threads.
    """
    threads = threads_over(live, AGENTS)
    request = OpenRequest(
        agent_id="helper", initial_context="hello", variables={**USER, "project": {"id": "p"}}
    )
    assert opens_for_agent(threads, request)
    opened = await open_for_agent(threads, scope, request)
    assert [
        (entry.thread.resource, entry.mode, entry.thread.key, entry.thread.initial_context)
        for entry in opened
    ] == [
        ("notes", "read-write", "notes:ann", "hello"),
        ("facts", "read-only", "facts:p", None),
    ]
    assert [entry.thread.agent_id for entry in opened] == ["helper", None]
    reopened = await open_for_agent(threads, scope, request)
    assert [entry.thread.id for entry in reopened] == [entry.thread.id for entry in opened]
    assert not any(entry.created for entry in reopened)


async def test_no_thread_is_created_if_a_variable_of_a_key_template_is_missing(
    live: LiveClient, scope: Scope
) -> None:
    threads = threads_over(live, AGENTS)
    with pytest.raises(InvalidRequest, match="does not resolve"):
        await open_for_agent(threads, scope, OpenRequest(agent_id="helper", variables=USER))
    assert await everything(live, scope) == {}


async def test_an_agent_with_read_only_access_cannot_change_a_thread(
    live: LiveClient, scope: Scope
) -> None:
    """An agent with read-only access to a thread may not append or replace turns, or open it with
    an initial context.

    These calls and a check of write access raise ReadOnly.
    """
    threads = threads_over(live, AGENTS)
    request = OpenRequest(resource="facts", variables={"project": {"id": "p"}})
    thread_id = (await threads.open(scope, request)).thread.id
    new = NewTurn(role="user", content="x", agent_id="helper")
    for call in (
        threads.append(scope, thread_id, new, None),
        threads.replace(scope, thread_id, [new], None),
        threads.check_access(replace(scope, agent_id="helper"), thread_id, write=True),
        threads.open(
            scope, request.model_copy(update={"agent_id": "helper", "initial_context": "x"})
        ),
        threads.open(scope, request.model_copy(update={"agent_id": "helper", "key": "another"})),
    ):
        with pytest.raises(ReadOnly):
            await call


async def test_turns_beyond_the_limits_are_refused(live: LiveClient, scope: Scope) -> None:
    """A turn with more tokens than the thread's limit is refused.

    Replacing all turns of the thread by more turns than its limit is refused, too.
    """
    threads = threads_over(live, AGENTS)
    thread_id = (await threads.open(scope, OpenRequest(resource="small"))).thread.id
    with pytest.raises(InvalidRequest, match="the turn has 7 tokens; the limit of the thread is 6"):
        await threads.append(scope, thread_id, turn("a b c d e f g"), None)
    with pytest.raises(InvalidRequest, match="3 messages exceed the limit of 2"):
        await threads.replace(scope, thread_id, [turn("a")] * 3, None)
    assert await threads.replace(scope, thread_id, [turn("a")] * 2, None) == (1, {}, 0)


async def test_a_cleared_thread_can_be_backed_up(threads: Threads, scope: Scope) -> None:
    """Clearing a thread with `backup` stores the cleared turns in a backup."""
    (thread_id,) = await chain_of(threads, scope, 1)
    cleared, backup_id = await threads.clear(scope, thread_id, backup=True)
    assert (cleared, backup_id is not None) == (1, True)
    assert [stored.content for stored in await threads.store.backup(scope, backup_id or "")] == [
        "turn of 0"
    ]
    assert await threads.clear(scope, thread_id, backup=False) == (0, None)

"""The life of chains on a real server: every turn begins it again for all, and what expired is a gap."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from ingest.conversations.flushing import FlushRequest
from ingest.conversations.threads import OpenRequest, Threads
from memtypes.live.turns import NewTurn
from memtypes.model.errors import NotFound
from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from tests.ingest.conversations.parts import threads_over
from tests.live import everything, fresh_scope

pytestmark = pytest.mark.anyio
POLICY = "threads: {r: {ttl: 1h, max_messages: 10, flush: {strategy: hybrid_summary}}}"


@pytest.fixture
def threads(live: LiveClient) -> Threads:
    """Threads that live an hour."""
    return threads_over(live, POLICY)


@pytest.fixture
def scope() -> Scope:
    """A scope of the test's own."""
    return fresh_scope()


async def chain_of(threads: Threads, scope: Scope, length: int = 3) -> list[str]:
    """A chain of threads with keys, each with a turn; oldest first."""
    ids: list[str] = []
    for number in range(length):
        parent = ids[-1] if ids else None
        opened = await threads.open(scope, OpenRequest(key=f"k{number}", resource="r", parent_id=parent))
        ids.append(opened.thread.id)
        await threads.append(scope, ids[-1], NewTurn(role="user", content=f"turn of {number}"), None)
    return ids


async def lives(live: LiveClient, scope: Scope) -> dict[str, int]:
    """Seconds that each key of the scope has left."""
    keys = [key async for key in live.keys_of(scope)]

    async def ask(redis: Redis) -> dict[str, int]:
        return {key: await redis.ttl(key) for key in keys}

    return await live.run(ask, idempotent=True)


async def expire(live: LiveClient, scope: Scope, seconds: int, thread_id: str | None = None) -> None:
    """Every key of the scope, or of one thread, has so many seconds left."""
    begin = live_key(scope, "thread", thread_id or "")
    keys = [key async for key in live.keys_of(scope) if thread_id is None or key.startswith(begin)]

    async def set_all(redis: Redis) -> None:
        for key in keys:
            await redis.expire(key, seconds)

    await live.run(set_all, idempotent=True)


async def test_a_turn_begins_the_life_of_the_whole_chain_again(
    live: LiveClient, threads: Threads, scope: Scope
) -> None:
    """Of every key of the thread and its ancestors, names included, and of no descendant's."""
    ids = await chain_of(threads, scope, 4)
    await expire(live, scope, 100)
    await threads.append(scope, ids[2], NewTurn(role="user", content="again"), None)
    left = await lives(live, scope)
    youngest = [key for key in left if ids[3] in key or key.endswith(":k3")]
    assert len(left) >= 4 * 6
    assert len(youngest) >= 6
    assert all(left[key] <= 100 for key in youngest)
    assert all(seconds > 3_500 for key, seconds in left.items() if key not in youngest)


async def test_replaced_turns_begin_it_again_too_and_reading_does_not(
    live: LiveClient, threads: Threads, scope: Scope
) -> None:
    """A thread lives by what is said in it."""
    ids = await chain_of(threads, scope)
    await expire(live, scope, 100)
    await threads.chain(scope, ids[2])
    await threads.store.page(scope, ids[2], 0, 10)
    assert all(seconds <= 100 for seconds in (await lives(live, scope)).values())
    await threads.replace(scope, ids[2], [NewTurn(role="user", content="new")], None)
    assert all(seconds > 3_500 for seconds in (await lives(live, scope)).values())


async def test_a_parent_that_expires_in_the_middle_is_a_gap(live: LiveClient, threads: Threads, scope: Scope) -> None:
    """What is older is still there, is still read and still kept alive; a new child of the lost one is refused."""
    ids = await chain_of(threads, scope, 4)
    await expire(live, scope, 0, ids[1])
    chain = await threads.chain(scope, ids[3])
    assert [content.thread.id for content in chain.threads] == [ids[0], ids[2], ids[3]]
    assert chain.gap
    await expire(live, scope, 100)
    await threads.append(scope, ids[3], NewTurn(role="user", content="on"), None)
    assert (await threads.store.get(scope, ids[0])).ttl_left_s > 3_500
    with pytest.raises(NotFound):
        await threads.open(scope, OpenRequest(parent_id=ids[1]))
    assert not (await threads.chain(scope, ids[0])).gap


async def test_an_expired_thread_leaves_its_name_free(live: LiveClient, threads: Threads, scope: Scope) -> None:
    """The same resource and key begin another thread."""
    (old,) = await chain_of(threads, scope, 1)
    await expire(live, scope, 0, old)
    opened = await threads.open(scope, OpenRequest(key="k0", resource="r"))
    assert opened.created
    assert opened.thread.id != old


@pytest.mark.parametrize("force", [True, False])
async def test_a_dry_run_changes_nothing_at_all(
    live: LiveClient, threads: Threads, scope: Scope, *, force: bool
) -> None:
    """Every key of the namespace holds the same after it, whichever strategy; it says what the flush then does."""
    (thread,) = await chain_of(threads, scope, 1)
    for number in range(7):
        turn = NewTurn(role="user", content=f"We decided on step {number}. It must hold.")
        await threads.append(scope, thread, turn, None)
    before = await everything(live, scope)
    plans = [await threads.flush(scope, thread, FlushRequest(dry_run=True, force=force)) for _ in range(3)]
    assert await everything(live, scope) == before
    assert len({(plan.flushed, plan.tokens_after, plan.summary) for plan in plans}) == 1
    done = await threads.flush(scope, thread, FlushRequest(force=force))
    assert (done.flushed, done.tokens_before, done.tokens_after, done.summary) == (
        plans[0].flushed,
        plans[0].tokens_before,
        plans[0].tokens_after,
        plans[0].summary,
    )
    assert done.flushed > 0
    assert done.tokens_after == (await threads.store.get(scope, thread)).tokens
    assert await everything(live, scope) != before

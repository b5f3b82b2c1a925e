"""What only the store of workflows on Redis does: lives, round trips, logs that are gone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from memtypes.live.events import Event, WorkflowEventType
from memtypes.live.workflow_state import WorkflowState, fold
from memtypes.model.errors import NotFound
from memtypes.model.scope import Scope
from memtypes.ports.workflows import AppendEvent, NewWorkflow
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.workflows import ENDED_LOG_S, LIFE_S, RedisWorkflows
from tests.live import fresh_scope

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def begin(store: RedisWorkflows, scope: Scope, workflow_id: str, parent_id: str | None = None) -> None:
    """A workflow with one event."""
    await store.create(scope, NewWorkflow(workflow_id, parent_id, WorkflowState(), NOW))
    await report(store, scope, workflow_id)


async def report(store: RedisWorkflows, scope: Scope, workflow_id: str, kind: str = "note") -> None:
    """An event of `kind`."""
    await store.append(scope, AppendEvent(workflow_id, Event(WorkflowEventType(kind), NOW)))


async def shorten(live: LiveClient, scope: Scope, workflow_id: str) -> None:
    """The workflow has a minute left."""
    key = live_key(scope, "workflow", workflow_id)

    async def call(redis: Redis) -> None:
        await redis.expire(key, 60)
        await redis.expire(f"{key}:log", 60)

    await live.run(call, idempotent=True)


async def lives(live: LiveClient, scope: Scope, workflow_id: str) -> tuple[int, int]:
    """Seconds that the workflow and its log have left."""
    key = live_key(scope, "workflow", workflow_id)

    async def call(redis: Redis) -> tuple[int, int]:
        return await redis.ttl(key), await redis.ttl(f"{key}:log")

    return await live.run(call, idempotent=True)


async def test_an_event_refreshes_the_whole_chain(live: LiveClient) -> None:
    """A parent does not expire while its descendants are at work."""
    store, scope = RedisWorkflows(live), fresh_scope()
    await begin(store, scope, "a")
    await begin(store, scope, "b", "a")
    await begin(store, scope, "c", "b")
    for one in ("a", "b", "c"):
        await shorten(live, scope, one)
    await report(store, scope, "c")
    for one in ("a", "b", "c"):
        assert all(LIFE_S - 60 < left <= LIFE_S for left in await lives(live, scope, one))


async def test_a_child_is_not_refreshed_by_its_parent(live: LiveClient) -> None:
    """An event of the parent leaves the child's life as it is."""
    store, scope = RedisWorkflows(live), fresh_scope()
    await begin(store, scope, "a")
    await begin(store, scope, "b", "a")
    await shorten(live, scope, "b")
    await report(store, scope, "a")
    assert max(await lives(live, scope, "b")) <= 60


async def test_an_ended_log_goes_early_and_its_state_stays(live: LiveClient) -> None:
    """The log has an hour, also when a child is at work; the state a day."""
    store, scope = RedisWorkflows(live), fresh_scope()
    await begin(store, scope, "a")
    await report(store, scope, "a", "completed")
    await begin(store, scope, "b", "a")
    state, log = await lives(live, scope, "a")
    assert LIFE_S - 60 < state <= LIFE_S
    assert ENDED_LOG_S - 60 < log <= ENDED_LOG_S


async def test_a_log_that_is_gone_is_said_to_be(live: LiveClient) -> None:
    """The last state can be read; older ones and events are 404."""
    store, scope = RedisWorkflows(live), fresh_scope()
    await begin(store, scope, "a")
    await report(store, scope, "a", "completed")
    log = await store.load(scope, "a")
    await store.snapshot(scope, "a", fold(log.base, log.events))
    await live.run(lambda redis: redis.delete(live_key(scope, "workflow", "a") + ":log"), idempotent=True)
    gone = await store.load(scope, "a")
    assert (gone.lost, gone.base.version, gone.events) == (True, 2, ())
    with pytest.raises(NotFound, match="its events are gone"):
        await store.load(scope, "a", 1)
    with pytest.raises(NotFound, match="its events are gone"):
        await store.events(scope, "a", 0, 10)
    assert (await store.load(scope, "a", 0)).base.version == 0


async def test_an_event_is_one_round_trip(live: LiveClient) -> None:
    """One script, whatever the depth of the chain."""
    store, scope = RedisWorkflows(live), fresh_scope()
    await begin(store, scope, "0")
    for number in range(1, 20):
        await begin(store, scope, str(number), str(number - 1))
    before = await _scripts(live)
    for _ in range(10):
        await report(store, scope, "19")
    assert await _scripts(live) == before + 10


async def _scripts(live: LiveClient) -> int:
    async def call(redis: Redis) -> int:
        stats = await redis.info("commandstats")
        return int(stats["cmdstat_evalsha"]["calls"]) + int(stats.get("cmdstat_eval", {"calls": 0})["calls"])

    return await live.run(call, idempotent=True)


async def test_every_key_is_in_its_namespace(live: LiveClient) -> None:
    """So that erasing the namespace erases them all."""
    store, scope = RedisWorkflows(live), fresh_scope()
    await begin(store, scope, "a")
    await report(store, scope, "a", "completed")
    await store.claim(scope, "a")
    keys = sorted([key async for key in live.keys_of(scope)])
    assert [key.rpartition("}:")[2] for key in keys] == [
        "workflow:a",
        "workflow:a:log",
        "workflow:a:recording",
        "workflows-ended",
    ]

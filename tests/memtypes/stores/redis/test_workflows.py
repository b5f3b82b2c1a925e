"""Workflows on Redis: expiry, number of round trips, and keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis

from memtypes.live.workflows import Event, WorkflowEventType, WorkflowState
from memtypes.model.errors import NotFound
from memtypes.model.scope import Scope
from memtypes.ports.workflows import AppendEvent, NewWorkflow, WorkflowListing
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.workflows import Lifetimes, RedisWorkflows
from tests.live import fresh_scope

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = 24 * 3_600
HOUR = 3_600
LEAVING = 7 * DAY


async def create(
    store: RedisWorkflows, scope: Scope, workflow_id: str, parent_id: str | None = None
) -> None:
    """Create a workflow with one event."""
    await store.create(scope, NewWorkflow(workflow_id, parent_id, WorkflowState(), NOW))
    await append(store, scope, workflow_id)


async def append(store: RedisWorkflows, scope: Scope, workflow_id: str, kind: str = "note") -> None:
    """Append an event of `kind` to the workflow."""
    await store.append(scope, AppendEvent(workflow_id, Event(WorkflowEventType(kind), NOW)))


async def shorten(live: LiveClient, scope: Scope, workflow_id: str) -> None:
    """Set the time that the open workflow and its log have to a minute."""
    key = live_key(scope, "workflow", workflow_id)

    async def call(redis: Redis) -> None:
        now, _ = await redis.time()
        await redis.zadd(live_key(scope, "workflows-open"), {key: now + 60})
        await redis.expire(key, LEAVING + 60)
        await redis.expire(f"{key}:log", LEAVING + 60)

    await live.run(call, idempotent=True)


async def ttls(live: LiveClient, scope: Scope, workflow_id: str) -> tuple[int, int]:
    """Seconds until the workflow and its log expire; of an open one, until it is to be ended."""
    key = live_key(scope, "workflow", workflow_id)

    async def call(redis: Redis) -> tuple[int, int]:
        is_open = await redis.zscore(live_key(scope, "workflows-open"), key) is not None
        later = LEAVING if is_open else 0
        return await redis.ttl(key) - later, await redis.ttl(f"{key}:log") - later

    return await live.run(call, idempotent=True)


async def test_an_event_restarts_the_ttl_of_the_whole_chain(live: LiveClient) -> None:
    """An event restarts the TTLs of all ancestors, so that a parent workflow does not expire before
    its descendants.
    """
    store = RedisWorkflows(live)
    scope = fresh_scope()
    await create(store, scope, "a")
    await create(store, scope, "b", "a")
    await create(store, scope, "c", "b")
    for workflow_id in ("a", "b", "c"):
        await shorten(live, scope, workflow_id)
    await append(store, scope, "c")
    for workflow_id in ("a", "b", "c"):
        assert all(DAY - 60 < ttl <= DAY for ttl in await ttls(live, scope, workflow_id))


async def test_a_workflow_whose_time_is_over_is_yielded_until_it_has_ended(
    live: LiveClient,
) -> None:
    """An event or the end of the workflow, or an event of a descendant, takes it from the list."""
    brief = RedisWorkflows(live, Lifetimes(1, HOUR))
    store = RedisWorkflows(live, Lifetimes(DAY, HOUR))
    scope = fresh_scope()
    for workflow_id, parent_id in (
        ("a/b", None),
        ("parent", None),
        ("child", "parent"),
        ("e", None),
    ):
        await create(brief, scope, workflow_id, parent_id)
    assert (await brief.load(scope, "a/b")).ttl_left_s == 1
    await anyio.sleep(1.1)

    async def overdue() -> set[tuple[str, int]]:
        return {
            (workflow_id, version)
            async for where, workflow_id, version in store.expired()
            if where == Scope(scope.tenant, scope.namespace)
        }

    assert await overdue() == {("a/b", 1), ("parent", 1), ("child", 1), ("e", 1)}
    assert (await store.load(scope, "a/b")).ttl_left_s == 0
    await append(store, scope, "child")
    assert await overdue() == {("a/b", 1), ("e", 1)}
    await append(store, scope, "e", "expired")
    assert await overdue() == {("a/b", 1)}
    assert await is_kept(live, scope, "e", DAY, HOUR)


async def test_an_event_of_the_parent_does_not_restart_the_childs_ttl(live: LiveClient) -> None:
    store = RedisWorkflows(live)
    scope = fresh_scope()
    await create(store, scope, "a")
    await create(store, scope, "b", "a")
    await shorten(live, scope, "b")
    await append(store, scope, "a")
    assert max(await ttls(live, scope, "b")) <= 60


async def test_the_log_of_an_ended_workflow_is_kept_while_a_child_runs(live: LiveClient) -> None:
    store = RedisWorkflows(live, Lifetimes(DAY, HOUR))
    scope = fresh_scope()
    await create(store, scope, "a")
    await create(store, scope, "b", "a")
    await append(store, scope, "b", "completed")
    await append(store, scope, "a", "completed")
    assert [await is_kept(live, scope, name, DAY, HOUR) for name in ("a", "b")] == [True, True]
    for child in ("c", "d"):
        await store.create(scope, NewWorkflow(child, "b", WorkflowState(), NOW))
    assert [await is_kept(live, scope, name, DAY, DAY) for name in ("a", "b")] == [True, True]
    await append(store, scope, "c", "completed")
    assert [await is_kept(live, scope, name, DAY, DAY) for name in ("a", "b")] == [True, True]
    await append(store, scope, "d", "failed")
    assert [await is_kept(live, scope, name, DAY, HOUR) for name in ("a", "b", "c", "d")] == [
        True
    ] * 4


async def test_an_ended_parent_keeps_its_log_until_its_child_has_ended(live: LiveClient) -> None:
    store = RedisWorkflows(live, Lifetimes(DAY, HOUR))
    scope = fresh_scope()
    await create(store, scope, "a")
    await create(store, scope, "b", "a")
    await append(store, scope, "a", "completed")
    assert await is_kept(live, scope, "a", DAY, DAY)
    await append(store, scope, "b", "completed")
    assert await is_kept(live, scope, "a", DAY, HOUR)


async def test_an_expired_child_does_not_keep_its_parents_log(live: LiveClient) -> None:
    """A child that never ended, but whose TTL has passed, does not extend the TTL of its parent's
    log.
    """
    brief = RedisWorkflows(live, Lifetimes(1, HOUR))
    store = RedisWorkflows(live)
    scope = fresh_scope()
    await create(store, scope, "a")
    await create(brief, scope, "lost", "a")
    await anyio.sleep(1.1)
    await append(RedisWorkflows(live, Lifetimes(DAY, HOUR)), scope, "a", "completed")
    assert await is_kept(live, scope, "a", DAY, HOUR)


async def test_an_ended_workflow_is_kept_as_long_as_its_log(live: LiveClient) -> None:
    store = RedisWorkflows(live, Lifetimes(HOUR, DAY))
    scope = fresh_scope()
    await create(store, scope, "a")
    await append(store, scope, "a", "completed")
    assert await is_kept(live, scope, "a", DAY, DAY)


async def test_expired_workflows_leave_the_list(live: LiveClient) -> None:
    """Listing workflows removes expired ones from the index.

    A new workflow with the id of an expired one is listed once.
    """
    store = RedisWorkflows(live)
    scope = fresh_scope()
    for number in range(10):
        await store.create(
            scope, NewWorkflow(f"w{number}", None, WorkflowState(), NOW + timedelta(seconds=number))
        )
    for number in range(6):
        key = live_key(scope, "workflow", f"w{number}")
        await live.run(partial(_delete, key=key), idempotent=True)
    await store.create(scope, NewWorkflow("w0", None, WorkflowState(), NOW + timedelta(hours=1)))
    page = await store.page(scope, WorkflowListing())
    assert [workflow.workflow_id for workflow in page.workflows] == ["w0", "w9", "w8", "w7", "w6"]
    assert (
        await live.run(lambda redis: redis.zcard(live_key(scope, "workflows")), idempotent=True)
        == 5
    )


async def test_creating_workflows_removes_expired_ones_from_the_index(live: LiveClient) -> None:
    store = RedisWorkflows(live)
    scope = fresh_scope()
    for number in range(300):
        await store.create(
            scope, NewWorkflow(f"w{number}", None, WorkflowState(), NOW + timedelta(seconds=number))
        )
        await live.run(
            partial(_delete, key=live_key(scope, "workflow", f"w{number}")), idempotent=True
        )
    assert (
        await live.run(lambda redis: redis.zcard(live_key(scope, "workflows")), idempotent=True)
        < 30
    )


async def _delete(redis: Redis, key: str) -> int:
    return int(await redis.delete(key))


async def is_kept(
    live: LiveClient, scope: Scope, workflow_id: str, state_s: int, log_s: int
) -> bool:
    """Whether a workflow's state has a TTL of `state_s` and its log one of `log_s` seconds, or up
    to a minute less.
    """
    state, log = await ttls(live, scope, workflow_id)
    return state_s - 60 < state <= state_s and log_s - 60 < log <= log_s


async def test_the_last_state_remains_after_the_log_has_expired(live: LiveClient) -> None:
    """Once a workflow's log has expired, its last state can be read; its events and earlier states
    raise NotFound.
    """
    store = RedisWorkflows(live)
    scope = fresh_scope()
    await create(store, scope, "a")
    await append(store, scope, "a", "completed")
    log = await store.load(scope, "a")
    await store.snapshot(scope, "a", log.state)
    await live.run(
        lambda redis: redis.delete(live_key(scope, "workflow", "a") + ":log"), idempotent=True
    )
    expired = await store.load(scope, "a")
    assert (expired.lost, expired.base.version, expired.events) == (True, 2, ())
    with pytest.raises(NotFound, match="its events have expired"):
        await store.load(scope, "a", 1)
    with pytest.raises(NotFound, match="its events have expired"):
        await store.events(scope, "a", 0, 10)
    assert (await store.load(scope, "a", 0)).base.version == 0


async def test_appending_an_event_is_one_round_trip(live: LiveClient) -> None:
    """Appending an event takes a single call of a script, even for a workflow with nineteen
    ancestors.
    """
    store = RedisWorkflows(live)
    scope = fresh_scope()
    await create(store, scope, "0")
    for number in range(1, 20):
        await create(store, scope, str(number), str(number - 1))
    before = await _scripts(live)
    for _ in range(10):
        await append(store, scope, "19")
    assert await _scripts(live) == before + 10


async def _scripts(live: LiveClient) -> int:
    async def call(redis: Redis) -> int:
        stats = await redis.info("commandstats")
        return int(stats["cmdstat_evalsha"]["calls"]) + int(
            stats.get("cmdstat_eval", {"calls": 0})["calls"]
        )

    return await live.run(call, idempotent=True)


async def test_a_workflow_that_is_recorded_meanwhile_is_not_claimed(live: LiveClient) -> None:
    """A process that asks for the claim while another ends its recording does not record the
    workflow again.
    """
    store = RedisWorkflows(live)
    scope = fresh_scope()
    await create(store, scope, "w")
    await append(store, scope, "w", "completed")
    assert await store.claim(scope, "w")

    class ConcurrentRecording:
        """Runs calls on a client whose first SET comes just after the other process has recorded
        the workflow.
        """

        async def run(self, call: Callable[[Any], Awaitable[bool]], **options: Any) -> bool:
            """Run `call`; see `LiveClient.run`."""
            return await live.run(
                lambda redis: call(SimpleNamespace(**_commands(redis))), **options
            )

    def _commands(redis: Redis) -> dict[str, Any]:
        async def record_and_set(*args: Any, **options: Any) -> Any:
            await store.recorded(scope, "w")
            return await redis.set(*args, **options)

        return {"sismember": redis.sismember, "delete": redis.delete, "set": record_and_set}

    assert not await RedisWorkflows(ConcurrentRecording()).claim(scope, "w")  # type: ignore[arg-type]


async def test_every_key_is_under_the_prefix_of_its_namespace(live: LiveClient) -> None:
    """All keys of workflows start with their namespace's prefix, so erasing the namespace removes
    them.
    """
    store = RedisWorkflows(live)
    scope = fresh_scope()
    await create(store, scope, "a")
    await append(store, scope, "a", "completed")
    await store.claim(scope, "a")
    keys = sorted(await live.keys_of(scope))
    assert [key.rpartition("}:")[2] for key in keys] == [
        "workflow:a",
        "workflow:a:log",
        "workflow:a:recording",
        "workflows",
        "workflows-ended",
    ]

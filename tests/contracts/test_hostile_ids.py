"""The stores of live state with scopes and ids that contain the separators and braces of Redis
keys.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest

from memtypes.live.eviction import ThreadLimits
from memtypes.live.turns import Turn
from memtypes.live.workflows import Event, WorkflowEventType, WorkflowState
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.working import Working
from memtypes.ports.locks import LockRequest
from memtypes.ports.receipts import UnsealedReceipt
from memtypes.ports.threads import AppendTurn, NewThread
from memtypes.ports.workflows import AppendEvent, IdempotentAnswer, NewWorkflow
from memtypes.ports.working import LiveItem
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.evicted_turns import RedisEvictedTurns
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.receipts import RedisReceipts
from memtypes.stores.redis.threads import RedisThreads
from memtypes.stores.redis.workflows import RedisWorkflows
from memtypes.stores.redis.working import RedisWorking
from tests.builders import make_memory
from tests.live import LIVE, fresh_scope

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAIRS = (
    ("a", "b"),
    ("a/b", "c"),
    ("a", "b/c"),
    ("a}:x{", "b"),
    ("a", "b}:workflow:x"),
    ("a%2Fb", "c"),
    ("*", "?"),
)
NAMES = ("x", "x:log", "x:turns", "x:once:y", "x}", "{x}", "x%3Alog", "日本", "[x-z]", "x\\", "*")


@dataclass(frozen=True, slots=True)
class LiveStores:
    """All stores of live state (working items, threads, workflows, locks) over one Redis client."""

    live: LiveClient

    async def write(self, scope: Scope, name: str, mark: str) -> None:
        """Write an entry with the id `name` to each store. Each entry contains `mark`."""
        item = make_memory(
            MemoryType.WORKING, mark, replace(scope, session_id=name), session_id=name
        )
        assert isinstance(item, Working)
        await RedisWorking(self.live).put(
            replace(scope, session_id=name), LiveItem(item, timedelta(hours=1))
        )
        threads = RedisThreads(self.live)
        workflows = RedisWorkflows(self.live)
        await threads.create(scope, NewThread(name, 60, NOW, resource=name, key=name))
        turn = Turn("user", mark, 1, NOW)
        await threads.append(scope, AppendTurn(name, turn, "0", ThreadLimits(None, None, 10)))
        await workflows.create(scope, NewWorkflow(name, None, WorkflowState(), NOW))
        event = Event(WorkflowEventType.NOTE, NOW, input=mark)
        await workflows.append(
            scope, AppendEvent(name, event, once=IdempotentAnswer(name, mark, mark))
        )
        await RedisLocks(self.live).acquire(
            LockRequest(name, scope, wait_s=0.0)
        )  # Overloaded if another has the same key

    async def read(self, scope: Scope, name: str) -> list[object]:
        """The contents of the working item, the turns and the workflow events that have the id
        `name`.
        """
        items = await RedisWorking(self.live).items(replace(scope, session_id=name))
        turns = (await RedisThreads(self.live).read(scope, name)).turns
        events = await RedisWorkflows(self.live).events(scope, name, 0, 10)
        contents = [*(item.memory.content for item in items), *(turn.content for turn in turns)]
        return [*contents, *(event.input for event in events)]


@pytest.fixture(params=LIVE)
def stores(request: pytest.FixtureRequest) -> LiveStores:
    """All stores of live state; a test runs once on each of three Redis servers: embedded, cluster
    and installed.
    """
    return LiveStores(request.getfixturevalue(request.param))


@pytest.fixture
def scopes() -> list[Scope]:
    """Tenants and namespaces with similar names, which no other test uses."""
    prefix = str(uuid.uuid4())
    return [Scope(f"{prefix}{tenant}", namespace) for tenant, namespace in PAIRS]


@pytest.mark.slow
async def test_entries_with_similar_scopes_and_ids_are_separate(
    stores: LiveStores, scopes: list[Scope]
) -> None:
    """For many similar scopes and ids, each entry is read back with its own content."""
    pairs = [(scope, name) for scope in scopes for name in NAMES]
    for number, (scope, name) in enumerate(pairs):
        await stores.write(scope, name, f"mark {number}")
    for number, (scope, name) in enumerate(pairs):
        assert await stores.read(scope, name) == [f"mark {number}"] * 3


async def test_similar_scopes_share_no_key(stores: LiveStores, scopes: list[Scope]) -> None:
    """Namespaces with similar names have no Redis key in common."""
    keys = []
    for scope in scopes:
        await stores.write(scope, "x", "mark")
        keys.append(set(await stores.live.keys_of(scope)))
    assert {len(listed) for listed in keys} == {len(keys[0])}
    assert len(keys[0]) >= 10
    assert not any(left & right for left, right in combinations(keys, 2))


async def test_ids_may_be_names_that_the_service_uses(stores: LiveStores) -> None:
    """Background jobs find the entries of every namespace, even if their ids are names such as
    "workflows-ended".
    """
    live = stores.live
    threads = RedisThreads(live)
    workflows = RedisWorkflows(live)
    turns = RedisEvictedTurns(live)
    scope = fresh_scope()
    for name in ("threads", "thread-evicted", "thread-aside", "workflows-ended"):
        await stores.write(scope, name, "mark")
    await workflows.append(scope, AppendEvent("threads", Event(WorkflowEventType.COMPLETED, NOW)))
    assert (scope, "threads") in [ended async for ended in workflows.unrecorded()]
    await threads.delete(scope, "threads", flush=True)
    assert scope in [waiting async for waiting in turns.scopes()]
    (batch,) = await turns.pending(scope, 2)
    await turns.set_aside(scope, batch, "broken", NOW)
    await turns.requeue(NOW)
    assert [queued.thread_id for queued in await turns.pending(scope, 2)] == ["threads"]
    await threads.queue_expired()


async def test_receipts_of_similar_namespaces_are_separate(
    stores: LiveStores, scopes: list[Scope]
) -> None:
    receipts = RedisReceipts(stores.live, 30, lambda: NOW)
    for scope in scopes:
        await receipts.append(
            scope.tenant, [UnsealedReceipt.from_body(scope.namespace, {"id": str(uuid.uuid4())})]
        )
    assert await receipts.erase(scopes[0], None) == 1
    assert [await receipts.remaining(scope, None) for scope in scopes] == [
        0,
        *[1] * (len(scopes) - 1),
    ]

"""The calls on live state that are measured, each as the service makes it. Knows no clock and no table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from redis.asyncio import Redis

from memtypes.encoders.tiktoken import TiktokenTokenizer
from memtypes.ids import content_hash, memory_id
from memtypes.live import LiveItem
from memtypes.locks import LockRequest
from memtypes.memory import TokenCount
from memtypes.policy import MemoryType, Visibility
from memtypes.ports import Tokenizer
from memtypes.scope import Scope
from memtypes.stores.redis.client import LiveClient
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.workflows import RedisWorkflows
from memtypes.stores.redis.working import RedisWorking
from memtypes.times import system_clock
from memtypes.workflows.engine import Beginning, Resumption, Workflows
from memtypes.workflows.events import NewEvent, WorkflowEventType
from memtypes.workflows.ports import Recorder
from memtypes.workflows.state import WorkflowState
from memtypes.working import Working

_SCOPE = Scope("benchmark", "live")
_LIFE = timedelta(hours=1)
_TURN = "The build of the second branch failed once more in the same test; I look at what changed in the lock file. "


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A kind of call. round_trips: what it sends to the server. make: the call of a client, by their numbers."""

    name: str
    round_trips: int
    make: Callable[[int, int], Awaitable[None]]


class _NoRecorder(Recorder):
    async def record(self, _scope: Scope, _workflow_id: str, _state: WorkflowState) -> dict[str, str]:
        return {}


async def live_calls(live: LiveClient, directory: Path) -> list[LiveCall]:
    """Every kind of call, over workflows of their own."""
    tokenizer = await TiktokenTokenizer.open("cl100k_base", directory)
    return [await _working_read(live), _lock(live), *await _workflow_calls(live, tokenizer)]


async def _working_read(live: LiveClient) -> LiveCall:
    items = RedisWorking(live)
    scope = replace(_SCOPE, session_id="working")
    now = system_clock()
    for number in range(10):
        content = f"{number}: {_TURN}"
        memory = Working(
            id=memory_id(scope, MemoryType.WORKING, (content,)),
            tenant=scope.tenant,
            namespace=scope.namespace,
            session_id=scope.session_id,
            content=content,
            visibility=Visibility.SESSION,
            created_at=now,
            updated_at=now,
            valid_from=now,
            expires_at=now + _LIFE,
            content_hash=content_hash(content),
            tokens=TokenCount(count=25, tokenizer="cl100k_base"),
        )
        await items.put(scope, LiveItem(memory, _LIFE))

    async def read(_client: int, _number: int) -> None:
        await items.items(scope)

    return LiveCall("working memory: 10 items", 1, read)


def _lock(live: LiveClient) -> LiveCall:
    locks = RedisLocks(live)

    async def acquire_and_release(client: int, _number: int) -> None:
        await locks.release(await locks.acquire(LockRequest(f"lock {client}", _SCOPE)))

    return LiveCall("lock: acquire and release", 2, acquire_and_release)


async def _workflow_calls(live: LiveClient, tokenizer: Tokenizer) -> list[LiveCall]:
    engine = Workflows(RedisWorkflows(live), tokenizer, system_clock, _NoRecorder())
    read = await _filled(engine, 45)
    event = NewEvent(type=WorkflowEventType.NOTE, input=_TURN)
    fresh: dict[int, str] = {}

    async def append(client: int, number: int) -> None:
        if number % 40 == 0:  # below the first snapshot: one event is one round trip
            fresh[client] = await engine.begin(_SCOPE, Beginning())
        await engine.report(_SCOPE, fresh[client], event)

    async def look(_client: int, _number: int) -> None:
        await engine.look(_SCOPE, read)

    async def go_on(_client: int, _number: int) -> None:
        await engine.resume(_SCOPE, await engine.begin(_SCOPE, Beginning(parent_id=read)), Resumption("on", 1_000))

    return [
        LiveCall("workflow: event", 1, append),
        LiveCall("workflow: state of 45 events", 1, look),
        LiveCall("workflow: child, history in 1,000 tokens", 4, go_on),
    ]


async def _filled(engine: Workflows, events: int) -> str:
    workflow_id = await engine.begin(_SCOPE, Beginning())
    for number in range(events):
        step = f"step {number // 2}"
        kind = WorkflowEventType.STEP_COMPLETED if number % 2 else WorkflowEventType.STEP_STARTED
        await engine.report(_SCOPE, workflow_id, NewEvent(type=kind, step_id=step, input=_TURN, output=_TURN))
    return workflow_id


async def memory_of_a_log(live: LiveClient) -> float:
    """Bytes that a workflow of fifty events takes in the server."""
    engine = Workflows(RedisWorkflows(live), _NoTokens(), system_clock, _NoRecorder())
    workflow_id = await _filled(engine, 50)
    return await _bytes_of(live, f":workflow:{workflow_id}")


class _NoTokens(Tokenizer):
    name = "none"
    sha256 = ""

    def count(self, text: str) -> int:
        return len(text)

    def truncate(self, text: str, limit: int) -> str:
        return text[:limit]


async def _bytes_of(live: LiveClient, part: str) -> float:
    """Bytes of every key of the scope whose name has `part` in it."""
    keys = [key async for key in live.keys_of(_SCOPE) if part in key]

    async def ask(redis: Redis) -> float:
        return float(sum([await redis.memory_usage(key, samples=0) or 0 for key in keys]))

    return await live.run(ask, repeatable=True)

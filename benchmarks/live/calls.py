"""The calls on live state that are measured, each as the service makes it. Knows no clock and no table."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from benchmarks.live.call import SCOPE, TURN, LiveCall, NoTokens, bytes_of
from benchmarks.live.threads import NoIngestor, thread_calls
from ingest.screening.redaction.redactor import Redactor
from ingest.workflows.engine import ResumeRequest, WorkflowRequest, Workflows
from memtypes.encoders.tiktoken import TiktokenTokenizer
from memtypes.live.events import NewEvent, WorkflowEventType
from memtypes.model.ids import content_hash, memory_id
from memtypes.model.memory import TokenCount
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.times import system_clock
from memtypes.model.working import Working
from memtypes.ports.locks import LockRequest
from memtypes.ports.tokenizer import Tokenizer
from memtypes.ports.working import LiveItem
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.workflows import RedisWorkflows
from memtypes.stores.redis.working import RedisWorking

_LIFE = timedelta(hours=1)


async def live_calls(live: LiveClient, directory: Path, clients: int) -> list[LiveCall]:
    """Every kind of call, over workflows and threads of their own, for so many clients."""
    tokenizer = await TiktokenTokenizer.open("cl100k_base", directory)
    threads = await thread_calls(live, tokenizer, clients)
    return [await _working_read(live), _lock(live), *await _workflow_calls(live, tokenizer), *threads]


async def _working_read(live: LiveClient) -> LiveCall:
    items = RedisWorking(live)
    scope = replace(SCOPE, session_id="working")
    now = system_clock()
    for number in range(10):
        content = f"{number}: {TURN}"
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
        await locks.release(await locks.acquire(LockRequest(f"lock {client}", SCOPE)))

    return LiveCall("lock: acquire and release", 2, acquire_and_release)


async def _workflow_calls(live: LiveClient, tokenizer: Tokenizer) -> list[LiveCall]:
    engine = Workflows(RedisWorkflows(live), NoIngestor(), tokenizer, system_clock, Redactor())
    read = await _filled(engine, 45)
    event = NewEvent(type=WorkflowEventType.NOTE, input=TURN)
    fresh: dict[int, str] = {}

    async def append(client: int, number: int) -> None:
        if number % 40 == 0:  # below the first snapshot: one event is one round trip
            fresh[client] = (await engine.create(SCOPE, WorkflowRequest())).workflow_id
        await engine.append(SCOPE, fresh[client], event)

    async def look(_client: int, _number: int) -> None:
        await engine.read(SCOPE, read)

    async def go_on(_client: int, _number: int) -> None:
        await engine.resume(
            SCOPE, (await engine.create(SCOPE, WorkflowRequest(parent_id=read))).workflow_id, ResumeRequest("on", 1_000)
        )

    return [
        LiveCall("workflow: event", 1, append),
        LiveCall("workflow: state of 45 events", 1, look),
        LiveCall("workflow: child, history in 1,000 tokens", 4, go_on),
    ]


async def _filled(engine: Workflows, events: int) -> str:
    workflow_id = (await engine.create(SCOPE, WorkflowRequest())).workflow_id
    for number in range(events):
        step = f"step {number // 2}"
        kind = WorkflowEventType.STEP_COMPLETED if number % 2 else WorkflowEventType.STEP_STARTED
        await engine.append(SCOPE, workflow_id, NewEvent(type=kind, step_id=step, input=TURN, output=TURN))
    return workflow_id


async def memory_of_a_log(live: LiveClient) -> float:
    """Bytes that a workflow of fifty events takes in the server."""
    engine = Workflows(RedisWorkflows(live), NoIngestor(), NoTokens(), system_clock, Redactor())
    workflow_id = await _filled(engine, 50)
    return await bytes_of(live, f":workflow:{workflow_id}")

"""A client for API tests of working memory, over a real Redis server and with an adjustable
clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx

from api.wiring.container import Services
from api.wiring.erasure import ErasableWorking
from ingest.screening.redaction.redactor import Redactor
from ingest.workflows.ended_workflows import EndedWorkflows
from ingest.workflows.workflows import Workflows
from ingest.working.working_memory import WorkingMemory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.working import Working
from memtypes.ports.memory_store import Listing
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.workflows import RedisWorkflows
from memtypes.stores.redis.working import RedisWorking
from retrieval.dependencies import RetrieverParts
from retrieval.receipts.service import Receipts
from retrieval.retriever import Retriever
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer
from tests.ingest.conversations.builders import threads_over


@dataclass
class WorkingClient:
    """Calls working memory over HTTP, in one session of a new namespace and with an adjustable
    clock.
    """

    client: httpx.AsyncClient
    working: WorkingMemory
    retriever: Retriever
    now: datetime
    space: dict[str, Any]

    async def post(self, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
        """Send a POST and return the answer."""
        got = await self.client.post(path, json={**self.space, **body})
        assert got.status_code == status, got.text
        answer: dict[str, Any] = got.json()
        return answer

    async def make(self, content: str, **body: Any) -> dict[str, Any]:
        """Create an item of working memory and return the answer."""
        return await self.post("/v1/working", 201, content=content, **body)

    async def listed(self, **query: Any) -> list[dict[str, Any]]:
        """The session's items of working memory."""
        got = await self.client.get("/v1/working", params={**self.space, **query})
        assert got.status_code == 200, got.text
        items: list[dict[str, Any]] = got.json()["items"]
        return items

    async def memory(self, memory_id: str) -> dict[str, Any]:
        """The memory, or live item, with this id."""
        where = {"namespace": self.space["namespace"]}
        got = await self.client.get(f"/v1/memories/{memory_id}", params=where)
        assert got.status_code == 200, got.text
        memory: dict[str, Any] = got.json()
        return memory

    async def memories(self) -> dict[str, Working]:
        """The working items of all sessions that the memory store has, by id."""
        listing = Listing((MemoryType.WORKING,))
        page = await self.working.store.page(Scope("default", self.space["namespace"]), listing)
        return {memory.id: memory for memory in page.memories if isinstance(memory, Working)}

    async def recall(self, query: str = "what now", **body: Any) -> dict[str, Any]:
        """Retrieve memories for a query. Returns once the service has recorded which items the
        context used.
        """
        answer = await self.post("/v1/retrieve", query=query, **body)
        await self.retriever.live_uses.noted()
        return answer

    def later(self, seconds: float) -> None:
        """Advance the clock by this number of seconds."""
        self.now += timedelta(seconds=seconds)


def with_live_workflows(
    services: Services, live: LiveClient, redactor: Redactor | None = None
) -> Services:
    """Return `services` with workflows, threads and working memory in the Redis server of
    `live`.
    """
    services = with_live(services, live)
    logs = RedisWorkflows(live)
    threads = threads_over(live, ingestor=services.ingestor)
    ended = EndedWorkflows(logs, services.ingestor, threads, services.working)
    workflows = Workflows(logs, ended, FakeTokenizer(), services.clock, redactor or Redactor())
    return replace(services, workflows=workflows, threads=threads)


def with_live(services: Services, live: LiveClient) -> Services:
    """Return `services` with working memory in the Redis server of `live`."""
    items = RedisWorking(live)
    logs = RedisWorkflows(live)
    locks = RedisLocks(live)
    working = WorkingMemory(items, services.ingestor, services.store, services.clock, logs, locks)
    tokenizers = {"cl100k_base": FakeTokenizer()}
    queue = services.receipts.queue
    parts = RetrieverParts(
        services.store,
        FakeEmbedder(),
        FakeSparse(),
        tokenizers,
        services.clock,
        live=items,
        receipts=queue,
    )
    return replace(
        services,
        working=working,
        retriever=Retriever(parts),
        receipts=Receipts(queue, parts),
        erasable={**services.erasable, "working": ErasableWorking(working)},
    )

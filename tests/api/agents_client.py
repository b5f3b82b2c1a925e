"""An HTTP client of a service over a real Redis server, with API keys that are bound to agents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx

from api.auth.keys import KeyBook, KeyEntry, Role, hashed
from api.wiring.container import Services
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.working import RedisWorking
from retrieval.receipts.service import Receipts
from retrieval.retriever import Retriever
from tests.api.conftest import connect
from tests.api.working_client import with_live_workflows
from tests.fakes_memories import InMemoryStore
from tests.ingest.conversations.builders import ingestor_over, threads_over

POLICIES = """
threads:
  shared: {key: "shared:{{ session.id }}"}
  secret: {}
  boxes: {key: "box:{{ agent.id }}:{{ session.id }}"}
agents:
  ann: {memories: [{id: shared, mode: read-only}, boxes]}
  bob: {memories: [shared, secret, boxes]}
  cat: {memory: boxes}
"""
KEYS = {"host": [], "ann": ["ann"], "bob": ["bob"], "both": ["ann", "cat"]}
MARK = "zanzibar"
SESSION = {"session": {"id": "s1"}}


class World:
    """An HTTP client and a namespace. The argument `key` of each method names the API key to send,
    such as "ann".
    """

    def __init__(self, client: httpx.AsyncClient, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    async def call(
        self, key: str, method: str, path: str, body: Any = None, **query: Any
    ) -> httpx.Response:
        """Send a request with the API key `key`. The namespace goes into the body; without a body,
        into the query.
        """
        if isinstance(body, dict):
            body = {"namespace": self.namespace, **body}
        else:
            query = {"namespace": self.namespace, **query}
        return await self.client.request(
            method, path, json=body, params=query, headers=key_header(key)
        )

    async def on_thread(
        self, key: str, method: str, path: str, body: Any = None, agent_id: str | None = None
    ) -> httpx.Response:
        """Send a request to `/v1/threads` + `path` with the API key `key`. `agent_id` is a query
        parameter.
        """
        query = {"namespace": self.namespace} | ({"agent_id": agent_id} if agent_id else {})
        return await self.client.request(
            method, f"/v1/threads{path}", json=body, params=query, headers=key_header(key)
        )

    async def thread(self, caller: str, /, status: int = 201, **fields: Any) -> str:
        """Create a thread, check that the answer has `status`, and return the thread's id ("" if it
        was refused).
        """
        answer = await self.call(caller, "POST", "/v1/threads", fields)
        assert answer.status_code == status, answer.text
        return str(answer.json().get("id", ""))


def key_header(key: str) -> dict[str, str]:
    """The request header with the API key named `key`, such as "ann" or "host"."""
    return {"X-API-Key": f"key-of-{key}"}


@asynccontextmanager
async def serving(live: LiveClient, services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """Serve `services` with live state in Redis, thread policies and a key for each agent; yields
    an HTTP client.
    """
    assert isinstance(services.store, InMemoryStore)
    wired = with_live_workflows(services, live)
    parts = replace(services.receipts.parts, live=RedisWorking(live))
    wired = replace(
        wired, retriever=Retriever(parts), receipts=Receipts(services.receipts.queue, parts)
    )
    threads = threads_over(live, POLICIES, ingestor=ingestor_over(services.store))
    entries = [
        KeyEntry(
            key=f"key-of-{name}",
            tenant="t",
            role=Role.WRITER,
            **({"agents": agents} if agents else {}),
        )
        for name, agents in KEYS.items()
    ]
    admin = KeyEntry(key="key-of-admin", tenant="t", role=Role.ADMIN)
    keys = KeyBook(hashed([*entries, admin]))
    async with connect(replace(wired, threads=threads, keys=keys)) as client:
        yield client

"""Helpers for API tests of threads (stored conversations), over a real Redis server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.wiring.container import Services
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.conftest import connect
from tests.fakes import FakeTokenizer
from tests.fakes_memories import InMemoryStore
from tests.ingest.conversations.builders import ingestor_over, threads_over


@asynccontextmanager
async def served(
    live: LiveClient, services: Services, policies: str, **parts: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve `services` with the thread `policies`; yields an HTTP client. parts: arguments for
    `threads_over`.

    Each response arrives after the turns that its request evicted from threads have become
    memories.
    """
    store = services.store
    assert isinstance(store, InMemoryStore)
    threads = threads_over(live, policies, **{"ingestor": ingestor_over(store), **parts})
    counters = {"cl100k_base": FakeTokenizer(), "o200k_base": FakeTokenizer()}
    wired = replace(services, threads=threads, tokenizers=counters, models=threads.policies.models)
    async with connect(wired, params={"namespace": str(uuid.uuid4())}) as client:

        async def settle(_: httpx.Response) -> None:
            await threads.evicted_turns.wait_until_idle()

        client.event_hooks = {"request": [], "response": [settle]}
        yield client


def client_with(policies: str, **parts: Any) -> Any:
    """A fixture: an HTTP client of a service with these thread policies, in a new namespace. parts:
    see `served`.
    """

    @pytest.fixture
    async def client(live: LiveClient, services: Services) -> AsyncIterator[httpx.AsyncClient]:
        async with served(live, services, policies, **parts) as client:
            yield client

    return client


async def begun(client: httpx.AsyncClient, status: int = 201, **fields: Any) -> dict[str, Any]:
    """Create a thread and return the answer."""
    namespace = client.params["namespace"]
    client_params = client.params
    client.params = httpx.QueryParams()
    answer = await client.post("/v1/threads", json={"namespace": namespace, **fields})
    client.params = client_params
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def say(
    client: httpx.AsyncClient, thread: str, content: str, status: int = 201, **fields: Any
) -> dict[str, Any]:
    """Append a turn to a thread and return the answer."""
    body = {"role": "user", "content": content, **fields}
    answer = await client.post(f"/v1/threads/{thread}/turns", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def kept_turns(client: httpx.AsyncClient) -> list[int]:
    """Sorted indices of the thread turns that have become episodic memories."""
    results = (
        await client.get("/v1/memories", params={**client.params, "type": "episodic", "limit": 500})
    ).json()
    return sorted(index for memory in results["memories"] for index in memory["source"]["turns"])


def words(number: int) -> str:
    """A text that the fake tokenizer counts as `number` tokens."""
    return " ".join(["word"] * number)

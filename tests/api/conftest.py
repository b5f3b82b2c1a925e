"""Fixtures for API tests: an application with real routes over an in-memory store and fake
encoders.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

import httpx
import pytest

from api.auth.keys import KeyBook, KeyEntry, Role, hashed
from api.wiring.container import Services
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.applications import application
from tests.api.fake_services import fake_services
from tests.api.working_client import WorkingClient, with_live
from tests.fakes_memories import InMemoryStore

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEYS = {
    ("acme", Role.READER): "acme-reader-key",
    ("acme", Role.WRITER): "acme-writer-key",
    ("acme", Role.ADMIN): "acme-admin-key",
    ("other", Role.ADMIN): "other-admin-key",
}

FACT = {"type": "semantic", "namespace": "n", "content": "The build runs on Friday."}
ASK: dict[str, Any] = {"query": "when does the build run?", "namespace": "n"}

Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@asynccontextmanager
async def connect(
    services: Services, *, local_only: bool = False, **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of an application over `services`."""
    app = application(services, local_only=local_only)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test", **options) as client:
        yield client


async def write_fact(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """Write the memory `FACT`, with `fields` added or changed, and return the answer."""
    response = await client.post("/v1/memories", json=FACT | fields)
    assert response.status_code in (200, 201), response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.fixture
def services() -> Services:
    """Services over an in-memory store, at a fixed time, without keys."""
    return fake_services(lambda: NOW)


@pytest.fixture
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of an application without keys."""
    async with connect(services) as client:
        yield client


@pytest.fixture
def guarded(services: Services) -> Services:
    """Services with API keys of two tenants, over the same stores as `services`."""
    entries = [KeyEntry(key=key, tenant=tenant, role=role) for (tenant, role), key in KEYS.items()]
    return replace(services, keys=KeyBook(hashed(entries)))


def bearer(tenant: str, role: Role) -> dict[str, str]:
    """The Authorization header with the API key for a tenant and role."""
    return {"Authorization": f"Bearer {KEYS[tenant, role]}"}


@pytest.fixture
async def world(live: LiveClient) -> AsyncIterator[WorkingClient]:
    """A client of working memory in a new namespace, over a real Redis server."""
    space = {"namespace": f"n {uuid.uuid4()}", "session_id": "s 1"}
    worlds: list[WorkingClient] = []
    services = with_live(fake_services(lambda: worlds[0].now, InMemoryStore()), live)
    async with connect(services) as client:
        worlds.append(WorkingClient(client, services.working, services.retriever, NOW, space))
        yield worlds[0]


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Check the status of `response` and return its problem document (the JSON body of an
    error).
    """
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    members: dict[str, Any] = response.json()
    assert members["status"] == status
    assert members.keys() >= {"type", "title", "detail"}
    return members


async def count(client: httpx.AsyncClient, namespace: str = "n") -> int:
    """The number of memories in a namespace."""
    total: int = (await client.get("/v1/stats", params={"namespace": namespace})).json()["total"][
        "count"
    ]
    return total

"""Ended workflows: how long they are kept and how children continue them, on a real live store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api.wiring.container import Services
from ingest.screening.redaction.redactor import Redactor
from ingest.workflows.engine import Workflows
from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.workflows import ENDED_LOG_TTL_S, WORKFLOW_TTL_S, RedisWorkflows
from tests.api.conftest import NOW, connect
from tests.fakes import FakeTokenizer
from tests.live import fresh_scope

pytestmark = pytest.mark.anyio


@pytest.fixture
def scope() -> Scope:
    """A new namespace of the default tenant."""
    return replace(fresh_scope(), tenant="default")


@pytest.fixture
async def client(live: LiveClient, services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of a service with workflows on a real live store."""
    workflows = Workflows(RedisWorkflows(live), services.ingestor, FakeTokenizer(), lambda: NOW, Redactor())
    async with connect(replace(services, workflows=workflows)) as client:
        yield client


async def post(client: httpx.AsyncClient, scope: Scope, path: str, body: dict[str, Any]) -> httpx.Response:
    """Send a POST and return its answer."""
    return await client.post(f"/v1/workflows/{path}", params={"namespace": scope.namespace}, json=body)


async def get(client: httpx.AsyncClient, scope: Scope, part: str = "", **query: int) -> httpx.Response:
    """Send a GET on workflow `w` and return its answer."""
    return await client.get(f"/v1/workflows/w{part}", params={"namespace": scope.namespace, **query})


async def seconds_left(live: LiveClient, key: str) -> int:
    """Seconds until a Redis key expires."""

    async def ask(redis: Redis) -> int:
        return int(await redis.ttl(key))

    return await live.run(ask, idempotent=True)


async def ended(client: httpx.AsyncClient, scope: Scope, events: int) -> None:
    """End the workflow `w` after some notes."""
    begun = await client.post("/v1/workflows", json={"namespace": scope.namespace, "workflow_id": "w"})
    assert begun.status_code == 201, begun.text
    for number in range(events):
        await post(client, scope, "w/events", {"type": "note", "data": {"last": number}})
    end = {"type": "completed", "output": "done", "resources": {"report": "r.pdf"}}
    assert (await post(client, scope, "w/events", end)).status_code == 201


async def test_ended_workflow_keeps_its_state_longer_than_its_log(
    live: LiveClient, client: httpx.AsyncClient, scope: Scope
) -> None:
    """The log is kept an hour, the state a day; chain and resources stay readable."""
    await ended(client, scope, 20)
    key = live_key(scope, "workflow", "w")
    log, state = await seconds_left(live, f"{key}:log"), await seconds_left(live, key)
    assert ENDED_LOG_TTL_S - 60 < log <= ENDED_LOG_TTL_S < WORKFLOW_TTL_S - 60 < state <= WORKFLOW_TTL_S
    assert await live.run(lambda redis: redis.delete(f"{key}:log"), idempotent=True) == 1
    seen = (await get(client, scope)).json()
    assert (seen["version"], seen["state"]["status"], seen["state"]["data"]) == (21, "completed", {"last": 19})
    assert (await get(client, scope, "/resources")).json()["resources"][0]["value"] == "r.pdf"
    assert (await get(client, scope, "/chain")).json()["workflows"][0]["status"] == "completed"
    assert (await get(client, scope, "/events")).status_code == 404
    assert (await get(client, scope, at_version=3)).status_code == 404


async def test_child_continues_an_ended_workflow(client: httpx.AsyncClient, scope: Scope) -> None:
    """A child's history begins with the history of its ended parent."""
    await ended(client, scope, 2)
    assert (await post(client, scope, "w/events", {"type": "note", "input": "late"})).status_code == 409
    child = {"namespace": scope.namespace, "workflow_id": "next", "parent_id": "w"}
    assert (await client.post("/v1/workflows", json=child)).status_code == 201
    onward = (await post(client, scope, "next/continue", {"input": "go on"})).json()
    assert "workflow completed" in onward["history"]

"""Liveness, readiness and metrics."""

from __future__ import annotations

from dataclasses import replace

import anyio
import httpx
import pytest

from api.wiring.container import Services
from tests.api.conftest import ASK, FACT, connect
from tests.api.fake_services import AwayStore

pytestmark = pytest.mark.anyio


async def test_live_says_ok(client: httpx.AsyncClient) -> None:
    """It needs nothing but the process."""
    response = await client.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_ready_pings_every_resource(client: httpx.AsyncClient) -> None:
    """Each has its own line."""
    answer = (await client.get("/health/ready")).json()
    assert answer["status"] == "ok"
    assert answer["checks"].keys() == {"store", "embedder"}
    assert all(check["ok"] and check["ms"] >= 0 for check in answer["checks"].values())


async def test_ready_is_503_when_one_is_away(services: Services) -> None:
    """It says which, and why."""
    async with connect(replace(services, pings={**services.pings, "store": AwayStore().ping})) as client:
        response = await client.get("/health/ready")
    checks = response.json()["checks"]
    assert (response.status_code, response.json()["status"]) == (503, "unavailable")
    assert (checks["store"]["ok"], checks["store"]["detail"]) == (False, "the store is away")
    assert checks["embedder"]["ok"]


async def test_ready_does_not_wait_for_ever(services: Services) -> None:
    """A resource that hangs is a resource that is away."""
    async with connect(replace(services, pings={"slow": anyio.sleep_forever})) as client:
        response = await client.get("/health/ready")
    assert response.status_code == 503
    assert "no answer" in response.json()["checks"]["slow"]["detail"]


async def test_metrics_count_calls_by_route(client: httpx.AsyncClient) -> None:
    """Routes are templates, so no id or namespace shows."""
    written = (await client.post("/v1/memories", json=FACT)).json()
    await client.get(f"/v1/memories/{written['id']}?namespace=secret-place")
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    assert 'remembrancer_requests_total{method="POST",route="/v1/memories",status="201"} 1.0' in lines
    assert 'remembrancer_requests_total{method="GET",route="/v1/memories/{memory_id}",status="404"} 1.0' in lines
    assert 'remembrancer_request_seconds_bucket{le="+Inf",method="POST",route="/v1/memories"} 1.0' in lines
    assert "remembrancer_requests_in_flight 1.0" in lines
    assert "_created" not in response.text
    assert "remembrancer_receipts_waiting 0.0" in lines
    assert 'remembrancer_thread_departures_total{became="kept"} 0.0' in lines
    assert "secret-place" not in response.text
    assert written["id"] not in response.text


async def test_who_is_not_ready_says_when_to_ask_again(services: Services) -> None:
    """503 has a Retry-After here too."""
    async with connect(replace(services, pings={"store": AwayStore().ping})) as client:
        response = await client.get("/health/ready")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_what_was_not_asked_for_is_not_there(client: httpx.AsyncClient) -> None:
    """Members that an answer may have are left out, not null; with `explain` the signals are there."""
    await client.post("/v1/memories", json=FACT)
    for asked in ({}, {"explain": True}):
        (hit,) = (await client.post("/v1/search", json=ASK | asked)).json()["hits"]
        retrieved = (await client.post("/v1/retrieve", json=ASK | asked | {"receipt": False})).json()
        (item,) = retrieved["items"]
        assert ("signals" in hit, "signals" in item) == (bool(asked), bool(asked))
        assert not {"cut", "excerpt"} & item.keys()
        assert "receipt_id" not in retrieved
        assert "model" not in retrieved["metadata"]

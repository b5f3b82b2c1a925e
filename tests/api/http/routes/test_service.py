"""Liveness, readiness and metrics of the service."""

from __future__ import annotations

from dataclasses import replace

import anyio
import httpx
import pytest

from api.wiring.container import Services
from tests.api.conftest import ASK, FACT, connect
from tests.api.fake_services import AwayStore

pytestmark = pytest.mark.anyio


async def test_liveness_is_ok(client: httpx.AsyncClient) -> None:
    """The liveness check returns 200."""
    response = await client.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_readiness_pings_every_resource(client: httpx.AsyncClient) -> None:
    """The readiness check reports each resource that the service needs (store and encoder), with
    the time it took.
    """
    answer = (await client.get("/health/ready")).json()
    assert answer["status"] == "ok"
    assert answer["checks"].keys() == {"store", "embedder"}
    assert all(check["ok"] and check["ms"] >= 0 for check in answer["checks"].values())


async def test_readiness_is_503_when_a_resource_is_away(services: Services) -> None:
    """If the memory store is unavailable, the readiness check is a 503 that gives the reason."""
    async with connect(
        replace(services, pings={**services.pings, "store": AwayStore().ping})
    ) as client:
        response = await client.get("/health/ready")
    checks = response.json()["checks"]
    assert (response.status_code, response.json()["status"]) == (503, "unavailable")
    assert (checks["store"]["ok"], checks["store"]["detail"]) == (False, "the store is away")
    assert checks["embedder"]["ok"]


async def test_readiness_says_what_a_working_part_does_without(services: Services) -> None:
    async def ping() -> str:
        return "the trained models do not know the encoder"

    async with connect(replace(services, pings={"embedder": ping})) as client:
        response = await client.get("/health/ready")
    check = response.json()["checks"]["embedder"]
    assert (response.status_code, check["ok"]) == (200, True)
    assert check["detail"] == "the trained models do not know the encoder"


async def test_readiness_has_a_timeout(services: Services) -> None:
    """If a resource does not answer in time, the readiness check reports it as unavailable."""
    async with connect(replace(services, pings={"slow": anyio.sleep_forever})) as client:
        response = await client.get("/health/ready")
    assert response.status_code == 503
    assert "no answer" in response.json()["checks"]["slow"]["detail"]


async def test_readiness_503_has_retry_after(services: Services) -> None:
    async with connect(replace(services, pings={"store": AwayStore().ping})) as client:
        response = await client.get("/health/ready")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_answers_leave_out_optional_members_without_a_value(
    client: httpx.AsyncClient,
) -> None:
    """Optional members without a value are absent from answers, not null. Ranking signals need
    `explain`.
    """
    await client.post("/v1/memories", json=FACT)
    for request in ({}, {"explain": True}):
        (hit,) = (await client.post("/v1/search", json=ASK | request)).json()["hits"]
        retrieved = (
            await client.post("/v1/retrieve", json=ASK | request | {"receipt": False})
        ).json()
        (item,) = retrieved["items"]
        assert ("signals" in hit, "signals" in item) == (bool(request), bool(request))
        assert not {"cut", "excerpt"} & item.keys()
        assert "receipt_id" not in retrieved
        assert "model" not in retrieved["metadata"]

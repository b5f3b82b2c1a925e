"""Guards of the API: keys, roles, rate limits, isolation of tenants, and refusal of cross-site
calls without keys.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.auth.keys import Role
from api.auth.rate_limit import RateLimit
from api.wiring.container import Services
from tests.api.conftest import ASK, FACT, KEYS, bearer, connect, problem

pytestmark = pytest.mark.anyio

READS: list[tuple[str, str, Any]] = [
    ("GET", "/v1/memories?namespace=n", None),
    ("GET", "/v1/stats?namespace=n", None),
    ("GET", "/metrics", None),
    ("POST", "/v1/search", ASK),
    ("POST", "/v1/retrieve", ASK),
]

WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/v1/memories", FACT),
    ("POST", "/v1/memories/batch", {"namespace": "n", "items": []}),
    ("DELETE", "/v1/memories?namespace=n&confirm=true", None),
    ("PATCH", "/v1/memories/5a1f0c3e-6f0e-5d0b-9a58-6d3f2f8f7c11?namespace=n", {"pinned": True}),
    ("DELETE", "/v1/memories/5a1f0c3e-6f0e-5d0b-9a58-6d3f2f8f7c11?namespace=n", None),
    (
        "POST",
        "/v1/memories/5a1f0c3e-6f0e-5d0b-9a58-6d3f2f8f7c11/feedback?namespace=n",
        {"outcome": "used"},
    ),
]

WRONG: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer wrong-key-1"},
    {"Authorization": f"Basic {KEYS['acme', Role.ADMIN]}"},
    {"Authorization": "Bearer"},
    {"Authorization": ""},
    {"X-API-Key": "wrong-key-1"},
    {"X-API-Key": ""},
    {"Authorization": "Bearer wrong-key-1", "X-API-Key": KEYS["acme", Role.ADMIN]},
]


@pytest.mark.parametrize(("method", "path", "body"), READS + WRITES)
@pytest.mark.parametrize("headers", WRONG)
async def test_calls_without_a_known_key_are_401(
    guarded: Services, headers: dict[str, str], method: str, path: str, body: Any
) -> None:
    """A call without a key or with an unknown one gets a 401 that explains how to send a key."""
    async with connect(guarded) as client:
        response = await client.request(method, path, json=body, headers=headers)
    assert "Bearer" in problem(response, 401)["detail"]
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_readers_cannot_write(guarded: Services, method: str, path: str, body: Any) -> None:
    """A reader's write gets a 403 that names the required role."""
    async with connect(guarded, headers=bearer("acme", Role.READER)) as client:
        assert "writer" in problem(await client.request(method, path, json=body), 403)["detail"]


@pytest.mark.parametrize(("method", "path", "body"), READS)
@pytest.mark.parametrize("role", list(Role))
async def test_every_role_may_read(
    guarded: Services, role: Role, method: str, path: str, body: Any
) -> None:
    """Calls that read succeed for readers, writers and admins."""
    async with connect(guarded, headers=bearer("acme", role)) as client:
        assert (await client.request(method, path, json=body)).status_code == 200


async def test_x_api_key_is_accepted(guarded: Services) -> None:
    """A key in the X-Api-Key header works like one in the Authorization header."""
    async with connect(guarded, headers={"X-API-Key": KEYS["acme", Role.WRITER]}) as client:
        assert (await client.post("/v1/memories", json=FACT)).status_code == 201


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/openapi.json", "/docs"])
async def test_health_and_reference_need_no_key(guarded: Services, path: str) -> None:
    """Health checks and the API reference are served without a key."""
    async with connect(guarded) as client:
        assert (await client.get(path)).status_code == 200


async def test_tenants_are_isolated(guarded: Services) -> None:
    """A tenant sees no memory of another, not even by id or in a namespace of the same name."""
    async with connect(guarded) as client:
        own_key = bearer("acme", Role.ADMIN)
        other_key = bearer("other", Role.ADMIN)
        answer = (await client.post("/v1/memories", json=FACT, headers=own_key)).json()
        path = f"/v1/memories/{answer['id']}?namespace=n"
        for response in (
            await client.get(path, headers=other_key),
            await client.patch(path, json={"importance": 1}, headers=other_key),
            await client.delete(path, headers=other_key),
            await client.post(
                path.replace("?", "/feedback?"), json={"outcome": "unhelpful"}, headers=other_key
            ),
        ):
            assert "build" not in str(problem(response, 404))
        assert (
            await client.delete("/v1/memories?namespace=n&confirm=true", headers=other_key)
        ).json()["deleted"] == 0
        assert (await client.get("/v1/memories?namespace=n", headers=other_key)).json()[
            "total"
        ] == 0
        assert (await client.get("/v1/stats?namespace=n", headers=other_key)).json()["total"][
            "count"
        ] == 0
        assert (await client.post("/v1/search", json=ASK, headers=other_key)).json()["hits"] == []
        assert (await client.post("/v1/retrieve", json=ASK, headers=other_key)).json()[
            "items"
        ] == []
        assert (await client.get(path, headers=own_key)).json() == answer["memory"]


async def test_namespaces_are_isolated(client: httpx.AsyncClient) -> None:
    """Reading a memory by id in another namespace returns a 404."""
    answer = (await client.post("/v1/memories", json=FACT)).json()
    path = f"/v1/memories/{answer['id']}?namespace="
    problem(await client.get(path + "m"), 404)
    problem(await client.patch(path + "m", json={"importance": 1}), 404)
    problem(await client.delete(path + "m"), 404)
    assert (await client.post("/v1/search", json=ASK | {"namespace": "m"})).json()["hits"] == []
    assert (await client.get(path + "n")).json() == answer["memory"]


async def test_ids_differ_by_tenant(guarded: Services) -> None:
    """The same text stored by two tenants gives two memory ids."""
    async with connect(guarded) as client:
        ids = [
            (
                await client.post("/v1/memories", json=FACT, headers=bearer(tenant, Role.ADMIN))
            ).json()["id"]
            for tenant in ("acme", "other")
        ]
    assert len(set(ids)) == 2


async def test_calls_above_the_rate_limit_get_429_with_retry_after(guarded: Services) -> None:
    limited = replace(guarded, rate=RateLimit(2, lambda: 0.0))
    async with connect(limited) as client:
        own_key = bearer("acme", Role.READER)
        other_key = bearer("other", Role.ADMIN)
        for _ in range(2):
            assert (await client.post("/v1/search", json=ASK, headers=own_key)).status_code == 200
        refused = await client.post("/v1/search", json=ASK, headers=own_key)
        problem(refused, 429)
        assert refused.headers["retry-after"] == "30"
        assert (await client.post("/v1/search", json=ASK, headers=other_key)).status_code == 200
        assert (await client.get("/health/ready", headers=own_key)).status_code == 200


PATH = "/v1/stats?namespace=n"


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8707", "127.0.0.1:8707", "[::1]:8707", "127.9.9.9"]
)
async def test_local_hosts_are_served_without_keys(services: Services, host: str) -> None:
    """While no keys are configured, calls whose Host header is localhost or a loopback address
    succeed.
    """
    async with connect(services, local_only=True) as client:
        assert (await client.get(PATH, headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8707", "192.168.0.7:8707", "", "[::1"]
)
async def test_foreign_host_headers_are_refused_without_keys(services: Services, host: str) -> None:
    """While no keys are configured, a call gets a 403 unless its Host is localhost or a loopback
    address.

    This includes health checks.
    """
    async with connect(services, local_only=True) as client:
        for path in (PATH, "/health/ready"):
            assert (
                "--keys" in problem(await client.get(path, headers={"host": host}), 403)["detail"]
            )


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
    ],
)
async def test_cross_site_calls_are_refused_without_keys(
    services: Services, headers: dict[str, str]
) -> None:
    """While no keys are configured, a call with a foreign Origin or a cross-site Sec-Fetch-Site
    gets a 403.
    """
    async with connect(services, local_only=True, headers={"host": "localhost"}) as client:
        problem(await client.post("/v1/memories/x/complete?namespace=n", headers=headers), 403)


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:80"])
async def test_local_origins_are_served_without_keys(services: Services, origin: str) -> None:
    """While no keys are configured, calls whose Origin is localhost or a loopback address
    succeed.
    """
    async with connect(services, local_only=True) as client:
        response = await client.get(PATH, headers={"host": "localhost", "origin": origin})
    assert response.status_code == 200


async def test_hosts_are_not_checked_if_keys_are_configured(guarded: Services) -> None:
    async with connect(guarded) as client:
        for host in ("memory.example", "[::1"):
            problem(await client.get(PATH, headers={"host": host}), 401)


async def test_guards_start_no_thread(services: Services) -> None:
    """All guards are coroutines, because Litestar would run synchronous guards in a thread."""
    before = set(threading.enumerate())
    async with connect(services, local_only=True) as client:
        assert (await client.get("/health/live", headers={"host": "localhost"})).status_code == 200
    assert set(threading.enumerate()) <= before

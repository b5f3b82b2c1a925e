"""Access by key, role and rate; tenants apart from each other; calls from other sites without keys."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.auth.guards import RateLimit
from api.auth.keys import Role
from api.http.problems import TooMany
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
    ("POST", "/v1/memories/5a1f0c3e-6f0e-5d0b-9a58-6d3f2f8f7c11/feedback?namespace=n", {"outcome": "used"}),
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
async def test_without_a_known_key_nothing_opens(
    guarded: Services, headers: dict[str, str], method: str, path: str, body: Any
) -> None:
    """401 that says how to send one."""
    async with connect(guarded) as client:
        response = await client.request(method, path, json=body, headers=headers)
    assert "Bearer" in problem(response, 401)["detail"]
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_reader_may_not_write(guarded: Services, method: str, path: str, body: Any) -> None:
    """403 that names the role."""
    async with connect(guarded, headers=bearer("acme", Role.READER)) as client:
        assert "writer" in problem(await client.request(method, path, json=body), 403)["detail"]


@pytest.mark.parametrize(("method", "path", "body"), READS)
@pytest.mark.parametrize("role", list(Role))
async def test_every_role_may_read(guarded: Services, role: Role, method: str, path: str, body: Any) -> None:
    """A reader's calls are open to all."""
    async with connect(guarded, headers=bearer("acme", role)) as client:
        assert (await client.request(method, path, json=body)).status_code == 200


async def test_the_other_header_works_too(guarded: Services) -> None:
    """X-API-Key is as good as Authorization."""
    async with connect(guarded, headers={"X-API-Key": KEYS["acme", Role.WRITER]}) as client:
        assert (await client.post("/v1/memories", json=FACT)).status_code == 201


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/openapi.json", "/docs"])
async def test_health_and_reference_need_no_key(guarded: Services, path: str) -> None:
    """They reveal nothing of anybody."""
    async with connect(guarded) as client:
        assert (await client.get(path)).status_code == 200


async def test_another_tenant_sees_and_changes_nothing(guarded: Services) -> None:
    """The same namespace of another tenant is another place, also by id."""
    async with connect(guarded) as client:
        mine, theirs = bearer("acme", Role.ADMIN), bearer("other", Role.ADMIN)
        written = (await client.post("/v1/memories", json=FACT, headers=mine)).json()
        path = f"/v1/memories/{written['id']}?namespace=n"
        for response in (
            await client.get(path, headers=theirs),
            await client.patch(path, json={"importance": 1}, headers=theirs),
            await client.delete(path, headers=theirs),
            await client.post(path.replace("?", "/feedback?"), json={"outcome": "unhelpful"}, headers=theirs),
        ):
            assert "build" not in str(problem(response, 404))
        assert (await client.delete("/v1/memories?namespace=n&confirm=true", headers=theirs)).json()["deleted"] == 0
        assert (await client.get("/v1/memories?namespace=n", headers=theirs)).json()["total"] == 0
        assert (await client.get("/v1/stats?namespace=n", headers=theirs)).json()["total"]["count"] == 0
        assert (await client.post("/v1/search", json=ASK, headers=theirs)).json()["hits"] == []
        assert (await client.post("/v1/retrieve", json=ASK, headers=theirs)).json()["items"] == []
        assert (await client.get(path, headers=mine)).json() == written["memory"]


async def test_another_namespace_sees_and_changes_nothing(client: httpx.AsyncClient) -> None:
    """An id is unknown outside its namespace."""
    written = (await client.post("/v1/memories", json=FACT)).json()
    path = f"/v1/memories/{written['id']}?namespace="
    problem(await client.get(path + "m"), 404)
    problem(await client.patch(path + "m", json={"importance": 1}), 404)
    problem(await client.delete(path + "m"), 404)
    assert (await client.post("/v1/search", json=ASK | {"namespace": "m"})).json()["hits"] == []
    assert (await client.get(path + "n")).json() == written["memory"]


async def test_the_same_text_of_two_tenants_is_two_memories(guarded: Services) -> None:
    """Ids follow from the tenant too."""
    async with connect(guarded) as client:
        ids = [
            (await client.post("/v1/memories", json=FACT, headers=bearer(tenant, Role.ADMIN))).json()["id"]
            for tenant in ("acme", "other")
        ]
    assert len(set(ids)) == 2


async def test_a_key_that_calls_too_often_waits(guarded: Services) -> None:
    """429 with how long; other keys go on."""
    limited = replace(guarded, rate=RateLimit(2, lambda: 0.0))
    async with connect(limited) as client:
        mine, theirs = bearer("acme", Role.READER), bearer("other", Role.ADMIN)
        for _ in range(2):
            assert (await client.post("/v1/search", json=ASK, headers=mine)).status_code == 200
        refused = await client.post("/v1/search", json=ASK, headers=mine)
        problem(refused, 429)
        assert refused.headers["retry-after"] == "30"
        assert (await client.post("/v1/search", json=ASK, headers=theirs)).status_code == 200
        assert (await client.get("/health/ready", headers=mine)).status_code == 200


PATH = "/v1/stats?namespace=n"


@pytest.mark.parametrize("host", ["localhost", "localhost:8707", "127.0.0.1:8707", "[::1]:8707", "127.9.9.9"])
async def test_a_program_of_this_machine_is_served(services: Services, host: str) -> None:
    """Whatever loopback address it uses."""
    async with connect(services, local_only=True) as client:
        assert (await client.get(PATH, headers={"host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8707", "192.168.0.7:8707", "", "[::1"])
async def test_a_name_that_was_made_to_resolve_here_is_refused(services: Services, host: str) -> None:
    """The Host is what the caller thought it was calling; health is no exception."""
    async with connect(services, local_only=True) as client:
        for path in (PATH, "/health/ready"):
            assert "--keys" in problem(await client.get(path, headers={"host": host}), 403)["detail"]


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"origin": ""}, {"sec-fetch-site": "cross-site"}],
)
async def test_a_page_from_elsewhere_is_refused(services: Services, headers: dict[str, str]) -> None:
    """Also for a call that a browser makes without asking first."""
    async with connect(services, local_only=True, headers={"host": "localhost"}) as client:
        problem(await client.post("/v1/memories/x/complete?namespace=n", headers=headers), 403)


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:80"])
async def test_a_page_of_this_machine_is_served(services: Services, origin: str) -> None:
    """A tool that somebody runs here."""
    async with connect(services, local_only=True) as client:
        response = await client.get(PATH, headers={"host": "localhost", "origin": origin})
    assert response.status_code == 200


async def test_with_keys_any_name_is_served(guarded: Services) -> None:
    """No page knows a key; a name that is none harms nothing."""
    async with connect(guarded) as client:
        for host in ("memory.example", "[::1"):
            problem(await client.get(PATH, headers={"host": host}), 401)


async def test_no_call_waits_for_a_thread(services: Services) -> None:
    """What lets a call in runs where the call runs: a guard that is no coroutine would be sent to a thread."""
    before = set(threading.enumerate())
    async with connect(services, local_only=True) as client:
        assert (await client.get("/health/live", headers={"host": "localhost"})).status_code == 200
    assert set(threading.enumerate()) <= before


async def test_a_bucket_empties_and_refills() -> None:
    """So many calls a minute, and a wait that is true."""
    now = [0.0]
    rate = RateLimit(2, lambda: now[0])
    rate.take("k")
    rate.take("k")
    rate.take("other")
    with pytest.raises(TooMany) as caught:
        rate.take("k")
    now[0] += caught.value.retry_after_s
    rate.take("k")


async def test_without_a_limit_nobody_waits() -> None:
    """0 sets no limit."""
    rate = RateLimit(0)
    for _ in range(1_000):
        rate.take("k")

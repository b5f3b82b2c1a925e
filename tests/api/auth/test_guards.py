"""Without keys: programs of this machine are served, pages from elsewhere are not."""

from __future__ import annotations

import threading

import pytest

from api.wiring.container import Services
from tests.api.conftest import connect
from tests.api.test_bad_input import problem

pytestmark = pytest.mark.anyio

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

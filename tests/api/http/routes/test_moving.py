"""The operator's calls on a whole namespace, over HTTP."""

from __future__ import annotations

import json

import httpx
import pytest

from api.auth.keys import Role
from api.wiring.container import Services
from tests.api.conftest import bearer, connect

pytestmark = pytest.mark.anyio

NDJSON = {"Content-Type": "application/x-ndjson"}
ITEMS = [
    {"type": "semantic", "content": "Tea is green."},
    {"type": "episodic", "content": "Ann bought tea.", "session_id": "s", "metadata": {"n": 1}},
]


async def fill(client: httpx.AsyncClient, namespace: str) -> None:
    """Two memories, written under an idempotency key."""
    body = {"namespace": namespace, "items": ITEMS}
    (await client.post("/v1/memories/batch", json=body, headers={"Idempotency-Key": namespace})).raise_for_status()


async def test_a_namespace_goes_out_and_comes_back(client: httpx.AsyncClient) -> None:
    """What was exported, erased and imported is exported again byte by byte."""
    await fill(client, "a")
    taken = await client.post("/v1/admin/export", json={"namespace": "a"})
    assert taken.status_code == 200
    assert taken.headers["content-type"].startswith("application/x-ndjson")
    assert sorted(json.loads(line)["content"] for line in taken.text.splitlines()) == [
        "Ann bought tea.",
        "Tea is green.",
    ]
    await client.post("/v1/admin/erase", json={"namespace": "a"})
    back = await client.post("/v1/admin/import?namespace=a", content=taken.content, headers=NDJSON)
    assert back.status_code == 200
    assert back.json()["counts"] == {"stored": 2, "merged": 0, "rejected": 0, "failed": 0}
    assert (await client.post("/v1/admin/export", json={"namespace": "a"})).content == taken.content


async def test_erasing_leaves_nothing_and_proves_it(client: httpx.AsyncClient) -> None:
    """Every place is empty after, asked anew; another namespace keeps what it has."""
    await fill(client, "a")
    await fill(client, "b")
    erased = (await client.post("/v1/admin/erase", json={"namespace": "a"})).json()
    assert erased["erased"] == {"memories": 2, "answers": 1, "receipts": 0, "recent": 0}
    assert erased["remaining"] == {"memories": 0, "answers": 0, "receipts": 0, "recent": 0}
    assert erased["checked_at"] == "2026-03-01T12:00:00Z"
    assert (await client.get("/v1/stats?namespace=a")).json()["total"]["count"] == 0
    assert (await client.get("/v1/stats?namespace=b")).json()["total"]["count"] == 2


async def test_what_was_captured_is_forgotten_too(client: httpx.AsyncClient) -> None:
    """The same conversation is stored again after an erasure: nothing in memory still knows its text."""
    said = "We decided to move the whole database to Postgres 16 on Tuesday because of the licence."
    body = {"namespace": "a", "session_id": "s", "messages": [{"role": "user", "content": said}]}
    first = (await client.post("/v1/hooks/session-stop", json=body)).json()
    erased = (await client.post("/v1/admin/erase", json={"namespace": "a"})).json()
    assert (erased["erased"]["recent"], erased["remaining"]["recent"]) == (1, 0)
    again = (await client.post("/v1/hooks/session-stop", json=body)).json()
    assert again["counts"] == first["counts"]
    assert again["counts"]["stored"] == 1


async def test_one_memory_is_erased_alone(client: httpx.AsyncClient) -> None:
    """A single memory goes, the others stay; one that is not there is none."""
    await fill(client, "a")
    listed = (await client.get("/v1/memories?namespace=a")).json()["memories"]
    chosen = listed[0]["id"]
    for count in (1, 0):
        erased = (await client.post("/v1/admin/erase", json={"namespace": "a", "memory_id": chosen})).json()
        assert (erased["erased"]["memories"], erased["remaining"]["memories"]) == (count, 0)
    left = (await client.get("/v1/memories?namespace=a")).json()["memories"]
    assert [one["id"] for one in left] == [listed[1]["id"]]


@pytest.mark.parametrize(
    ("content", "status", "path"),
    [
        (b"{", 400, "items[0]"),
        (b"[1]", 422, "items[0]"),
        (b'{"type": "dream"}', 422, "items[0].type"),
        (b'{"type": "semantic"}', 422, "items[0]"),
    ],
)
async def test_a_bad_line_stores_nothing(client: httpx.AsyncClient, content: bytes, status: int, path: str) -> None:
    """The line is named, and nothing of the import is kept."""
    await fill(client, "a")
    taken = (await client.post("/v1/admin/export", json={"namespace": "a"})).content
    refused = await client.post("/v1/admin/import?namespace=b", content=content + b"\n" + taken, headers=NDJSON)
    assert refused.status_code == status
    assert refused.json()["errors"][0]["path"].startswith(path)
    assert (await client.get("/v1/stats?namespace=b")).json()["total"]["count"] == 0


@pytest.mark.parametrize(("call", "body"), [("export", {"namespace": "a"}), ("erase", {"namespace": "a"})])
async def test_only_admins_may(guarded: Services, call: str, body: dict[str, str]) -> None:
    """A writer's key is not enough, and an admin of another tenant sees an empty namespace."""
    async with connect(guarded) as client:
        writer, rival = bearer("acme", Role.WRITER), bearer("other", Role.ADMIN)
        item = {"type": "semantic", "namespace": "a", "content": "x"}
        (await client.post("/v1/memories", json=item, headers=writer)).raise_for_status()
        assert (await client.post(f"/v1/admin/{call}", json=body, headers=writer)).status_code == 403
        theirs = await client.post(f"/v1/admin/{call}", json=body, headers=rival)
        assert theirs.text == "" if call == "export" else theirs.json()["erased"]["memories"] == 0
        assert (await client.get("/v1/stats?namespace=a", headers=writer)).json()["total"]["count"] == 1

"""Batches: all are checked before any is stored, and each item is accounted for."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from api.auth.keys import Role
from api.wiring.container import Services
from tests.api.conftest import bearer, connect, count, problem

pytestmark = pytest.mark.anyio

BATCH = "/v1/memories/batch"
NDJSON = {"content-type": "application/x-ndjson"}


def items(number: int) -> list[dict[str, Any]]:
    """So many different facts."""
    return [{"type": "semantic", "content": f"Fact number {one}"} for one in range(number)]


def lines(listed: list[dict[str, Any]]) -> bytes:
    """The items as newline-delimited JSON."""
    return "\n".join(json.dumps(one) for one in listed).encode()


async def test_every_item_has_its_result(client: httpx.AsyncClient) -> None:
    """Results are in order, and the counts are theirs."""
    listed = [*items(3), items(1)[0], {"type": "episodic", "content": "It rained.", "review": "skip"}]
    answer = (await client.post(BATCH, json={"namespace": "n", "items": listed})).json()
    assert [one["index"] for one in answer["results"]] == [0, 1, 2, 3, 4]
    assert [one["status"] for one in answer["results"]] == ["stored", "stored", "stored", "merged", "stored"]
    assert answer["results"][3]["merged_into"] == answer["results"][0]["id"]
    assert answer["counts"] == {"stored": 4, "merged": 1, "rejected": 0, "failed": 0}
    assert await count(client) == 4


async def test_an_empty_batch_has_no_results(client: httpx.AsyncClient) -> None:
    """Nothing in, nothing out."""
    answer = (await client.post(BATCH, json={"namespace": "n", "items": []})).json()
    assert (answer["results"], sum(answer["counts"].values())) == ([], 0)


async def test_one_invalid_item_stores_nothing(client: httpx.AsyncClient) -> None:
    """The path has its index."""
    listed = items(5)
    listed[3]["importance"] = 11
    listed[4]["nonsense"] = 1
    members = problem(await client.post(BATCH, json={"namespace": "n", "items": listed}), 422)
    assert [(one["path"], one["got"]) for one in members["errors"]] == [
        ("items[3].importance", 11),
        ("items[4].nonsense", 1),
    ]
    assert await count(client) == 0


async def test_a_time_far_ahead_is_found_before_anything_is_stored(client: httpx.AsyncClient) -> None:
    """Also what only the clock can tell comes with its index."""
    listed = items(3)
    listed[2]["created_at"] = "2999-01-01T00:00:00Z"
    members = problem(await client.post(BATCH, json={"namespace": "n", "items": listed}), 422)
    assert members["errors"][0]["path"] == "items[2].created_at"
    assert await count(client) == 0


async def test_an_item_can_not_name_its_own_namespace(client: httpx.AsyncClient) -> None:
    """A batch has one namespace."""
    listed = [items(1)[0] | {"namespace": "m"}]
    members = problem(await client.post(BATCH, json={"namespace": "n", "items": listed}), 422)
    assert members["errors"][0]["path"] == "items[0].namespace"


async def test_more_than_a_thousand_items_are_refused(client: httpx.AsyncClient) -> None:
    """In both forms."""
    problem(await client.post(BATCH, json={"namespace": "n", "items": items(1_001)}), 422)
    problem(await client.post(f"{BATCH}?namespace=n", content=lines(items(1_001)), headers=NDJSON), 422)
    assert await count(client) == 0


async def test_lines_are_items(client: httpx.AsyncClient) -> None:
    """Newline-delimited JSON does the same; blank lines are nothing."""
    body = b"\n" + lines(items(3)).replace(b"\n", b"\r\n\n") + b"\n"
    answer = (await client.post(f"{BATCH}?namespace=n", content=body, headers=NDJSON)).json()
    assert answer["counts"]["stored"] == len(answer["results"]) == 3


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        (b'{"type": "semantic", "content": "a"}\n{"type": "semantic", "cont', 400, "items[1]"),
        (b'{"type": "semantic", "content": "a"}\n[]', 422, "items[1]"),
        (b'{"type": "semantic", "content": "a"}\n\n{"type": "semantic"}', 422, "items[1].content"),
        (b'{"type": "semantic", "content": "a", "importance": 99999999999999999999}', 422, "items[0]"),
        (b'{"type": "fact", "content": "a"}', 422, "items[0].type"),
        (b"\xff", 400, "items[0]"),
    ],
)
async def test_a_wrong_line_is_named(client: httpx.AsyncClient, body: bytes, status: int, path: str) -> None:
    """The index says which item, and nothing is stored."""
    members = problem(await client.post(f"{BATCH}?namespace=n", content=body, headers=NDJSON), status)
    assert members["errors"][0]["path"] == path
    assert await count(client) == 0


async def test_each_form_has_its_place_for_the_namespace(client: httpx.AsyncClient) -> None:
    """The body's for JSON, the query's for lines."""
    problem(await client.post(BATCH, content=lines(items(1)), headers=NDJSON), 422)
    problem(await client.post(f"{BATCH}?namespace=n", json={"namespace": "n", "items": []}), 422)


async def test_a_batch_may_be_larger_than_other_bodies(client: httpx.AsyncClient) -> None:
    """Above 2 MiB it is read; above 32 MiB it is not."""
    big = [{"type": "semantic", "content": f"{one} " + "x" * 400_000} for one in range(6)]
    answer = await client.post(BATCH, json={"namespace": "n", "items": big})
    assert answer.json()["counts"]["stored"] == 6
    problem(
        await client.post(BATCH, content=b" " * (32 * 1024 * 1024 + 1), headers={"content-type": "application/json"}),
        413,
    )


async def test_a_repeated_key_gives_the_same_answer(client: httpx.AsyncClient) -> None:
    """Byte for byte, and nothing is merged a second time."""
    sent: dict[str, Any] = {"json": {"namespace": "n", "items": items(2)}, "headers": {"Idempotency-Key": "k-1"}}
    first, second = await client.post(BATCH, **sent), await client.post(BATCH, **sent)
    assert first.content == second.content
    assert first.json()["counts"]["stored"] == 2


async def test_a_repeated_key_with_another_body_is_409(client: httpx.AsyncClient) -> None:
    """A key stands for one body, and for one namespace."""
    headers = {"Idempotency-Key": "k-1"}
    await client.post(BATCH, json={"namespace": "n", "items": items(2)}, headers=headers)
    problem(await client.post(BATCH, json={"namespace": "n", "items": items(3)}, headers=headers), 409)
    problem(await client.post(BATCH, json={"namespace": "m", "items": items(2)}, headers=headers), 409)
    assert await count(client) == 2


async def test_a_tenants_key_is_its_own(guarded: Services) -> None:
    """The same key of another tenant is another."""
    async with connect(guarded) as client:
        for tenant in ("acme", "other"):
            headers = bearer(tenant, Role.ADMIN) | {"Idempotency-Key": "k-1"}
            answer = await client.post(BATCH, json={"namespace": tenant, "items": items(1)}, headers=headers)
            assert answer.json()["counts"]["stored"] == 1


@pytest.mark.parametrize("key", ["", "k" * 257])
async def test_an_impossible_key_is_refused(client: httpx.AsyncClient, key: str) -> None:
    """1 to 256 characters."""
    body = {"namespace": "n", "items": items(1)}
    members = problem(await client.post(BATCH, json=body, headers={"Idempotency-Key": key}), 422)
    assert members["errors"][0]["path"] == "Idempotency-Key"

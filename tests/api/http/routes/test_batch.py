"""Batches of memories, as JSON and as newline-delimited JSON."""

from __future__ import annotations

import codecs
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
    """Items of a batch: `number` different facts."""
    return [{"type": "semantic", "content": f"Fact number {item}"} for item in range(number)]


def lines(items: list[dict[str, Any]]) -> bytes:
    """Batch items as newline-delimited JSON, one item a line."""
    return "\n".join(json.dumps(item) for item in items).encode()


async def test_batch_results_are_in_order_with_counts(client: httpx.AsyncClient) -> None:
    batch_items = [
        *items(3),
        items(1)[0],
        {"type": "episodic", "content": "It rained.", "review": "skip"},
    ]
    answer = (await client.post(BATCH, json={"namespace": "n", "items": batch_items})).json()
    assert [item["index"] for item in answer["results"]] == [0, 1, 2, 3, 4]
    assert [item["status"] for item in answer["results"]] == [
        "stored",
        "stored",
        "stored",
        "merged",
        "stored",
    ]
    assert answer["results"][3]["merged_into"] == answer["results"][0]["id"]
    assert answer["counts"] == {"stored": 4, "merged": 1, "rejected": 0, "failed": 0}
    assert await count(client) == 4


async def test_empty_batch_has_no_results(client: httpx.AsyncClient) -> None:
    answer = (await client.post(BATCH, json={"namespace": "n", "items": []})).json()
    assert (answer["results"], sum(answer["counts"].values())) == ([], 0)


async def test_one_invalid_item_stores_nothing(client: httpx.AsyncClient) -> None:
    """If an item is invalid, the whole batch is refused. The error names the item's index and
    field.
    """
    batch_items = items(5)
    batch_items[3]["importance"] = 11
    batch_items[4]["nonsense"] = 1
    members = problem(await client.post(BATCH, json={"namespace": "n", "items": batch_items}), 422)
    assert [(item["path"], item["got"]) for item in members["errors"]] == [
        ("items[3].importance", 11),
        ("items[4].nonsense", 1),
    ]
    assert await count(client) == 0


async def test_created_at_in_the_future_stores_nothing(client: httpx.AsyncClient) -> None:
    """An item with a future created_at is refused with its index, and no item is stored."""
    batch_items = items(3)
    batch_items[2]["created_at"] = "2999-01-01T00:00:00Z"
    members = problem(await client.post(BATCH, json={"namespace": "n", "items": batch_items}), 422)
    assert members["errors"][0]["path"] == "items[2].created_at"
    assert await count(client) == 0


async def test_batch_items_cannot_name_a_namespace(client: httpx.AsyncClient) -> None:
    """An item with a field `namespace` is refused, because the namespace is a field of the whole
    batch.
    """
    batch_items = [items(1)[0] | {"namespace": "m"}]
    members = problem(await client.post(BATCH, json={"namespace": "n", "items": batch_items}), 422)
    assert members["errors"][0]["path"] == "items[0].namespace"


async def test_more_than_a_thousand_items_are_refused(client: httpx.AsyncClient) -> None:
    """A batch of 1,001 items is refused, as JSON and as newline-delimited JSON."""
    problem(await client.post(BATCH, json={"namespace": "n", "items": items(1_001)}), 422)
    problem(
        await client.post(f"{BATCH}?namespace=n", content=lines(items(1_001)), headers=NDJSON), 422
    )
    assert await count(client) == 0


async def test_ndjson_lines_are_items(client: httpx.AsyncClient) -> None:
    """Each line of newline-delimited JSON is an item; blank lines and a byte order mark are
    ignored.
    """
    body = codecs.BOM_UTF8 + b"\n" + lines(items(3)).replace(b"\n", b"\r\n\n") + b"\n"
    answer = (await client.post(f"{BATCH}?namespace=n", content=body, headers=NDJSON)).json()
    assert answer["counts"]["stored"] == len(answer["results"]) == 3


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        (b'{"type": "semantic", "content": "a"}\n{"type": "semantic", "cont', 400, "items[1]"),
        (b'{"type": "semantic", "content": "a"}\n[]', 422, "items[1]"),
        (b'{"type": "semantic", "content": "a"}\n\n{"type": "semantic"}', 422, "items[1].content"),
        (
            b'{"type": "semantic", "content": "a", "importance": 99999999999999999999}',
            422,
            "items[0]",
        ),
        (b'{"type": "fact", "content": "a"}', 422, "items[0].type"),
        (b"\xff", 400, "items[0]"),
    ],
)
async def test_invalid_ndjson_line_is_named(
    client: httpx.AsyncClient, body: bytes, status: int, path: str
) -> None:
    """If a line of newline-delimited JSON is invalid, the error names its index, and nothing is
    stored.
    """
    members = problem(
        await client.post(f"{BATCH}?namespace=n", content=body, headers=NDJSON), status
    )
    assert members["errors"][0]["path"] == path
    assert await count(client) == 0


async def test_namespace_in_the_wrong_place_of_a_batch_is_422(client: httpx.AsyncClient) -> None:
    """A JSON batch names the namespace in its body, newline-delimited JSON in the query. Anything
    else is a 422.
    """
    problem(await client.post(BATCH, content=lines(items(1)), headers=NDJSON), 422)
    problem(await client.post(f"{BATCH}?namespace=n", json={"namespace": "n", "items": []}), 422)


async def test_batch_limit_is_32_mib(client: httpx.AsyncClient) -> None:
    """A batch body above 2 MiB is accepted; one above 32 MiB is a 413."""
    big = [{"type": "semantic", "content": f"{item} " + "x" * 400_000} for item in range(6)]
    answer = await client.post(BATCH, json={"namespace": "n", "items": big})
    assert answer.json()["counts"]["stored"] == 6
    problem(
        await client.post(
            BATCH,
            content=b" " * (32 * 1024 * 1024 + 1),
            headers={"content-type": "application/json"},
        ),
        413,
    )


async def test_repeated_idempotency_key_returns_the_same_answer(client: httpx.AsyncClient) -> None:
    """A batch sent again with its Idempotency-Key gets the first answer byte for byte, and stores
    nothing.
    """
    request: dict[str, Any] = {
        "json": {"namespace": "n", "items": items(2)},
        "headers": {"Idempotency-Key": "k-1"},
    }
    first = await client.post(BATCH, **request)
    second = await client.post(BATCH, **request)
    assert first.content == second.content
    assert first.json()["counts"]["stored"] == 2


async def test_idempotency_key_with_another_body_is_409(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k-1"}
    await client.post(BATCH, json={"namespace": "n", "items": items(2)}, headers=headers)
    problem(
        await client.post(BATCH, json={"namespace": "n", "items": items(3)}, headers=headers), 409
    )
    problem(
        await client.post(BATCH, json={"namespace": "m", "items": items(2)}, headers=headers), 409
    )
    assert await count(client) == 2


async def test_idempotency_keys_are_separate_by_tenant(guarded: Services) -> None:
    """Two tenants may use the same idempotency key independently."""
    async with connect(guarded) as client:
        for tenant in ("acme", "other"):
            headers = bearer(tenant, Role.ADMIN) | {"Idempotency-Key": "k-1"}
            answer = await client.post(
                BATCH, json={"namespace": tenant, "items": items(1)}, headers=headers
            )
            assert answer.json()["counts"]["stored"] == 1


@pytest.mark.parametrize("key", ["", "k" * 257])
async def test_invalid_idempotency_key_is_422(client: httpx.AsyncClient, key: str) -> None:
    """An Idempotency-Key that is empty or has more than 256 characters is refused."""
    body = {"namespace": "n", "items": items(1)}
    members = problem(await client.post(BATCH, json=body, headers={"Idempotency-Key": key}), 422)
    assert members["errors"][0]["path"] == "Idempotency-Key"

"""Of two memories that are told alike, the better one stands first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio

SPACE = {"namespace": "ann"}


@pytest.fixture
async def client(onnx_directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of services with the real encoders: what is told alike is near to the query
    alike.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    store = InMemoryStore(embedder.dimensions)
    services = fake_services(lambda: NOW, store, encoders=(embedder, Bm25Encoder()))
    async with connect(services) as connected:
        yield connected
    await embedder.aclose()


async def _write(client: httpx.AsyncClient, content: str, kind: str, **fields: Any) -> str:
    body = {**SPACE, "content": content, "type": kind, **fields}
    response = await client.post("/v1/memories", json=body)
    assert response.status_code == 201, response.text
    memory_id: str = response.json()["id"]
    return memory_id


async def _shown(client: httpx.AsyncClient, query: str, **options: Any) -> list[str]:
    body = {**SPACE, "query": query, "floor": 0, **options}
    items = (await client.post("/v1/retrieve", json=body)).json()["items"]
    return [item["id"] for item in items]


async def _found(client: httpx.AsyncClient, query: str, **options: Any) -> list[str]:
    body = {**SPACE, "query": query, **options}
    hits = (await client.post("/v1/search", json=body)).json()["hits"]
    return [hit["id"] for hit in hits]


async def _used(client: httpx.AsyncClient, memory_id: str, outcome: str, times: int) -> None:
    for _ in range(times):
        url = f"/v1/memories/{memory_id}/feedback"
        answer = await client.post(url, params=SPACE, json={"outcome": outcome})
        assert answer.status_code == 200


STUCK = "To free the stuck ingest queue, restart the {} worker and drain the backlog."
HOW = "how do I free the stuck ingest queue?"


@pytest.mark.parametrize("better", [0, 1])
@pytest.mark.parametrize("outcomes", [("success", "failure"), ("success", None), (None, "failure")])
async def test_of_two_procedures_told_alike_the_one_that_succeeded_stands_first(
    client: httpx.AsyncClient, outcomes: tuple[str | None, str | None], better: int
) -> None:
    """What was never tried stands between what succeeded and what failed."""
    ids = [await _write(client, STUCK.format(name), "procedural") for name in ("red", "blue")]
    first = ids[better]
    second = ids[1 - better]
    for memory_id, outcome in zip((first, second), outcomes, strict=True):
        if outcome is not None:
            await _used(client, memory_id, outcome, 6)
    assert await _found(client, HOW) == [first, second]
    assert await _shown(client, HOW) == [first, second]


async def test_a_procedure_that_the_query_names_stands_first_though_it_failed(
    client: httpx.AsyncClient,
) -> None:
    red = await _write(client, STUCK.format("red"), "procedural")
    blue = await _write(client, STUCK.format("blue"), "procedural")
    await _used(client, red, "success", 6)
    await _used(client, blue, "failure", 6)
    query = f"{HOW} with the blue worker"
    assert (await _found(client, query))[0] == blue


@pytest.mark.parametrize("better", [0, 1])
@pytest.mark.parametrize(
    "query", ["which colour has the key of the archive?", "the archive and its key"]
)
async def test_of_two_facts_told_alike_the_surer_one_stands_first(
    client: httpx.AsyncClient, query: str, better: int
) -> None:
    """Also where they contradict each other, and whichever was told first."""
    ids = [
        await _write(
            client,
            f"The key of the archive on the second floor is {colour}.",
            "semantic",
            confidence=0.9 if place == better else 0.4,
            created_at=f"2026-02-0{place + 1}T10:00:00Z",
            agent_id=colour,
        )
        for place, colour in enumerate(("red", "blue"))
    ]
    expected = [ids[better], ids[1 - better]]
    assert await _found(client, query) == expected
    assert await _shown(client, query) == expected


@pytest.mark.parametrize("better", [0, 1])
@pytest.mark.parametrize("query", ["what is left to do?", "sweep the yard"])
async def test_of_two_tasks_told_alike_the_one_of_higher_priority_stands_first(
    client: httpx.AsyncClient, query: str, better: int
) -> None:
    ids = [
        await _write(
            client,
            f"Sweep the yard behind the {house} house.",
            "prospective",
            priority=5 if place == better else 2,
            created_at=f"2026-02-0{place + 1}T10:00:00Z",
        )
        for place, house in enumerate(("red", "blue"))
    ]
    expected = [ids[better], ids[1 - better]]
    assert await _found(client, query) == expected
    assert await _shown(client, query) == expected


async def test_a_fact_that_is_much_less_sure_replaces_nothing(client: httpx.AsyncClient) -> None:
    """It contests the surer one, which still stands first. One as sure replaces it."""
    limit = "The limit is {} requests per minute."
    sure = await _write(client, limit.format(10), "semantic", created_at="2026-02-01T10:00:00Z")
    rumour = await _write(
        client,
        limit.format(20),
        "semantic",
        confidence=0.4,
        created_at="2026-02-02T10:00:00Z",
    )
    query = "what is the limit of requests per minute?"
    assert await _found(client, query) == [sure, rumour]
    news = await _write(client, limit.format(30), "semantic", created_at="2026-02-03T10:00:00Z")
    assert sure not in await _found(client, query)
    assert (await _found(client, query))[0] == news

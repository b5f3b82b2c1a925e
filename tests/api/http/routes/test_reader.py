"""Requests that have the best hits read together with the query."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from memtypes.ports.reader import Question, ReadStatement
from tests.api.conftest import NOW, connect, problem, write_fact
from tests.api.fake_services import fake_services
from tests.api.http.inspector.conftest import text_of
from tests.fakes_reader import FakeReader

pytestmark = pytest.mark.anyio

QUERY = "where is the spare key"
NEAR = "The spare key: where is the spare key, where?"
ANSWER = "It hangs behind the door; the spare key, that is."

OTHERS = ("lamp", "rope", "saw", "bucket", "chair", "tyre", "pump", "bell", "helmet", "basket")


def knows(_: Question, memory: ReadStatement) -> float:
    return 0.95 if "behind the door" in memory.text else 0.05


@pytest.fixture
async def reading() -> AsyncIterator[httpx.AsyncClient]:
    """A client of services whose reader knows where the key is."""
    async with connect(fake_services(lambda: NOW, reader=FakeReader(answers=knows))) as client:
        others = [f"A spare {thing} is in the shed." for thing in OTHERS]
        for content in (NEAR, ANSWER, *others):
            await write_fact(client, content=content, type="semantic")
        yield client


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    response = await client.post(path, json={"namespace": "n", **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def first(answer: dict[str, Any]) -> str:
    return str(min(answer["items"], key=lambda item: item["rank"])["content"])


async def test_contexts_searches_and_prompts_are_read_where_they_ask_for_it(
    reading: httpx.AsyncClient,
) -> None:
    for reader, best in (("off", NEAR), ("always", ANSWER)):
        context = await post(reading, "/v1/retrieve", query=QUERY, reader=reader, floor=0.0)
        assert first(context) == best
        search = await post(reading, "/v1/search", query=QUERY, reader=reader)
        assert search["hits"][0]["memory"]["content"] == best
        prompt = await post(
            reading,
            "/v1/hooks/prompt-submit",
            session_id="s",
            prompt=QUERY,
            reader=reader,
            reader_ms=500,
            floor=0.0,
        )
        assert first(prompt) == best


async def test_a_receipt_is_shown_with_the_model_that_read(reading: httpx.AsyncClient) -> None:
    context = await post(reading, "/v1/retrieve", query=QUERY, reader="always", floor=0.0)
    shown = await reading.get(
        "/inspect/receipt", params={"namespace": "n", "id": context["receipt_id"]}
    )
    assert "Read by fake-reader" in text_of(shown.text)
    verdict = await reading.post(f"/v1/receipts/{context['receipt_id']}/verify")
    assert verdict.json()["valid"]


@pytest.mark.parametrize("fields", [{"reader": "maybe"}, {"reader_ms": 0}, {"reader_ms": 10_001}])
async def test_other_values_are_refused(reading: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    body = {"namespace": "n", "query": QUERY, **fields}
    refused = problem(await reading.post("/v1/retrieve", json=body), 422)
    assert next(iter(fields)) in str(refused)

"""Token budgets of contexts: the best memories may take more than the budget share of their memory
type.
"""

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

RUNBOOK = "To restore the ledger database " + " ".join(
    f"run step {number}, wait and check it;" for number in range(12)
)


async def write(client: httpx.AsyncClient, kind: str, content: str) -> None:
    """Store a memory."""
    body = {"namespace": "ann", "type": kind, "content": content}
    assert (await client.post("/v1/memories", json=body)).status_code == 201


async def retrieve(client: httpx.AsyncClient, query: str, budget: Any) -> dict[str, Any]:
    """Build a context and return the answer, after checking that its receipt is valid and replays
    identically.
    """
    response = await client.post(
        "/v1/retrieve", json={"namespace": "ann", "query": query, "budget": budget, "floor": 0}
    )
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    receipt = f"/v1/receipts/{answer['receipt_id']}"
    assert (await client.post(f"{receipt}/verify")).json()["valid"]
    assert (await client.post(f"{receipt}/replay")).json()["identical"]
    return answer


async def ledger(client: httpx.AsyncClient) -> None:
    """Store facts and events about the ledger, and a long procedure that matches the question
    best.
    """
    for number in range(8):
        await write(
            client, "semantic", f"The ledger database has {number} replicas in region {number}."
        )
        await write(client, "episodic", f"We looked at the ledger database in week {number}.")
    await write(client, "procedural", RUNBOOK)


async def test_the_best_memory_is_shown_even_if_it_exceeds_the_share_of_its_type(
    client: httpx.AsyncClient,
) -> None:
    """The best match is shown if it fits the whole budget, even if it exceeds the part reserved for
    its memory type.
    """
    await ledger(client)
    answer = await retrieve(client, RUNBOOK[:60], 200)
    best = min(answer["items"], key=lambda item: item["rank"])
    assert (best["content"], best["rank"]) == (RUNBOOK, 1)
    assert best["tokens"] > 50
    assert answer["metadata"]["total_tokens"] <= 200


async def test_a_cap_of_the_caller_holds_for_the_best_memory(client: httpx.AsyncClient) -> None:
    """If a request limits the tokens of a memory type, even the best match is left out if it
    exceeds that limit.
    """
    await ledger(client)
    answer = await retrieve(client, RUNBOOK[:60], {"total": 200, "per_type": {"procedural": 50}})
    assert "procedural" not in {item["type"] for item in answer["items"]}
    assert answer["metadata"]["per_type"]


async def test_the_budget_that_is_left_goes_to_the_best_memories_of_any_type(
    client: httpx.AsyncClient,
) -> None:
    """If tasks match the query best, they get the budget that facts leave, beyond the eighth
    reserved for tasks.
    """
    for number in range(12):
        await write(client, "prospective", f"Order the blue paint number {number} for the fence")
    for number in range(12):
        await write(
            client,
            "semantic",
            f"Region {number} has a sales office with a manager and an assistant.",
        )
    answer = await retrieve(client, "order the blue paint for the fence", 190)
    kinds = [item["type"] for item in answer["items"]]
    assert kinds.count("prospective") > kinds.count("semantic")


@pytest.mark.parametrize("budget", [0, 1, 7, 30, 31, 64, 111, 250, 999])
async def test_no_context_exceeds_its_budget(client: httpx.AsyncClient, budget: int) -> None:
    """The tokens of a context, headings included, never exceed the budget, even one of 0."""
    await ledger(client)
    answer = await retrieve(client, "ledger database", budget)
    assert (
        sum(answer["metadata"]["per_type"].values()) <= answer["metadata"]["total_tokens"] <= budget
    )


SERVICES = ("billing", "search", "login", "payroll", "shipping", "mailer", "archive", "gateway")
CITIES = ("Oslo", "Lyon", "Porto", "Graz", "Turku", "Ghent", "Cork", "Basel")
CRANES = [f"Harbour crane number {number} was painted on pier {number}." for number in range(12)]
SHARES = {"episodic": 0.25, "semantic": 0.375, "prospective": 0.125, "procedural": 0.25}


@pytest.fixture(scope="module")
async def equal(onnx_directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with the default encoder, and with 64 memories of each type that
    differ only in one word, and 12 events about another subject.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    services = fake_services(lambda: NOW, InMemoryStore(384), encoders=(embedder, Bm25Encoder()))
    async with connect(services) as client:
        items = [
            {"type": kind, "content": f"Release of the {service} service in {city}: {kind} note"}
            for service in SERVICES
            for city in CITIES
            for kind in SHARES
        ]
        items += [{"type": "episodic", "content": content} for content in CRANES]
        body = {"namespace": "ann", "items": items}
        written = (await client.post("/v1/memories/batch", json=body)).json()
        assert written["counts"]["stored"] == len(items)
        yield client
    await embedder.aclose()


NEUTRAL = "release of the services in the cities"
HOW_TO = "How do I release a service in the cities?"
ABOUT_TASKS = "What do I still have to do about the release of the services?"


@pytest.mark.parametrize("budget", [1500, 1800])
async def test_equally_relevant_memories_share_the_budget_by_type(
    equal: httpx.AsyncClient, budget: int
) -> None:
    metadata = (await retrieve(equal, NEUTRAL, budget))["metadata"]
    whole = sum(metadata["per_type"].values())
    for kind, share in SHARES.items():
        assert metadata["per_type"][kind] / whole == pytest.approx(share, abs=0.03)
        assert metadata["shares"][kind] == pytest.approx(share * budget, abs=20)
    assert metadata["shifts"] == {}
    assert all(abs(tokens) < 0.03 * budget for tokens in metadata["handed_on"].values())


@pytest.mark.parametrize(
    ("query", "source", "target"),
    [(HOW_TO, "episodic", "procedural"), (ABOUT_TASKS, "semantic", "prospective")],
)
async def test_a_question_moves_tokens_to_the_type_that_it_asks_for(
    equal: httpx.AsyncClient, query: str, source: str, target: str
) -> None:
    neutral = (await retrieve(equal, NEUTRAL, 1500))["metadata"]
    asked = (await retrieve(equal, query, 1500))["metadata"]
    moved = 1500 * 500 // 8000
    assert asked["shifts"] == {source: -moved, target: moved}
    assert asked["per_type"][target] >= neutral["per_type"][target] + moved - 25


async def test_where_relevance_differs_better_memories_take_the_budget(
    equal: httpx.AsyncClient,
) -> None:
    answer = await retrieve(equal, "When were the harbour cranes painted?", 260)
    assert {item["content"] for item in answer["items"]} >= {*CRANES}
    assert answer["metadata"]["per_type"]["episodic"] > 0.7 * 260
    assert answer["metadata"]["handed_on"]["episodic"] > 100
    assert answer["metadata"]["handed_on"]["semantic"] < -50

"""Token budgets of contexts: the best memories may take more than the budget share of their memory
type.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

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

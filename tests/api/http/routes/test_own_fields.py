"""Links, and fields of single memory types such as a procedure's conditions: effect on search, rank
and context.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio


async def store(client: httpx.AsyncClient, **fields: Any) -> str:
    """Store a memory and return its id."""
    answer = await client.post("/v1/memories", json={"namespace": "n", **fields})
    assert answer.status_code == 201, answer.text
    memory_id: str = answer.json()["id"]
    return memory_id


async def importance_of(client: httpx.AsyncClient, memory_id: str) -> float:
    """The ranking signal `importance` of a memory in the answer to a search."""
    answer = await client.post(
        "/v1/search", json={"namespace": "n", "query": "release", "explain": True}
    )
    (signal,) = [
        hit["signals"]["importance"] for hit in answer.json()["hits"] if hit["id"] == memory_id
    ]
    return float(signal)


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        (
            {
                "type": "procedural",
                "content": "Release the app.",
                "prerequisites": ["a signed certificate"],
                "success_conditions": ["the store lists the build"],
                "failure_patterns": ["an expired profile"],
            },
            "certificate store profile",
        ),
        (
            {
                "type": "episodic",
                "content": "Release went out.",
                "context": "during the Lisbon offsite",
            },
            "Lisbon offsite",
        ),
    ],
)
async def test_conditions_of_procedures_and_contexts_of_events_are_searched_and_shown(
    client: httpx.AsyncClient, fields: dict[str, Any], query: str
) -> None:
    """A query can match the conditions of a procedure or the field `context` of an event. Both
    fields are shown.
    """
    memory_id = await store(client, **fields)
    await store(client, type=fields["type"], content="Water the plants.")
    answer = (
        await client.post("/v1/retrieve", json={"namespace": "n", "query": query, "budget": 500})
    ).json()
    assert answer["items"][0]["id"] == memory_id
    texts = [
        text
        for value in fields.values()
        for text in (value if isinstance(value, list) else [value])
    ]
    assert all(text in answer["context"] for text in texts if text != fields["type"])


async def test_related_concepts_are_searched(client: httpx.AsyncClient) -> None:
    """A search finds a fact by a concept that the fact names in its field `related`."""
    memory_id = await store(
        client, type="semantic", content="Deploys run nightly.", related=["continuous delivery"]
    )
    await store(client, type="semantic", content="The cat is grey.")
    hits = (
        await client.post("/v1/search", json={"namespace": "n", "query": "continuous delivery"})
    ).json()["hits"]
    assert hits[0]["id"] == memory_id


@pytest.mark.parametrize(
    ("kind", "less", "more"),
    [
        ("semantic", {"confidence": 0.4}, {"confidence": 0.9}),
        (
            "procedural",
            {"success_rate": 0.4, "usage_count": 5},
            {"success_rate": 0.9, "usage_count": 5},
        ),
        ("episodic", {}, {"emotional_valence": -2}),
    ],
)
async def test_reliable_or_emotional_memories_rank_higher(
    client: httpx.AsyncClient, kind: str, less: dict[str, Any], more: dict[str, Any]
) -> None:
    """A fact's confidence, a procedure's success rate and an event's emotion raise its importance
    signal.
    """
    low = await store(client, type=kind, content="The release is on Monday.", **less)
    high = await store(client, type=kind, content="The release is by train.", **more)
    assert await importance_of(client, low) < await importance_of(client, high)


async def test_failures_of_a_procedure_lower_its_rank(client: httpx.AsyncClient) -> None:
    """Feedback that a procedure failed lowers its ranking signal `importance`."""
    memory_id = await store(client, type="procedural", content="Release with the old script.")
    before = await importance_of(client, memory_id)
    await client.post(f"/v1/memories/{memory_id}/feedback?namespace=n", json={"outcome": "failure"})
    assert await importance_of(client, memory_id) < before


async def test_ids_in_links_and_filters_may_be_in_upper_case(client: httpx.AsyncClient) -> None:
    memory_id = await store(client, type="semantic", content="Tea is green.")
    links = [{"to": memory_id.upper(), "type": "extends"}]
    linked = await store(client, type="semantic", content="Rooibos is red.", links=links)
    memory = (await client.get(f"/v1/memories/{linked}?namespace=n")).json()
    assert [link["to"] for link in memory["links"]] == [memory_id]
    for filters, expected in (
        ({"id": {"any": [memory_id.upper()]}}, memory_id),
        ({"links.to": {"eq": memory_id.upper()}}, linked),
    ):
        body = {"namespace": "n", "query": "tea", "filters": filters}
        hits = (await client.post("/v1/search", json=body)).json()["hits"]
        assert [hit["id"] for hit in hits] == [expected]


async def test_a_linked_memory_ranks_right_after_the_hit_that_links_to_it(
    client: httpx.AsyncClient,
) -> None:
    linked = await store(client, type="procedural", content="Call the tax office first.")
    for number in range(5):
        await store(
            client, type="semantic", content=f"Invoices are sent on day {number} of each month."
        )
    links = [{"type": "extends", "to": linked}]
    hit = await store(
        client, type="semantic", content="Foreign invoices need a tax number.", links=links
    )
    query = {"namespace": "n", "query": "foreign invoices tax number"}
    hits = (await client.post("/v1/search", json=query)).json()["hits"]
    assert [memory["id"] for memory in hits[:2]] == [hit, linked]
    items = (await client.post("/v1/retrieve", json=query | {"budget": 100})).json()["items"]
    assert linked in [item["id"] for item in items]

"""The hooks for agents: session-stop stores a conversation, prompt-submit returns a context."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.api.conftest import NOW

pytestmark = pytest.mark.anyio

TALK = [
    {
        "role": "user",
        "content": "We moved the billing service to Postgres last week.",
        "timestamp": "2026-03-01T10:00:00Z",
    },
    {
        "role": "assistant",
        "content": "Noted: the billing service runs on Postgres now.",
        "timestamp": "2026-03-01T10:01:00Z",
    },
    {
        "role": "user",
        "content": "Great. Remind me to rotate the keys tomorrow at 3pm. Thanks!",
        "timestamp": "2026-03-01T10:02:00Z",
    },
]


async def _stop(client: httpx.AsyncClient, messages: list[dict[str, Any]], session_id: str = "s1") -> dict[str, Any]:
    body = {"namespace": "ann", "session_id": session_id, "messages": messages}
    sent = await client.post("/v1/hooks/session-stop", json=body)
    assert sent.status_code == 200, sent.text
    answer: dict[str, Any] = sent.json()
    return answer


async def _listed(client: httpx.AsyncClient, kind: str) -> list[dict[str, Any]]:
    got = await client.get("/v1/memories", params={"namespace": "ann", "type": kind})
    memories: list[dict[str, Any]] = got.json()["memories"]
    return memories


async def test_session_stop_stores_events_and_intentions(client: httpx.AsyncClient) -> None:
    """Each message becomes an event of its speaker; intentions in it become separate memories."""
    answer = await _stop(client, TALK)
    assert [item["index"] for item in answer["results"]] == [0, 1, 2, 2]
    assert answer["counts"]["stored"] == 4
    events = sorted(await _listed(client, "episodic"), key=lambda item: item["seq"])
    assert [(item["speaker"], item["session_id"]) for item in events] == [
        ("user", "s1"),
        ("assistant", "s1"),
        ("user", "s1"),
    ]
    assert [item["event_type"] for item in events] == ["user_query", "agent_response", "user_query"]
    assert events[0]["created_at"] == "2026-03-01T10:00:00Z"
    (later,) = await _listed(client, "prospective")
    assert later["content"] == "Remind me to rotate the keys tomorrow at 3pm."
    assert later["due_at"] == "2026-03-02T15:00:00Z"


async def test_repeated_session_stop_adds_nothing(client: httpx.AsyncClient) -> None:
    """A conversation sent again stores no message twice; new messages are added."""
    await _stop(client, TALK[:2])
    again = await _stop(client, TALK)
    assert again["counts"] == {"stored": 2, "merged": 2, "rejected": 0, "failed": 0}
    assert all(item["evidence_count"] == 1 for item in await _listed(client, "episodic"))
    assert (await _stop(client, TALK))["counts"]["merged"] == 4


async def test_prompt_submit_fires_due_intentions_in_the_context(client: httpx.AsyncClient) -> None:
    """Due intentions are in the context and marked as fired; later ones are not."""
    for content, due in (("pay the rent", NOW), ("pay the tax", NOW + timedelta(days=9))):
        body = {"type": "prospective", "namespace": "ann", "content": content, "due_at": due.isoformat()}
        assert (await client.post("/v1/memories", json=body)).status_code == 201
    prompt = {"namespace": "ann", "session_id": "s1", "prompt": "what shall I pay?"}
    sent = await client.post("/v1/hooks/prompt-submit", json=prompt)
    assert sent.status_code == 200, sent.text
    assert "pay the rent" in sent.json()["context"]
    states = {item["content"]: item["status"] for item in await _listed(client, "prospective")}
    assert states == {"pay the rent": "active", "pay the tax": "pending"}


async def test_intentions_outside_the_budget_do_not_fire(client: httpx.AsyncClient) -> None:
    """A due intention that does not fit the retrieval's token budget is not marked as fired."""
    body = {"type": "prospective", "namespace": "ann", "content": "pay the rent", "due_at": NOW.isoformat()}
    assert (await client.post("/v1/memories", json=body)).status_code == 201
    prompt = {"namespace": "ann", "session_id": "s1", "prompt": "what shall I pay?", "budget": 0}
    sent = await client.post("/v1/hooks/prompt-submit", json=prompt)
    assert sent.json()["metadata"]["outcome"] == "nothing_fits"
    assert [item["status"] for item in await _listed(client, "prospective")] == ["pending"]


@pytest.mark.parametrize(
    "broken", [{"messages": [{"role": "user", "content": " "}]}, {"messages": [{"content": "x"}]}, {}]
)
async def test_invalid_conversation_is_422(client: httpx.AsyncClient, broken: dict[str, Any]) -> None:
    """A conversation with a blank text or a message without a role is refused, and nothing is stored."""
    body = {"namespace": "ann", "session_id": "s1", **broken}
    assert (await client.post("/v1/hooks/session-stop", json=body)).status_code == 422
    assert await _listed(client, "episodic") == []


async def test_recalled_context_is_not_stored_again(client: httpx.AsyncClient) -> None:
    """A message that is or contains a retrieved context does not store it; the result says so."""
    await _stop(client, TALK[:2])
    response = await client.post("/v1/retrieve", json={"namespace": "ann", "query": "billing service Postgres"})
    context = response.json()["context"]
    assert "Postgres" in context
    answer = await _stop(
        client,
        [
            {"role": "tool", "content": context, "timestamp": "2026-03-01T11:00:00Z"},
            {
                "role": "user",
                "content": f"{context}From all this I take it that the invoices live elsewhere.",
                "timestamp": "2026-03-01T11:01:00Z",
            },
        ],
    )
    assert [(item["index"], item["status"]) for item in answer["results"]] == [(0, "rejected"), (1, "stored")]
    assert answer["results"][0]["reason"] == "it contains only text that was recalled from memory"
    assert answer["results"][1]["reason"] == "text that was recalled from memory was removed"
    assert answer["counts"] == {"stored": 1, "merged": 0, "rejected": 1, "failed": 0}
    texts = [memory["content"] for memory in await _listed(client, "episodic")]
    assert "From all this I take it that the invoices live elsewhere." in texts
    assert context not in texts


async def test_quoted_memory_is_not_stored_again(client: httpx.AsyncClient) -> None:
    """A message that quotes a retrieved memory does not store it, in a later session either."""
    await _stop(client, TALK[:1])
    await client.post("/v1/retrieve", json={"namespace": "ann", "query": "billing service Postgres"})
    (known,) = [memory["content"] for memory in await _listed(client, "episodic")]
    quoting = {"role": "assistant", "content": f"You said: {known}", "timestamp": "2026-03-02T11:00:00Z"}
    answer = await _stop(client, [quoting], session_id="s2")
    assert answer["results"][0]["status"] == "rejected"
    assert (await _stop(client, TALK[:1]))["results"][0]["status"] == "merged"
    assert len(await _listed(client, "episodic")) == 1

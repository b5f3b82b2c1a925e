"""What a context showed is not stored again when somebody hands it back."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ingest.screening.recall_guard import ALL_RECALLED, PART_RECALLED

pytestmark = pytest.mark.anyio

FACTS = (
    "The stock counter lives in Postgres and is guarded by advisory locks.",
    "Marta owns the billing service.",
    "The staging database is read-only on Sundays.",
)
NEWS = "The counter moves to Redis in May."
SPACE = {"namespace": "ann"}


async def _recall(client: httpx.AsyncClient, **options: Any) -> str:
    """Store FACTS, and return the context that shows all of them."""
    for fact in FACTS:
        body = {**SPACE, "type": "semantic", "content": fact, "session_id": "s0"}
        (await client.post("/v1/memories", json=body)).raise_for_status()
    query = {**SPACE, "query": "counter, billing, staging", "floor": 0, **options}
    answer = (await client.post("/v1/retrieve", json=query)).json()
    context: str = answer["context"]
    assert all(fact in context for fact in FACTS)
    return context


async def _stored(client: httpx.AsyncClient) -> set[str]:
    listed = (await client.get("/v1/memories", params=SPACE)).json()
    return {memory["content"] for memory in listed["memories"]}


def _as_list(context: str) -> str:
    """The entries of a context with numbers instead of bullets."""
    lines = [line.removeprefix("- ") for line in context.splitlines() if line.startswith("- ")]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))


@pytest.mark.parametrize("options", [{"type": "semantic"}, {}, {"review": "auto"}])
@pytest.mark.parametrize(
    "form", ["markdown", "json", "indented json", "one line", "without tags", "a list"]
)
async def test_a_context_that_is_written_again_is_rejected(
    client: httpx.AsyncClient, form: str, options: dict[str, str]
) -> None:
    context = await _recall(client, format="json" if "json" in form else "markdown")
    if form == "indented json":
        context = json.dumps(json.loads(context), indent=2)
    if form == "one line":
        context = " ".join(context.splitlines())
    if form == "without tags":
        context = context.replace("<memories>", "").replace("</memories>", "")
    if form == "a list":
        context = _as_list(context)
    body = {**SPACE, "content": context, "session_id": "s1", **options}
    answer = (await client.post("/v1/memories", json=body)).json()
    assert (answer["status"], answer["reason"]) == ("rejected", ALL_RECALLED)
    assert await _stored(client) == set(FACTS)


async def test_what_is_said_beside_a_context_is_stored(client: httpx.AsyncClient) -> None:
    context = await _recall(client)
    items = [
        {"type": "semantic", "content": f"{context}{NEWS}"},
        {"type": "semantic", "content": context},
    ]
    answer = await client.post("/v1/memories/batch", json={**SPACE, "items": items})
    stored, rejected = answer.json()["results"]
    assert (stored["status"], stored["reason"]) == ("stored", PART_RECALLED)
    assert (rejected["status"], rejected["reason"]) == ("rejected", ALL_RECALLED)
    assert await _stored(client) == {*FACTS, NEWS}


@pytest.mark.parametrize("session", ["s0", "s1"])
async def test_a_hook_does_not_store_a_context(client: httpx.AsyncClient, session: str) -> None:
    context = await _recall(client)
    messages = [{"role": "assistant", "content": context}]
    body = {**SPACE, "session_id": session, "messages": messages}
    answer = (await client.post("/v1/hooks/session-stop", json=body)).json()
    assert answer["results"][0]["reason"] == ALL_RECALLED
    assert await _stored(client) == set(FACTS)


async def test_a_recalled_text_without_a_type_is_merged(client: httpx.AsyncClient) -> None:
    """Whatever type its words would give it: the memory that it repeats is known."""
    event = "We have to think about a better lock for the counter."
    body = {**SPACE, "type": "episodic", "content": event}
    (await client.post("/v1/memories", json=body)).raise_for_status()
    query = {**SPACE, "query": "a better lock", "floor": 0}
    assert event in (await client.post("/v1/retrieve", json=query)).json()["context"]
    answer = (await client.post("/v1/memories", json={**SPACE, "content": event})).json()
    assert answer["status"] == "merged"
    assert await _stored(client) == {event}


async def test_a_list_of_other_texts_is_stored(client: httpx.AsyncClient) -> None:
    """A list of which one entry is new, and one of memories that nobody was shown."""
    await _recall(client)
    new = f"- {FACTS[0]}\n- {NEWS}"
    hidden = ("Tea is at four.", "The office is in Kiel.")
    for content in (*hidden, new, "\n".join(f"- {text}" for text in hidden)):
        body = {**SPACE, "type": "semantic", "content": content}
        answer = (await client.post("/v1/memories", json=body)).json()
        assert answer["status"] == "stored"

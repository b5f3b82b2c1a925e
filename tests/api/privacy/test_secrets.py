"""Secrets in ids are refused, and secrets without a known format (such as passwords) are redacted,
over HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services

pytestmark = pytest.mark.anyio

SECRET = "ghp" + "_Zq7Xk2Lm9Pw4Rt6Yb1Nc8Vd3Hf5Jg0Ks"
REASON = "contains a secret (github_token), and ids are stored unchanged: use an id without it"
NS = {"namespace": "n"}
FACT = {"type": "semantic", "content": "Alice likes tea", **NS}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of a service over in-memory stores, without keys."""
    async with connect(fake_services(lambda: NOW)) as client:
        yield client


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_id", SECRET),
        ("agent_id", f"agent {SECRET}"),
        ("source_sessions", ["s", SECRET]),
    ],
)
async def test_a_memory_with_a_secret_in_an_id_is_rejected(
    client: httpx.AsyncClient, field: str, value: Any
) -> None:
    answer = (await client.post("/v1/memories", json={**FACT, field: value})).json()
    assert (answer["status"], answer["reason"]) == ("rejected", f"{field}: {REASON}")
    assert (await client.get("/v1/memories", params=NS)).json()["memories"] == []


async def test_a_link_to_a_secret_is_refused_without_repeating_it(
    client: httpx.AsyncClient,
) -> None:
    """A link whose target is a secret is a link to no memory: the write is a 422 that does not show
    the secret.
    """
    refused = await client.post(
        "/v1/memories", json={**FACT, "links": [{"to": SECRET, "type": "extends"}]}
    )
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "links[0].to")
    assert SECRET.lower() not in refused.text.lower()
    assert (await client.get("/v1/memories", params=NS)).json()["memories"] == []


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/search", {"query": "tea", "session_id": SECRET}, "session_id"),
        ("/v1/search", {"query": "tea", "filters": {"session_id": {"eq": SECRET}}}, "filters"),
        (
            "/v1/search",
            {"query": "tea", "filters": {"not": {"links.to": {"any": [SECRET]}}}},
            "filters",
        ),
        ("/v1/retrieve", {"query": "tea", "agent_id": SECRET}, "agent_id"),
        ("/v1/retrieve", {"query": "tea", "session_id": "s", "todo_id": SECRET}, "todo_id"),
        ("/v1/hooks/prompt-submit", {"prompt": "tea?", "session_id": SECRET}, "session_id"),
        ("/v1/threads", {"key": f"k:{SECRET}"}, "key"),
        ("/v1/threads", {"parent_id": SECRET}, "parent_id"),
        ("/v1/threads", {"agent_id": SECRET}, "agent_id"),
        ("/v1/workflows", {"workflow_id": SECRET}, "workflow_id"),
        ("/v1/workflows", {"parent_id": SECRET}, "parent_id"),
    ],
)
async def test_a_call_with_a_secret_in_an_id_is_refused(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    """A search, a retrieval or a new thread or workflow with a secret in an id field gets a 422.

    The error names the field and does not contain the secret.
    """
    answer = await client.post(path, json={**NS, **body})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["path"] == field
    assert answer.json()["errors"][0]["message"] == REASON
    assert SECRET not in answer.text


async def test_secrets_in_ids_of_turns_and_events_are_refused(client: httpx.AsyncClient) -> None:
    """A turn or workflow event gets a 422 if its agent, step or idempotency key contains a
    secret.
    """
    thread = (await client.post("/v1/threads", json=NS)).json()["id"]
    workflow = (await client.post("/v1/workflows", json=NS)).json()["workflow_id"]
    refused = {
        f"/v1/threads/{thread}/turns": [{"role": "user", "content": "tea", "agent_id": SECRET}],
        f"/v1/workflows/{workflow}/events": [
            {"type": "step_started", "step_id": SECRET},
            {"type": "step_started", "step_id": "a", "agent": SECRET},
        ],
        f"/v1/workflows/{workflow}/continue": [{"input": "go on", "idempotency_key": SECRET}],
    }
    for path, bodies in refused.items():
        for body in bodies:
            answer = await client.post(path, params=NS, json=body)
            assert (answer.status_code, SECRET in answer.text) == (422, False), answer.text


async def test_personal_data_may_be_an_id(client: httpx.AsyncClient) -> None:
    """An e-mail address may be a session id, and is stored unchanged."""
    answer = (
        await client.post("/v1/memories", json={**FACT, "session_id": "ann@example.com"})
    ).json()
    assert answer["memory"]["session_id"] == "ann@example.com"


async def test_related_concepts_are_redacted_in_writes_and_changes(
    client: httpx.AsyncClient,
) -> None:
    """Secrets in a fact's `related` concepts are redacted when the fact is stored and when it is
    edited.
    """
    answer = (await client.post("/v1/memories", json={**FACT, "related": [f"see {SECRET}"]})).json()
    assert answer["memory"]["related"] == ["see [redacted:github_token]"]
    changed = await client.patch(
        f"/v1/memories/{answer['id']}", params=NS, json={"related": [SECRET]}
    )
    assert SECRET not in changed.text
    stored = await client.get(f"/v1/memories/{answer['id']}", params=NS)
    assert SECRET not in stored.text


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        ("spring.datasource.password=" + "bR7#tinHeron", "bR7#tinHeron"),
        (
            "| host | login | password |\n|---|---|---|\n| nas | kai | " + "Eiche-teich4 |",
            "Eiche-teich4",
        ),
        (
            "Das Kennwort für den Drucker lautet " + "Lerche_82see, bitte nicht weitergeben.",
            "Lerche_82see",
        ),
        ("mysql -h db1 -u report -p'" + "Saffron!Bell_9' shop", "Saffron!Bell_9"),
        (
            "the new one is acme" + "_live_" + "q8Zt4Lw1Xc9Vb2Nm7Kj5Hg3Fd6Sa0P",
            "q8Zt4Lw1Xc9Vb2Nm7Kj5Hg3Fd6Sa0P",
        ),
        ("backup codes: " + "8f3k-22mz p0q9-77ax", "p0q9-77ax"),
    ],
)
async def test_secrets_without_a_fixed_format_are_redacted(
    client: httpx.AsyncClient, content: str, secret: str
) -> None:
    """Passwords in settings, tables, sentences or commands, tokens of unknown vendors and backup
    codes are redacted.
    """
    stored = (await client.post("/v1/memories", json={**FACT, "content": content})).json()
    assert secret not in str(stored)
    assert "[redacted:" in stored["memory"]["content"]


@pytest.mark.parametrize(
    "content",
    [
        "image: registry.test/web@sha256:" + "1e8466508b9b4bb2" * 4,
        "The row 4919bf36-d049-43c7-a5ee-5f9e9166ebb3 is a duplicate; see commit "
        + "196eab26a39e9f46" * 2
        + "2b61bf48.",
        "password: ${DB_PASSWORD} in values.yaml, token budget 4096, password_min_length=12",
        "widths 320 375 414 768 1024 1366 1920",
    ],
)
async def test_harmless_look_alikes_are_stored_unchanged(
    client: httpx.AsyncClient, content: str
) -> None:
    """Hashes, UUIDs, references to variables, settings about passwords and rows of numbers are not
    redacted.
    """
    stored = (await client.post("/v1/memories", json={**FACT, "content": content})).json()
    assert stored["memory"]["content"] == content

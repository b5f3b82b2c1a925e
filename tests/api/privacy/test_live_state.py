"""Redaction of working memory and workflows, over HTTP and a real Redis server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.auth.keys import KeyBook, KeyEntry, Role, hashed
from ingest.screening.redaction.redactor import RedactionRules, Redactor, RuleBook, Treatment
from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.conftest import NOW, connect
from tests.api.fake_services import fake_services
from tests.api.working_client import with_live_workflows
from tests.live import everything

pytestmark = pytest.mark.anyio

MAIL = "ann@example.org"
CARD = "4111 1111 1111 1111"
MARK = "[redacted:email]"
BOOK = RuleBook(
    tenants={
        "strict": RedactionRules(policy=Treatment.REFUSE),
        "open": RedactionRules(policy=Treatment.ALLOW),
    },
)
TENANTS = ("usual", "strict", "open")


@pytest.fixture
def space() -> dict[str, str]:
    """Request fields for a session in a new namespace."""
    return {"namespace": f"n {uuid.uuid4()}", "session_id": "s"}


@pytest.fixture
async def client(live: LiveClient) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of a service with three tenants, which redact ("usual"), refuse ("strict") or
    allow secrets.
    """
    services = with_live_workflows(fake_services(lambda: NOW, book=BOOK), live, Redactor(BOOK))
    keys = hashed(
        [KeyEntry(key=f"{item}-key-of-it", tenant=item, role=Role.ADMIN) for item in TENANTS]
    )
    async with connect(replace(services, keys=KeyBook(keys))) as client:
        yield client


async def post(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], tenant: str = "usual", **query: str
) -> httpx.Response:
    """Send a POST with the API key of `tenant` and return the response."""
    return await client.post(
        path, json=body, params=query, headers={"X-API-Key": f"{tenant}-key-of-it"}
    )


async def raw(live: LiveClient, space: dict[str, str], tenant: str = "usual") -> str:
    """All that Redis stores for the tenant's namespace, as text."""
    return str(await everything(live, Scope(tenant, space["namespace"])))


async def test_items_are_stored_without_secrets(
    live: LiveClient, client: httpx.AsyncClient, space: dict[str, str]
) -> None:
    """Secrets in a note of working memory and in a to-do's steps are redacted. Answers have their
    number by kind.
    """
    result = (
        await post(client, "/v1/working", {**space, "content": f"ask {MAIL}, pay {CARD}"})
    ).json()
    assert result["content"].startswith(f"ask {MARK}, pay [redacted:")
    assert result["redactions"] == {"email": 1, "card": 1}
    todo = {**space, "todo_id": "t 7", "content": f"write to {MAIL}"}
    created = (await post(client, "/v1/hooks/todo-created", todo)).json()
    assert created["redactions"] == {"email": 1}
    stored = await raw(live, space)
    assert MARK in stored
    assert MAIL not in stored
    assert CARD not in stored
    steps = [f"step {number} by {MAIL}" for number in range(6)]
    done = {**space, "todo_id": "t 7", "steps": steps}
    completed = (await post(client, "/v1/hooks/todo-completed", done)).json()
    assert (completed["cleared"], completed["redactions"]) == (1, {"email": 6})


async def test_todo_ids_are_not_redacted(client: httpx.AsyncClient, space: dict[str, str]) -> None:
    """A to-do id with an e-mail address is stored unchanged, so the to-do's items can be cleared by
    this id.
    """
    item = {**space, "todo_id": f"mail {MAIL}", "content": "write the mail"}
    assert (await post(client, "/v1/working", item)).json()["todo_id"] == f"mail {MAIL}"
    cleared = await post(client, "/v1/working/clear", {**space, "todo_id": f"mail {MAIL}"})
    assert cleared.json() == {"cleared": 1}


async def test_workflows_are_stored_without_secrets(
    live: LiveClient, client: httpx.AsyncClient, space: dict[str, str]
) -> None:
    """Secrets in a workflow's data, events and inputs are redacted.

    A call that is repeated with its idempotency key gets its first answer, with the same number of
    redactions.
    """
    inside = {"namespace": space["namespace"]}
    begun = (await post(client, "/v1/workflows", {**inside, "data": {"owner": MAIL}})).json()
    assert begun["redactions"] == {"email": 1}
    path = f"/v1/workflows/{begun['workflow_id']}"
    event = {
        "type": "step_completed",
        "step_id": "mail",
        "input": [MAIL],
        "output": {"to": MAIL},
        "error": MAIL,
        "resources": {"list": MAIL},
        "data": {"last": MAIL},
    }
    assert (await post(client, f"{path}/events", event, **inside)).json()["redactions"] == {
        "email": 5
    }
    plain = (
        await post(client, f"{path}/events", {"type": "note", "input": "nothing"}, **inside)
    ).json()
    assert "redactions" not in plain
    onward = {"input": f"now write to {MAIL}", "idempotency_key": "once"}
    first = (await post(client, f"{path}/continue", onward, **inside)).json()
    assert first["redactions"] == {"email": 1}
    assert MARK in first["history"]
    assert (await post(client, f"{path}/continue", onward, **inside)).json() == first
    assert (
        await post(client, f"{path}/events", {"type": "completed", "output": MAIL}, **inside)
    ).status_code == 201
    assert MAIL not in await raw(live, space)


async def test_large_events_are_redacted(
    live: LiveClient, client: httpx.AsyncClient, space: dict[str, str]
) -> None:
    """Secrets in a large workflow event are redacted. A worker thread does this, unlike for small
    events.
    """
    inside = {"namespace": space["namespace"]}
    workflow = (await post(client, "/v1/workflows", inside)).json()
    path = f"/v1/workflows/{workflow['workflow_id']}/events"
    event = {"type": "note", "input": "so it goes on. " * 3_000 + MAIL}
    assert (await post(client, path, event, **inside)).json()["redactions"] == {"email": 1}
    assert MAIL not in await raw(live, space)


@pytest.mark.parametrize("path", ["/v1/working", "/v1/hooks/todo-created", "/v1/workflows"])
async def test_refusing_tenant_stores_nothing(
    live: LiveClient, client: httpx.AsyncClient, space: dict[str, str], path: str
) -> None:
    """If the tenant refuses secrets, a request with a secret gets a 422 with the kind of secret,
    and stores nothing.
    """
    body = {"namespace": space["namespace"], "data": {"owner": MAIL}}
    if path != "/v1/workflows":
        body = {**space, "content": f"ask {MAIL}", "todo_id": "t"}
    refused = await post(client, path, body, tenant="strict")
    assert refused.status_code == 422
    assert "email" in refused.text
    assert MAIL not in refused.text
    assert MAIL not in await raw(live, space, "strict")


async def test_refused_event_changes_nothing(
    client: httpx.AsyncClient, space: dict[str, str]
) -> None:
    """If the tenant refuses secrets, a workflow event with a secret gets a 422 and does not raise
    the version.
    """
    inside = {"namespace": space["namespace"]}
    workflow = (await post(client, "/v1/workflows", inside, "strict")).json()
    path = f"/v1/workflows/{workflow['workflow_id']}"
    for call, body in (("events", {"type": "note", "input": MAIL}), ("continue", {"input": MAIL})):
        refused = await post(client, f"{path}/{call}", body, "strict", **inside)
        assert refused.status_code == 422
        assert MAIL not in refused.text
    event = await post(
        client, f"{path}/events", {"type": "note", "input": "plain"}, "strict", **inside
    )
    assert event.json()["version"] == 1


async def test_allowing_tenant_stores_text_unchanged(
    live: LiveClient, client: httpx.AsyncClient, space: dict[str, str]
) -> None:
    created = await post(client, "/v1/working", {**space, "content": f"ask {MAIL}"}, tenant="open")
    assert created.json()["content"] == f"ask {MAIL}"
    assert "redactions" not in created.json()
    begun = {"namespace": space["namespace"], "data": {"owner": MAIL}}
    assert (await post(client, "/v1/workflows", begun, tenant="open")).status_code == 201
    assert (await raw(live, space, "open")).count(MAIL) >= 2

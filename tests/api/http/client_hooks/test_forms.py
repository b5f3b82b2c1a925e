"""Forms of an event: the namespace in the URL, and names in camel case."""

from __future__ import annotations

import pytest

from tests.api.http.client_hooks.conftest import ClientSession

pytestmark = pytest.mark.anyio

FACT = "We run Postgres 15 in production because the ledger needs logical replication."
NAMESPACE = "\u043f\u0440\u043e\u0435\u043a\u0442/1"


async def test_namespace_in_the_query_is_that_of_the_event(session: ClientSession) -> None:
    """A namespace of any script can be named in the URL, which, unlike a header, keeps all characters."""
    url = "/v1/hooks/claude-code"
    event = {"session_id": "s", "cwd": session.cwd, "prompt_id": "p"}
    sent = {"hook_event_name": "UserPromptSubmit", "prompt": FACT}
    done = {"hook_event_name": "Stop", "last_assistant_message": "Understood."}
    for fields in (sent, done):
        answer = await session.http.post(url, params={"namespace": NAMESPACE}, json=event | fields)
        assert (answer.status_code, answer.json()) == (200, {})
    await session.settled()
    assert await session.memories() == []  # of the project
    other = session.another()
    question = {
        "session_id": other.session_id,
        "hook_event_name": "UserPromptSubmit",
        "prompt": "Which Postgres version?",
    }
    answer = await session.http.post(url, params={"namespace": NAMESPACE}, json=question)
    assert FACT in answer.text


async def test_event_fields_in_camel_case_are_read(session: ClientSession) -> None:
    """VS Code names the event and the session in camel case."""
    event = {"sessionId": "s", "hookEventName": "UserPromptSubmit", "cwd": session.cwd, "prompt": "Is the kiln hot?"}
    assert (await session.http.post("/v1/hooks/vscode", json=event)).status_code == 200

"""Hook events of agent clients that name the namespace in the URL, or that have field names in
camel case.
"""

from __future__ import annotations

import pytest

from tests.api.http.client_hooks.conftest import ClientSession

pytestmark = pytest.mark.anyio

FACT = "We run Postgres 15 in production because the ledger needs logical replication."
NAMESPACE = "\u043f\u0440\u043e\u0435\u043a\u0442/1"


async def test_an_event_is_stored_in_the_namespace_of_its_url(session: ClientSession) -> None:
    url = "/v1/hooks/claude-code"
    event = {"session_id": "s", "cwd": session.cwd, "prompt_id": "p"}
    prompt = {"hook_event_name": "UserPromptSubmit", "prompt": FACT}
    stop = {"hook_event_name": "Stop", "last_assistant_message": "Understood."}
    for fields in (prompt, stop):
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
    """`sessionId` and `hookEventName`, as VS Code sends them, are read as `session_id` and
    `hook_event_name`.
    """
    event = {
        "sessionId": "s",
        "hookEventName": "UserPromptSubmit",
        "cwd": session.cwd,
        "prompt": "Is the kiln hot?",
    }
    assert (await session.http.post("/v1/hooks/vscode", json=event)).status_code == 200

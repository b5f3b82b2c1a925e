"""To-dos of clients: those that Claude Code, Codex and VS Code keep with a tool, and plans in the
text of prompts.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from memtypes.model.scope import Scope
from tests.api.http.client_hooks.conftest import ClientSession, Clock

pytestmark = pytest.mark.anyio


async def call(session: ClientSession, tool: str, given: Any, result: Any = None) -> None:
    """Post the event after a call of a client's tool."""
    fields = {"tool_name": tool, "tool_input": given, "tool_response": result}
    assert await session.post("PostToolUse", **fields, tool_use_id="t", duration_ms=3) == {}


async def shown(session: ClientSession, prompt: str = "Go on.") -> list[str]:
    """The entries of the section "Task at hand" in what the client adds to a prompt."""
    text = await session.prompt(prompt)
    section = re.search("<working_memory>(.*?)</working_memory>", text, re.DOTALL)
    if section is None:
        return []
    return [line[2:] for line in section[1].splitlines() if line.startswith("- ")]


async def ended(session: ClientSession) -> dict[str, str]:
    """Why each ended to-do of the session has ended."""
    query = {"namespace": session.namespace, "session_id": session.session_id}
    got = await session.http.get("/v1/working", params={**query, "include_cleared": "true"})
    return {
        item["content"]: item["cleared_reason"]
        for item in got.json()["items"]
        if item["cleared_at"] is not None
    }


@pytest.fixture
def vscode(session: ClientSession) -> ClientSession:
    """A session of VS Code."""
    session.client = "vscode"
    return session


@pytest.fixture
def codex(session: ClientSession) -> ClientSession:
    """A session of Codex."""
    session.client = "codex"
    return session


async def create(session: ClientSession, number: str, subject: str) -> None:
    """Report that Claude Code has created a task."""
    task = {"id": number, "subject": subject, "description": "All."}
    given = {"subject": subject, "description": "All.", "activeForm": "Doing"}
    await call(session, "TaskCreate", given, {"task": task})


async def update(session: ClientSession, number: str, **changes: str) -> None:
    """Report that Claude Code has changed a task."""
    result = {"success": True, "taskId": number, "updatedFields": [*changes]}
    await call(session, "TaskUpdate", {"taskId": number, **changes}, result)


async def test_tasks_of_claude_code_are_shown_until_they_are_over(session: ClientSession) -> None:
    await create(session, "1", "Read the parser")
    await create(session, "2", "Port the parser")
    await create(session, "3", "Delete the old one")
    await update(session, "2", status="in_progress")
    assert await shown(session) == [
        "[in progress] Port the parser",
        "[pending] Read the parser",
        "[pending] Delete the old one",
    ]
    await update(session, "1", status="completed")
    await update(session, "2", subject="Port the lexer")
    await update(session, "3", status="deleted")
    assert await shown(session) == ["[in progress] Port the lexer"]
    assert await ended(session) == {
        "Read the parser": "completed",
        "Port the parser": "replaced",
        "Delete the old one": "deleted",
    }


async def test_the_task_list_of_claude_code_is_all_of_its_tasks(session: ClientSession) -> None:
    await create(session, "1", "Read the parser")
    tasks = [
        {"id": "2", "subject": "Port it", "status": "in_progress", "blockedBy": []},
        {"id": "3", "subject": "Test it", "status": "completed", "blockedBy": ["2"]},
    ]
    await call(session, "TaskList", {}, {"tasks": tasks})
    assert await shown(session) == ["[in progress] Port it"]
    assert await ended(session) == {"Read the parser": "deleted"}


@pytest.mark.parametrize("result", [None, "Task #4 created successfully: Port it", {"task": 4}])
async def test_a_task_is_shown_whatever_form_the_result_has(
    session: ClientSession, result: object
) -> None:
    await call(session, "TaskCreate", {"subject": "Port it"}, result)
    assert await shown(session) == ["[pending] Port it"]
    if isinstance(result, str):
        await update(session, "4", status="completed")
        assert await shown(session) == []


async def test_the_list_of_todo_write_is_shown_as_it_changes(session: ClientSession) -> None:
    async def write(*todos: tuple[str, str]) -> None:
        listed = [
            {"content": content, "status": status, "activeForm": f"{content}ing"}
            for content, status in todos
        ]
        await call(session, "TodoWrite", {"todos": listed}, {"oldTodos": [], "newTodos": listed})

    await write(("Read it", "in_progress"), ("Port it", "pending"), ("Test it", "pending"))
    assert await shown(session) == [
        "[in progress] Read it",
        "[pending] Port it",
        "[pending] Test it",
    ]
    await write(("Read it", "completed"), ("Port it", "in_progress"), ("Test all", "pending"))
    assert await shown(session) == ["[in progress] Port it", "[pending] Test all"]
    assert await ended(session) == {"Read it": "completed", "Test it": "deleted"}
    await write()
    assert await shown(session) == []


async def test_the_plan_of_codex_is_shown_as_it_changes(codex: ClientSession) -> None:
    plan = [
        {"step": "Read the parser", "status": "in_progress"},
        {"step": "Port the parser", "status": "pending"},
    ]
    await call(codex, "update_plan", {"explanation": "A plan", "plan": plan}, "Plan updated")
    assert await shown(codex) == ["[in progress] Read the parser", "[pending] Port the parser"]
    plan = [
        {"step": "Read the parser", "status": "completed"},
        {"step": "Port the parser", "status": "in_progress"},
    ]
    await call(codex, "update_plan", {"plan": plan}, "Plan updated")
    assert await shown(codex) == ["[in progress] Port the parser"]


async def test_the_to_do_list_of_vs_code_is_shown_as_it_changes(vscode: ClientSession) -> None:
    todos = [
        {"id": 1, "title": "Read the parser", "status": "in-progress"},
        {"id": 2, "title": "Port the parser", "status": "not-started", "description": "all"},
    ]
    await call(vscode, "manage_todo_list", {"operation": "write", "todoList": todos})
    assert await shown(vscode) == ["[in progress] Read the parser", "[pending] Port the parser"]
    await call(vscode, "manage_todo_list", {"operation": "read"}, "1. ...")
    assert len(await shown(vscode)) == 2
    todos = [{"id": 1, "title": "Port the lexer", "status": "in-progress"}]
    await call(vscode, "manage_todo_list", {"operation": "write", "todoList": todos})
    assert await shown(vscode) == ["[in progress] Port the lexer"]
    assert await ended(vscode) == {"Read the parser": "replaced", "Port the parser": "deleted"}


@pytest.mark.parametrize(
    ("tool", "given", "result"),
    [
        ("Bash", {"command": "ls"}, {"stdout": "a"}),
        ("TodoWrite", {"todos": "none"}, None),
        ("TodoWrite", None, None),
        ("TodoWrite", {"todos": [None, 3, {"content": " "}, {"content": ["a"]}]}, None),
        ("TaskUpdate", {"taskId": "9", "status": "in_progress"}, {"success": True}),
        ("TaskUpdate", {"taskId": "1", "status": "completed"}, {"success": False}),
        ("TaskUpdate", {"taskId": {"a": 1}, "status": "completed"}, {"success": True}),
        ("TaskCreate", {}, {"task": {}}),
        ("TaskList", {}, "No tasks found"),
        ("update_plan", [], None),
    ],
)
async def test_what_is_no_to_do_changes_nothing(
    session: ClientSession, tool: str, given: object, result: object
) -> None:
    await create(session, "1", "Read the parser")
    await call(session, tool, given, result)
    assert await shown(session) == ["[pending] Read the parser"]


async def test_an_entry_in_another_form_does_not_cost_the_list(session: ClientSession) -> None:
    todos = [
        {"content": "Read\u0000 it", "status": "blocked", "id": None},
        {"status": "pending"},
        {"content": "x" * 5_000, "status": "pending"},
        {"content": "Lone \ud800", "status": 7, "priority": {"a": 1}},
    ]
    await call(session, "TodoWrite", {"todos": todos})
    first, *_, last = await shown(session)
    assert first == "[pending] Read it"
    assert last.startswith("[pending] Lone")


async def test_a_subagents_list_is_not_that_of_the_session(session: ClientSession) -> None:
    await create(session, "1", "Read the parser")
    todos = [{"content": "Look around", "status": "in_progress", "activeForm": "Looking"}]
    event = {"tool_name": "TodoWrite", "tool_input": {"todos": todos}, "agent_id": "a1"}
    await session.post("PostToolUse", **event)
    assert await shown(session) == ["[pending] Read the parser"]


async def test_to_dos_are_shown_with_every_prompt_of_their_session_alone(
    session: ClientSession,
) -> None:
    """The next prompt gets them again, beside a memory that it gets once."""
    await session.exchange("We call the staging database heron-17.", "Noted.")
    another = session.another()
    await create(another, "1", "Move the staging database")
    question = "Which database do we use for staging?"
    first = await another.prompt(question)
    assert "heron-17" in first
    assert "- [pending] Move the staging database" in first
    second = await another.prompt(question)
    assert "heron-17" not in second
    assert "- [pending] Move the staging database" in second
    assert await shown(session.another()) == []


async def test_to_dos_end_with_the_session_and_return_when_it_is_resumed(
    session: ClientSession, clock: Clock
) -> None:
    await create(session, "1", "Read the parser")
    await create(session, "2", "Port the parser")
    await update(session, "1", status="completed")
    for is_moved in (False, True):
        await session.post("SessionEnd", reason="other")
        assert await shown(session) == []
        assert await ended(session) == {
            "Read the parser": "completed",
            "Port the parser": "session_ended",
        }
        if is_moved:
            scope = Scope("default", session.namespace, session_id=session.session_id)
            assert await session.services.working.move_ended(scope) == 2
        clock.later(hours=2)
        await session.post("SessionStart", source="resume")
        assert await shown(session) == ["[pending] Port the parser"]
    await update(session, "2", status="completed")
    await session.post("SessionEnd", reason="other")
    await session.post("SessionStart", source="resume")
    assert await shown(session) == []


async def test_a_new_session_does_not_get_the_to_dos_of_the_last(session: ClientSession) -> None:
    await create(session, "1", "Read the parser")
    await session.post("SessionEnd", reason="other")
    following = session.another()
    assert "Read the parser" not in await following.context("SessionStart", source="startup")
    assert await shown(following) == []


async def test_to_dos_are_shown_beside_many_memories_within_the_limit(
    session: ClientSession,
) -> None:
    """Their tokens are within the 1,500 of a prompt's context."""
    for number in range(60):
        body = {
            "namespace": session.namespace,
            "type": "semantic",
            "content": f"fact {number} of the parser: " + "word " * 60,
        }
        await session.http.post("/v1/memories", json=body)
    for number in range(30):
        await create(session, str(number), f"Port part {number} of the parser " + "word " * 9)
    text = await session.prompt("What of the parser?")
    assert "Port part 0" in text
    assert "fact" in text
    tokenizer = session.services.tokenizers["cl100k_base"]
    assert tokenizer.count(text) <= 1_500


async def test_a_plan_in_a_prompt_becomes_to_dos_of_the_session(session: ClientSession) -> None:
    await session.prompt("Plan: 1. Read the parser 2. Port it 3. Test it")
    assert await shown(session) == [
        "[pending] Read the parser",
        "[pending] Port it",
        "[pending] Test it",
    ]
    await session.prompt("My plan:\n1. [x] Read the parser\n2. [ ] Port the lexer")
    assert await shown(session) == ["[pending] Port the lexer"]
    assert await ended(session) == {
        "Read the parser": "completed",
        "Port it": "replaced",
        "Test it": "replaced",
    }
    await session.post("SessionEnd", reason="other")
    assert await shown(session) == []


async def test_the_to_dos_of_a_tool_take_the_place_of_a_plan(session: ClientSession) -> None:
    """A client that has a tool for to-dos keeps them itself: a plan in a prompt changes nothing."""
    await session.prompt("Plan: 1. Read the parser 2. Port it")
    await create(session, "1", "Read the whole parser")
    assert await shown(session) == ["[pending] Read the whole parser"]
    await session.prompt("Plan: 1. Sleep 2. Eat")
    assert await shown(session) == ["[pending] Read the whole parser"]

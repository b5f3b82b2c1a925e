"""Hooks of agent clients: in which namespace the memories of an event are stored, by project,
tenant and key.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.auth.keys import KeyBook, KeyEntry, Role, hashed
from api.project import OVERRIDE_FILE, project_namespace
from api.wiring.container import Services
from tests.api.conftest import bearer, connect, problem
from tests.api.http.client_hooks.conftest import ClientSession
from tests.api.http.client_hooks.test_sessions import FACT, QUESTION
from tests.api.test_project import git

pytestmark = pytest.mark.anyio

EVENT = {"session_id": "s", "hook_event_name": "UserPromptSubmit", "prompt": QUESTION}


def in_folder(session: ClientSession, cwd: str, **changes: Any) -> ClientSession:
    """A new session whose working directory is `cwd`. changes: other fields of the session."""
    return replace(session.another(), cwd=cwd, **changes)


async def test_two_projects_never_see_each_other(session: ClientSession) -> None:
    """Two projects share no memories, even if their folders have the same name or their sessions
    the same id.
    """
    await session.exchange(FACT, "Good.")
    for cwd in (f"/projects/{uuid.uuid4()}/shop", "/", "/projects", "C:\\projects\\shop"):
        other = in_folder(session, cwd, session_id=session.session_id)
        assert await other.context("SessionStart", source="compact") == ""
        assert await other.prompt(QUESTION) == ""


async def test_a_namespace_header_overrides_the_folder(session: ClientSession) -> None:
    named = replace(session, headers={"X-Remembrancer-Namespace": "café ü"})
    await named.exchange(FACT, "Good.")
    assert await session.memories() == []
    elsewhere = replace(named.another(), cwd="relative")
    assert FACT in await elsewhere.prompt(QUESTION)
    unset = replace(session.another(), headers={"X-Remembrancer-Namespace": ""})
    assert await unset.prompt(QUESTION) == ""


async def test_worktrees_and_subfolders_are_one_project(
    session: ClientSession, tmp_path: Path
) -> None:
    """Subfolders and git worktrees share their project's namespace, unless a file
    `.remembrancer.toml` sets another.
    """
    main = tmp_path / "main"
    (main / "src").mkdir(parents=True)
    git(main, "init")
    git(main, "commit", "--allow-empty", "-m", "first")
    git(main, "worktree", "add", "../tree")
    await in_folder(session, str(main / "src")).exchange(FACT, "Good.")
    assert FACT in await in_folder(session, str(tmp_path / "tree")).prompt(QUESTION)
    (tmp_path / "tree" / OVERRIDE_FILE).write_text(f'namespace = "{uuid.uuid4()}"\n')
    assert await in_folder(session, str(tmp_path / "tree")).prompt(QUESTION) == ""


async def test_a_session_that_changes_its_folder_stays_in_its_project(
    session: ClientSession, tmp_path: Path
) -> None:
    """If a session changes its working directory, the path of its transcript still names its
    project.
    """
    (tmp_path / "part one").mkdir()
    began = "".join(char if char.isalnum() else "-" for char in str(tmp_path))
    transcript = f"/home/u/.claude/projects/{began}/x.jsonl"
    moved = in_folder(session, str(tmp_path / "part one"))
    await moved.prompt(FACT, transcript_path=transcript)
    await moved.stop("Good.", transcript_path=transcript)
    assert await moved.another().prompt(QUESTION) == ""
    assert FACT in await in_folder(session, str(tmp_path)).prompt(QUESTION)


@pytest.mark.parametrize("cwd", [None, "", "shop", "~/shop", 7])
async def test_an_event_that_names_no_project_is_refused(
    client: httpx.AsyncClient, cwd: object
) -> None:
    """An event with a missing, empty or relative `cwd` is a 422, because all projects would share
    its memories.
    """
    for name in ("claude-code", "codex", "vscode"):
        answer = await client.post(f"/v1/hooks/{name}", json={**EVENT, "cwd": cwd})
        assert problem(answer, 422)["detail"].startswith("cwd: ")


async def test_an_invalid_file_for_the_namespace_of_a_folder_is_refused(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / OVERRIDE_FILE).write_text("namespace: yaml")
    answer = await client.post("/v1/hooks/codex", json={**EVENT, "cwd": str(tmp_path)})
    assert OVERRIDE_FILE in problem(answer, 422)["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no json", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"hook_event_name": "Stop", "session_id": " a", "cwd": "/a"}', 422),
        (b'{"hook_event_name": "Stop", "session_id": "' + b"a" * 300 + b'", "cwd": "/a"}', 422),
        (b'{"hook_event_name": 7, "session_id": "a", "cwd": "/a"}', 422),
        (
            b'{"hook_event_name": "Stop", "session_id": "a", "cwd": "/a", "x": ' + b"[" * 100_000,
            400,
        ),
    ],
)
async def test_a_body_that_is_no_event_is_refused(
    client: httpx.AsyncClient, body: bytes, status: int
) -> None:
    """A body that is not JSON is a 400, and JSON without the required fields of an event is a
    422.
    """
    headers = {"content-type": "application/json"}
    problem(await client.post("/v1/hooks/vscode", content=body, headers=headers), status)


async def test_an_invalid_namespace_in_the_header_is_refused(client: httpx.AsyncClient) -> None:
    """A namespace header that is too long or not UTF-8 is a 422 that names the header."""
    for value in (b"a" * 257, b"a\xff"):
        headers = {b"X-Remembrancer-Namespace": value}
        answer = await client.post("/v1/hooks/codex", json=EVENT, headers=headers)
        assert "X-Remembrancer-Namespace" in problem(answer, 422)["detail"]


async def test_hooks_need_a_writer_and_tenants_share_no_project(guarded: Services) -> None:
    """A reader's key may not post events. Sessions of two tenants in the same folder share no
    memories.
    """
    async with connect(guarded) as http:
        event = {**EVENT, "cwd": "/projects/guarded"}
        assert (await http.post("/v1/hooks/codex", json=event)).status_code == 401
        reader = bearer("acme", Role.READER)
        assert (await http.post("/v1/hooks/codex", json=event, headers=reader)).status_code == 403
        acme = ClientSession(
            http, guarded, "/projects/guarded", "s1", headers=bearer("acme", Role.WRITER)
        )
        await acme.exchange(FACT, "Good.")
        other = ClientSession(
            http, guarded, "/projects/guarded", "s1", headers=bearer("other", Role.ADMIN)
        )
        assert await other.prompt(QUESTION) == ""
        assert FACT in await acme.another().prompt(QUESTION)
        assert project_namespace("/projects/guarded").startswith("guarded-")


async def test_a_key_bound_to_agents_may_post_events(services: Services) -> None:
    """With an API key that is bound to other agents, a session and its subagents can still be
    reported.
    """
    entry = KeyEntry(key="bound-to-agents", tenant="acme", role=Role.WRITER, agents=["ann", "ben"])
    bound = replace(services, keys=KeyBook(hashed([entry])))
    async with connect(bound) as http:
        headers = {"X-API-Key": "bound-to-agents"}
        session = ClientSession(http, bound, "/projects/bound", "s1", headers=headers)
        await session.prompt(FACT)
        await session.stop_of_subagent("Reviewed.", agent_type="reviewer")
        await session.stop("Good.")
        assert FACT in await session.another().prompt(QUESTION)

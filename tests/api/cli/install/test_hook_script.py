"""The script that AI clients run as a hook, started as a separate process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api.cli.install.clients import EVENTS, ClientName, Installation, files_of, hook_command
from memtypes import __file__ as package
from tests.api.clients.python.scripted_server import Reply, scripted

PLUGIN = Path(package).parents[1] / "api" / "clients" / "claude_code"
EVENT = {"hook_event_name": "SessionStart", "session_id": "s", "cwd": "/p"}
ANSWER = {"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": "Ünïcode"}}


def run_hook(
    url: str,
    client: ClientName = ClientName.CODEX,
    event: dict[str, str] = EVENT,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run the hook script with an event on its standard input, as an AI client does."""
    command = hook_command(Installation(client, None, url))
    clean = {
        name: value
        for name, value in os.environ.items()
        if "CLAUDE" not in name and "COVERAGE" not in name
    }
    return subprocess.run(
        command,
        input=json.dumps(event),
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_hook_posts_the_event_and_prints_the_answer() -> None:
    """The hook script posts its event unchanged, with REMEMBRANCER_KEY as the API key, and prints
    the answer.
    """
    with scripted(Reply(200, ANSWER)) as server:
        done = run_hook(server.url, REMEMBRANCER_KEY="k")
        (call,) = server.received
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, ANSWER, "")
    sent = (call.path, call.headers["authorization"], json.loads(call.body))
    assert sent == ("/v1/hooks/codex", "Bearer k", EVENT)


def test_of_the_events_of_tools_only_those_of_to_dos_are_sent() -> None:
    """Visual Studio Code runs the hook after every tool."""
    event = {**EVENT, "hook_event_name": "PostToolUse"}
    with scripted(Reply(200, {})) as server:
        for tool in ("read_file", "manage_todo_list", "update_plan"):
            run_hook(server.url, ClientName.VSCODE, {**event, "tool_name": tool})
        sent = [json.loads(call.body)["tool_name"] for call in server.received]
    assert sent == ["manage_todo_list", "update_plan"]


@pytest.mark.parametrize(
    "answer",
    [Reply(200, {}), Reply(200, "no JSON"), Reply(200, [1]), Reply(401, {"a": 1}), Reply(503, {})],
)
def test_hook_prints_nothing_for_an_error_or_an_empty_answer(answer: Reply) -> None:
    with scripted(answer) as server:
        done = run_hook(server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_hook_prints_nothing_if_no_service_answers() -> None:
    """If nothing listens at the URL or the URL is invalid, the hook script prints nothing and exits
    with 0.
    """
    for url in ("http://127.0.0.1:1", "http://nowhere.invalid", "http://127.0.0.1:x"):
        done = run_hook(url)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_hook_gives_up_on_a_service_that_does_not_answer() -> None:
    """If the service accepts the connection and sends nothing, the hook script ends within a hook's
    limit of 3 s.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        done = run_hook(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - started < 3


def test_claude_codes_hook_sends_nothing_if_another_program_runs_it() -> None:
    """The hook for Claude Code sends an event only if Claude Code runs it, which sets the variable
    CLAUDECODE.

    Visual Studio Code runs the hooks of Claude Code too, but its events have their own endpoint.
    """
    with scripted(Reply(200, {})) as server:
        run_hook(server.url, ClientName.CLAUDE_CODE)
        assert server.received == []
        run_hook(server.url, ClientName.CLAUDE_CODE, CLAUDECODE="1")
        assert [call.path for call in server.received] == ["/v1/hooks/claude-code"]


def test_hook_imports_only_fast_standard_modules() -> None:
    script = hook_command(Installation(ClientName.CODEX, None, "http://127.0.0.1:1"))[2]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-IS", script, "http://127.0.0.1:1/v1/hooks/codex"],
        input="{}",
        capture_output=True,
        text=True,
        check=False,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"site", "asyncio", "urllib.request", "typer", "httpx", "pydantic", "api"}
    assert len(imported) < 120


def test_plugin_has_the_same_hooks_as_an_installation() -> None:
    """The Claude Code plugin has the hooks and MCP server that `install` writes, with the service's
    default address.
    """
    hooks = json.loads((PLUGIN / "hooks" / "hooks.json").read_text())["hooks"]
    wanted = Installation(ClientName.CLAUDE_CODE, None, "http://127.0.0.1:8707", authorised=True)
    entries = files_of(wanted)[0].entries
    written = {path[1]: group for path, group in entries.elements}  # type: ignore[union-attr]
    assert tuple(hooks) == EVENTS
    for event in EVENTS[1:]:
        assert hooks[event] == [written[event]]
    assert hooks["SessionStart"][0]["hooks"][0]["args"][1].endswith("/scripts/remembrancer_hook.py")
    assert len((PLUGIN / "README.md").read_text().split()) >= 40

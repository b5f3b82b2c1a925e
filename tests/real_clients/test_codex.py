"""The real Codex with a memory: what it sends to its model, and what is stored."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.real_clients.clients import Codex
from tests.real_clients.conftest import MemoryService
from tests.real_clients.projects import PROJECTS, ScriptedProject, wait_until_stored
from tests.real_clients.stub_models import StubModel, ToolCall

pytestmark = pytest.mark.real_clients

HERON = PROJECTS[0]


@pytest.fixture
def installed(codex: Codex, service: MemoryService) -> Codex:
    """Codex after `remembrancer install codex`."""
    codex.installer("install", "codex", "--url", service.url)
    return codex


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.secret)
def test_fact_of_the_first_session_is_in_the_prompt_of_the_second(
    installed: Codex, service: MemoryService, model: StubModel, tmp_path: Path, project: ScriptedProject
) -> None:
    """In each of twenty projects: what was told is there when it is asked for, once, and nothing of another project."""
    folder = tmp_path / project.folder
    folder.mkdir(parents=True)
    installed.ask(folder, project.fact)
    wait_until_stored(service, folder, project.secret)
    model.clear()
    installed.ask(folder, project.question)
    sent = model.sent()
    assert sent.count(project.fact) == 1
    assert not [other.secret for other in PROJECTS if other.secret != project.secret and other.fact in sent]


def test_a_fact_is_injected_once_a_session(
    installed: Codex, service: MemoryService, model: StubModel, tmp_path: Path
) -> None:
    """Prompts of one session that ask for the same again get it once: it is in the history."""
    folder = tmp_path / "once"
    folder.mkdir()
    installed.ask(folder, HERON.fact)
    wait_until_stored(service, folder, HERON.secret)
    session = installed.ask(folder, HERON.question).session_id
    for again in ("Again", "Once more"):
        installed.ask(folder, f"{again}: {HERON.question}", resume=session)
    assert model.sent_last().count(HERON.fact) == 1


def test_nothing_that_was_recalled_is_captured_again(
    installed: Codex, service: MemoryService, model: StubModel, tmp_path: Path
) -> None:
    """A model that repeats what was recalled adds no memory of it."""
    folder = tmp_path / "loop"
    folder.mkdir()
    installed.ask(folder, HERON.fact)
    wait_until_stored(service, folder, HERON.secret)
    before = [content for content in service.contents(folder) if HERON.secret in content]
    model.script = lambda _: f"From the memory of this project:\n- {HERON.fact}"
    installed.ask(folder, f"{HERON.question} I ask for marker-1.")
    wait_until_stored(service, folder, "marker-1")
    time.sleep(1)
    assert [content for content in service.contents(folder) if HERON.secret in content] == before


def test_service_that_is_stopped_blocks_no_prompt(codex: Codex, model: StubModel, tmp_path: Path) -> None:
    """With hooks of a service that is away, a prompt is answered, about as fast as without any hooks."""
    folder = tmp_path / "away"
    folder.mkdir()
    codex.ask(folder, "Hello.")
    plain = codex.ask(folder, "Hello.").seconds
    codex.installer("install", "codex", "--url", "http://127.0.0.1:9")
    model.clear()
    run = codex.ask(folder, "Are you there?")
    assert run.answer == "Done."
    assert run.seconds < plain + 4


def call_when_connected(body: dict[str, Any]) -> str | ToolCall:
    """Call the tool of the MCP server once it is there; Codex sends its first request before all servers answer."""
    if any(entry.get("name") == "memory_recall" for entry in body["input"]):
        return "Done."
    if not any(tool.get("name") == "mcp__remembrancer" for tool in body["tools"]):
        return ToolCall("exec_command", {"cmd": "sleep 1"})
    return ToolCall("memory_recall", {"query": HERON.question}, "mcp__remembrancer")


def test_tools_reach_the_memories_of_the_project(
    installed: Codex, service: MemoryService, model: StubModel, tmp_path: Path
) -> None:
    """The MCP server that was installed answers the model's calls, in the project's namespace."""
    folder = tmp_path / "tools"
    folder.mkdir()
    installed.ask(folder, HERON.fact)
    wait_until_stored(service, folder, HERON.secret)
    model.script = call_when_connected
    model.clear()
    installed.ask(folder, "/nothing is injected for this: use the tool.")
    outputs = [entry for entry in model.requests[-1]["input"] if entry.get("type") == "function_call_output"]
    assert HERON.fact in str(outputs)


def test_codex_reads_its_configuration_after_uninstalling(codex: Codex, service: MemoryService, tmp_path: Path) -> None:
    """After Codex itself has saved its settings in between, uninstalling leaves no trace of the installation."""
    folder = tmp_path / "project"
    folder.mkdir()
    before = (codex.home / ".codex" / "config.toml").read_text()
    codex.installer("install", "codex", "--url", service.url)
    codex.ask(folder, "Hello.")
    codex.installer("uninstall", "codex")
    assert (codex.home / ".codex" / "config.toml").read_text() == before
    assert not (codex.home / ".codex" / "hooks.json").exists()
    assert codex.ask(folder, "Hello again.").answer == "Done."

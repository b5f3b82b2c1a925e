"""The real Codex with a memory service: what it sends to its model, and what the service stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.real_clients.clients import Codex
from tests.real_clients.conftest import MemoryService
from tests.real_clients.projects import HERON, wait_until_stored
from tests.real_clients.stub_models import StubModel, ToolCall

pytestmark = pytest.mark.real_clients


@pytest.fixture
def installed(codex: Codex, service: MemoryService) -> Codex:
    """Codex after `remembrancer install codex`."""
    codex.installer("install", "codex", "--url", service.url)
    return codex


def call_when_connected(body: dict[str, Any]) -> str | ToolCall:
    """A script for the stub model: call memory_recall once Codex offers the tool, and wait a second
    before each retry.

    Codex may send its first request before all MCP servers have answered.
    """
    if any(entry.get("name") == "memory_recall" for entry in body["input"]):
        return "Done."
    if not any(tool.get("name") == "mcp__remembrancer" for tool in body["tools"]):
        return ToolCall("exec_command", {"cmd": "sleep 1"})
    return ToolCall("memory_recall", {"query": HERON.question}, "mcp__remembrancer")


def test_tools_reach_the_memories_of_the_project(
    installed: Codex, service: MemoryService, model: StubModel, tmp_path: Path
) -> None:
    """After `remembrancer install codex`, a memory tool that the model calls answers from the
    project's namespace.
    """
    folder = tmp_path / "tools"
    folder.mkdir()
    installed.ask(folder, HERON.fact)
    wait_until_stored(service, folder, HERON.secret)
    model.script = call_when_connected
    model.clear()
    installed.ask(folder, "/nothing is injected for this: use the tool.")
    outputs = [
        entry
        for entry in model.requests[-1]["input"]
        if entry.get("type") == "function_call_output"
    ]
    assert HERON.fact in str(outputs)


def test_codex_works_with_its_old_configuration_after_uninstalling(
    codex: Codex, service: MemoryService, tmp_path: Path
) -> None:
    """Uninstalling restores the configuration file exactly and removes the hooks. Codex then still
    answers.
    """
    folder = tmp_path / "project"
    folder.mkdir()
    before = (codex.home / ".codex" / "config.toml").read_text()
    codex.installer("install", "codex", "--url", service.url)
    codex.ask(folder, "Hello.")
    codex.installer("uninstall", "codex")
    assert (codex.home / ".codex" / "config.toml").read_text() == before
    assert not (codex.home / ".codex" / "hooks.json").exists()
    assert codex.ask(folder, "Hello again.").answer == "Done."

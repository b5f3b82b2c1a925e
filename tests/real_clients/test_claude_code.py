"""The real Claude Code with a memory: what it sends to its model, and what is stored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.processes import REPOSITORY
from tests.real_clients.clients import ClaudeCode
from tests.real_clients.conftest import MemoryService
from tests.real_clients.projects import HERON, wait_until_stored
from tests.real_clients.stub_models import StubModel, ToolCall

pytestmark = pytest.mark.real_clients


@pytest.fixture
def installed(claude_code: ClaudeCode, service: MemoryService) -> ClaudeCode:
    """Claude Code after `remembrancer install claude-code`."""
    claude_code.installer("install", "claude-code", "--url", service.url)
    return claude_code


def test_an_installation_for_one_project_captures_that_project_only(
    claude_code: ClaudeCode, service: MemoryService, model: StubModel, tmp_path: Path
) -> None:
    """With `install --project`, facts from this project are stored and injected, and facts from
    another are not stored.

    The project's folder has a name that is not valid in an HTTP header. An API key is set in the
    environment.
    """
    folder = tmp_path / "проект"
    other = tmp_path / "other"
    for path in (folder, other):
        path.mkdir()
    claude_code.environment["REMEMBRANCER_KEY"] = "any"
    claude_code.installer("install", "claude-code", "--project", str(folder), "--url", service.url)
    claude_code.ask(folder, HERON.fact)
    wait_until_stored(service, folder, HERON.secret)
    claude_code.ask(other, HERON.fact)
    model.clear()
    claude_code.ask(folder, HERON.question)
    assert model.sent().count(HERON.fact) == 1
    assert service.contents(other) == []


def test_tools_reach_the_memories_of_the_project(
    installed: ClaudeCode, service: MemoryService, tmp_path: Path
) -> None:
    """After `remembrancer install`, the model's call of the tool `memory_recall` finds the
    project's memories.
    """
    folder = tmp_path / "tools"
    folder.mkdir()
    installed.ask(folder, HERON.fact)
    wait_until_stored(service, folder, HERON.secret)
    assert HERON.fact in recalled_by_tool(installed, folder, "mcp__remembrancer__memory_recall")


def test_uninstalling_removes_every_trace_from_the_settings(
    claude_code: ClaudeCode, service: MemoryService, tmp_path: Path
) -> None:
    """After uninstalling, no settings file of Claude Code names the service.

    Claude Code saved its settings between installing and uninstalling.
    """
    folder = tmp_path / "project"
    folder.mkdir()
    claude_code.ask(folder, "Hello.")
    claude_code.installer("install", "claude-code", "--url", service.url)
    claude_code.ask(folder, "Hello again.")
    claude_code.installer("uninstall", "claude-code")
    files = [claude_code.home / ".claude.json", *claude_code.home.glob(".claude/settings*.json")]
    assert not [file for file in files if "emembrancer" in file.read_text()]
    assert '"mcpServers"' not in files[0].read_text()


def test_plugin_remembers_like_an_installation(
    claude_code: ClaudeCode, service: MemoryService, model: StubModel, tmp_path: Path
) -> None:
    """The plugin's hooks capture a fact and inject it in the next session, and its MCP tool recalls
    the fact.

    All use the namespace of the project.
    """
    market = tmp_path / "market"
    folder = tmp_path / "project"
    folder.mkdir()
    for part in (".claude-plugin", "api/clients/claude_code"):
        shutil.copytree(REPOSITORY / part, market / part)
    for path in (market / "api/clients/claude_code").rglob("*.json"):
        path.write_text(path.read_text().replace("http://127.0.0.1:8707", service.url))
    claude_code.run("plugin", "marketplace", "add", str(market))
    claude_code.run("plugin", "install", "remembrancer@remembrancer")
    claude_code.ask(folder, HERON.fact)
    wait_until_stored(service, folder, HERON.secret)
    model.clear()
    claude_code.ask(folder, HERON.question)
    assert model.sent().count(HERON.fact) == 1
    assert HERON.fact in recalled_by_tool(
        claude_code, folder, "mcp__plugin_remembrancer_remembrancer__memory_recall"
    )


def recalled_by_tool(client: ClaudeCode, folder: Path, tool: str) -> str:
    """The result that Claude Code sends to its model after a call of `tool` with the project's
    question.
    """
    client.environment["MCP_CONNECTION_NONBLOCKING"] = "0"  # the first request waits for the server
    call = ToolCall(tool, {"query": HERON.question})
    client.model.script = lambda body: "Done." if "tool_result" in str(body["messages"]) else call
    client.model.clear()
    client.ask(
        folder, "/nothing is injected for this: use the tool.", options=("--allowedTools", tool)
    )
    blocks = [
        block for message in client.model.requests[-1]["messages"] for block in message["content"]
    ]
    return str(
        [
            block
            for block in blocks
            if isinstance(block, dict) and block.get("type") == "tool_result"
        ]
    )


def test_plugin_is_valid_and_installs(claude_code: ClaudeCode) -> None:
    """The plugin for Claude Code passes the client's strict validation and installs from this
    repository.
    """
    claude_code.run(
        "plugin", "validate", "--strict", str(REPOSITORY / "api" / "clients" / "claude_code")
    )
    claude_code.run("plugin", "validate", "--strict", str(REPOSITORY))
    claude_code.run("plugin", "marketplace", "add", str(REPOSITORY))
    claude_code.run("plugin", "install", "remembrancer@remembrancer")
    details = claude_code.run("plugin", "details", "remembrancer")
    for part in ("Skills (1)", "Hooks (7)", "MCP servers (1)"):
        assert part in details

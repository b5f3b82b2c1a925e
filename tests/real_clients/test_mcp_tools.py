"""The real clients call the MCP tools that the installer set up: the models get as many tokens as
the tools counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from memtypes.encoders.tiktoken import TiktokenTokenizer
from tests.real_clients.clients import ClaudeCode, Codex
from tests.real_clients.conftest import MemoryService
from tests.real_clients.stub_models import StubModel, ToolCall

pytestmark = pytest.mark.real_clients

STATEMENT = "The release train of project Osprey leaves on the second Tuesday of a month."
RECALL = {"query": "When does the release train of project Osprey leave?", "budget": 400}


def test_claude_code_remembers_and_recalls_by_tools(
    claude_code: ClaudeCode, service: MemoryService, model: StubModel, tmp_path: Path
) -> None:
    """Claude Code calls memory_remember and memory_recall, and sends the recalled text to its model
    unchanged.
    """
    claude_code.installer("install", "claude-code", "--url", service.url)
    # The first request waits for the server
    claude_code.environment["MCP_CONNECTION_NONBLOCKING"] = "0"

    def call(folder: Path, tool: str, arguments: dict[str, Any]) -> str:
        asked = ToolCall(f"mcp__remembrancer__{tool}", arguments)
        model.script = lambda body: "Done." if "tool_result" in str(body["messages"]) else asked
        model.clear()
        claude_code.ask(folder, "/use the tool", options=("--allowedTools", asked.name))
        blocks = [
            block for message in model.requests[-1]["messages"] for block in message["content"]
        ]
        (result,) = [
            block
            for block in blocks
            if isinstance(block, dict) and block.get("type") == "tool_result"
        ]
        content = result["content"]
        return content if isinstance(content, str) else "".join(block["text"] for block in content)

    check(call, service, tmp_path)


def test_codex_remembers_and_recalls_by_tools(
    codex: Codex, service: MemoryService, model: StubModel, tmp_path: Path
) -> None:
    """Codex calls memory_remember and memory_recall, and sends the recalled text to its model
    unchanged.
    """
    codex.installer("install", "codex", "--url", service.url)

    def call(folder: Path, tool: str, arguments: dict[str, Any]) -> str:
        asked = ToolCall(tool, arguments, "mcp__remembrancer")
        model.script = lambda body: (
            "Done." if "function_call_output" in str(body["input"]) else asked
        )
        model.clear()
        codex.ask(folder, "/use the tool")
        entries = model.requests[-1]["input"]
        (output,) = [
            entry["output"] for entry in entries if entry.get("type") == "function_call_output"
        ]
        return output if isinstance(output, str) else "".join(part["text"] for part in output)

    check(call, service, tmp_path)


def check(
    call: Callable[[Path, str, dict[str, Any]], str], service: MemoryService, tmp_path: Path
) -> None:
    """Store a memory by a tool in one session and recall it by a tool in another.

    The number of tokens that the recalled text states must be its exact count. call: calls a tool
    in a session of a folder, and returns its result as the client sends it to the model.
    """
    folder = tmp_path / "osprey"
    folder.mkdir()
    assert "stored " in call(folder, "memory_remember", {"content": STATEMENT, "type": "semantic"})
    assert STATEMENT in service.contents(folder)
    text = call(folder, "memory_recall", RECALL)
    recalled = re.search(r"<memories>.*· (\d+) of 400 tokens", text, re.DOTALL)
    assert recalled is not None, json.dumps(text)
    assert STATEMENT in recalled[0]
    tokenizer = anyio.run(TiktokenTokenizer.open, "cl100k_base")
    assert tokenizer.count(recalled[0]) == int(recalled[1]) <= 400

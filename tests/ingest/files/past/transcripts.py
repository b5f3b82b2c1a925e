"""Writers of test transcripts in the formats of Claude Code and Codex, with lines that an import
must skip.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NOISE = "NOISE"
"""The word in every text that must not be imported."""


def write_lines(path: Path, lines: Sequence[Any]) -> Path:
    """Write `lines` as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


@dataclass
class ClaudeTranscript:
    """The lines of a Claude Code session. `leaf` is the uuid of the last line, the parent of the
    next one.
    """

    session: str
    cwd: str
    start: datetime = START
    lines: list[dict[str, Any]] = field(default_factory=list)
    leaf: str | None = None
    count: int = 0

    def add(self, kind: str, **fields: Any) -> str:
        """Add a line of type `kind` after the last line, with `fields` added or replaced. Returns
        its uuid.
        """
        self.count += 1
        uuid = f"{self.session}-{self.count}"
        at = (self.start + timedelta(seconds=7 * self.count)).isoformat().replace("+00:00", "Z")
        line = {
            "parentUuid": self.leaf,
            "isSidechain": False,
            "type": kind,
            "uuid": uuid,
            "timestamp": at,
            "sessionId": self.session,
            "cwd": self.cwd,
            "version": "2.1.330",
            "gitBranch": "main",
            "userType": "external",
        }
        self.lines.append({**line, **fields})
        if not fields.get("isSidechain"):
            self.leaf = uuid
        return uuid

    def user(self, content: Any, **fields: Any) -> str:
        """Add a message of the user."""
        return self.add(
            "user", message={"role": "user", "content": content}, promptId="p", **fields
        )

    def assistant(self, *texts: str, **fields: Any) -> None:
        """Add an answer of the agent: a thought, and a text for each of `texts`.

        Between texts there is a tool call with its result.
        """
        named = fields.pop("answer", None)
        for number, text in enumerate(texts):
            answer = named or f"msg_{self.session}_{self.count}"
            self.assistant_block(
                answer, {"type": "thinking", "thinking": f"{NOISE} thought"}, **fields
            )
            self.assistant_block(answer, {"type": "text", "text": text}, **fields)
            if number + 1 < len(texts):
                self.tool(answer)

    def assistant_block(self, answer: str, block: dict[str, Any], **fields: Any) -> str:
        """Add a line with one content block of the answer with the id `answer`."""
        message = {
            "id": answer,
            "role": "assistant",
            "model": "m",
            "type": "message",
            "content": [block],
        }
        return self.add("assistant", message=message, **fields)

    def tool(self, answer: str) -> None:
        """Add a tool call in the answer with the id `answer`, and the tool's result."""
        self.assistant_block(
            answer, {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": NOISE}}
        )
        result = [
            {
                "type": "tool_result",
                "tool_use_id": "t1",
                "content": [{"type": "text", "text": f"{NOISE} out"}],
            }
        ]
        self.user(result, toolUseResult={"stdout": NOISE})

    def noise(self) -> None:
        """Add lines of every kind that were not said by the user or the agent, and so must not be
        imported.
        """
        self.lines += [
            {
                "type": "queue-operation",
                "operation": "enqueue",
                "content": NOISE,
                "sessionId": self.session,
            },
            {"type": "ai-title", "title": NOISE, "sessionId": self.session},
            {
                "type": "last-prompt",
                "lastPrompt": NOISE,
                "leafUuid": self.leaf,
                "sessionId": self.session,
            },
            {"type": "file-history-snapshot", "messageId": "x", "snapshot": {"a": NOISE}},
            {
                "type": "next-month-this-has-another-name",
                "message": {"role": "user", "content": NOISE},
            },
        ]
        context = {
            "type": "hook_additional_context",
            "content": [f"<memories>\n## Knowledge\n- {NOISE}\n</memories>"],
        }
        self.add("attachment", attachment=context)
        self.user(f"{NOISE} caveat", isMeta=True)
        self.user(f"{NOISE} from a peer", origin={"kind": "peer"})
        self.user(f"<command-name>/clear</command-name><command-args>{NOISE}</command-args>")
        self.user(f"<local-command-stdout>{NOISE}</local-command-stdout>")
        self.user(f"<system-reminder>\n{NOISE}\n</system-reminder>")
        self.user([{"type": "text", "text": "[Request interrupted by user]"}])
        error = [{"type": "text", "text": f"API Error: {NOISE}"}]
        self.add(
            "assistant", isApiErrorMessage=True, message={"role": "assistant", "content": error}
        )
        self.add("system", subtype="stop_hook_summary", content=NOISE)
        self.user(f"{NOISE} to a subagent", isSidechain=True)
        self.assistant(f"{NOISE} of a subagent", isSidechain=True)

    def rewind(self, to: str) -> None:
        """Continue after the line with the uuid `to`, as if the user had abandoned all later
        lines.
        """
        self.leaf = to

    def compact(self) -> None:
        """Compact the conversation: add a boundary line, which begins a new tree, and a summary."""
        before = self.leaf
        self.leaf = None
        self.add(
            "system",
            subtype="compact_boundary",
            logicalParentUuid=before,
            content="Conversation compacted",
        )
        self.user(
            f"This session is being continued. {NOISE}",
            isCompactSummary=True,
            isVisibleInTranscriptOnly=True,
        )

    def write(self, config: Path) -> Path:
        """Write the transcript below Claude Code's configuration folder `config`; return its
        path.
        """
        name = "".join(char if char.isalnum() else "-" for char in self.cwd)
        return write_lines(config / "projects" / name / f"{self.session}.jsonl", self.lines)


@dataclass
class Rollout:
    """The lines of a Codex rollout (session file), which records one thread."""

    session: str
    cwd: str
    start: datetime = START
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.add(
            "session_meta", id=self.session, cwd=self.cwd, originator="codex_exec", source="exec"
        )
        self.message("developer", f"<permissions instructions>{NOISE}</permissions instructions>")
        self.message(
            "user", f"# AGENTS.md instructions for /x\n{NOISE}", f"<environment_context>{NOISE}"
        )
        self.add("turn_context", cwd=self.cwd, model="m")

    def add(self, kind: str, **payload: Any) -> None:
        """Add a line of type `kind` with the given payload, five seconds later than the line before
        it.
        """
        at = (
            (self.start + timedelta(seconds=5 * len(self.lines))).isoformat().replace("+00:00", "Z")
        )
        self.lines.append(
            {"timestamp": at, "ordinal": len(self.lines), "type": kind, "payload": payload}
        )

    def message(self, role: str, *texts: str, kinds: Sequence[str] | None = None) -> None:
        """Add a message. kinds: the kinds of its content items, which newer Codex versions
        record.
        """
        form = "output_text" if role == "assistant" else "input_text"
        note = (
            {}
            if kinds is None
            else {"internal_chat_message_metadata_passthrough": {"content_item_kinds": [*kinds]}}
        )
        content = [{"type": form, "text": text} for text in texts]
        self.add("response_item", type="message", role=role, content=content, **note)

    def turn(self, prompt: str, answer: str) -> None:
        """Add a prompt with its answer, and all other lines that Codex writes with them."""
        self.add("event_msg", type="task_started", turn_id="t")
        self.message("developer", f"{NOISE} of a hook", kinds=["hooks.additional_context"])
        self.message("user", prompt, kinds=["user.text"])
        self.add(
            "event_msg",
            type="item_completed",
            item={"type": "UserMessage", "content": [{"text": prompt}]},
        )
        self.add("event_msg", type="user_message", message=prompt)
        self.add(
            "response_item", type="reasoning", summary=[{"type": "summary_text", "text": NOISE}]
        )
        self.add("response_item", type="function_call", name="shell", arguments=NOISE, call_id="c")
        self.add("response_item", type="function_call_output", output=NOISE, call_id="c")
        self.message("assistant", answer, kinds=["unknown"])
        self.add("event_msg", type="agent_message", message=answer)
        self.add("token_usage_record", usage={"input_tokens": 1})

    def write(self, home: Path) -> Path:
        """Write the rollout below Codex's folder `home`; return its path."""
        day = f"{self.start:%Y/%m/%d}"
        return write_lines(
            home
            / "sessions"
            / day
            / f"rollout-{self.start:%Y-%m-%dT%H-%M-%S}-{self.session}.jsonl",
            self.lines,
        )

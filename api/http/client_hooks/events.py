"""Models of the events that the hooks of Claude Code, Codex and VS Code post, and of the answers
that they read.

Clients add fields and events in new releases. Unknown fields are ignored, and a text field of
another type counts as missing.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from memtypes.model.scope import Name
from retrieval.answer import Answer, OmittedIfNone

KNOWN_EVENTS = (
    "SessionStart",
    "UserPromptSubmit",
    "PostToolUse",
    "Stop",
    "SubagentStop",
    "PreCompact",
    "PostCompact",
    "SessionEnd",
)
"""Events that the metrics count by name. All others are counted together as "other"."""

_CLIENT_PROMPT_SOURCES = frozenset({"system", "loop_wakeup", "schedule_wakeup", "poll_event"})
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def cleaned(value: object) -> str | None:
    """`value` without terminal codes, control characters and lone surrogates; None if it is empty
    or no string.
    """
    if not isinstance(value, str):
        return None
    return (
        _CONTROL.sub("", value)
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace")
        .strip()
        or None
    )


_Text: TypeAlias = Annotated[str | None, BeforeValidator(cleaned, json_schema_input_type=Any)]

_ToolName: TypeAlias = Annotated[
    _Text, Field(validation_alias=AliasChoices("tool_name", "toolName"))
]


class ClientEvent(BaseModel):
    """An event in a session of an AI client, as its hook posts it.

    hook_event_name and session_id may also be in camel case, as VS Code writes them. cwd: the
    session's current folder. prompt_id, turn_id: id of the prompt; the event that reports the
    answer to the prompt has the same id. source: what started the session or the prompt, such as
    "resume". agent_id, agent_type: id and kind of the subagent in which it happened. tool_name,
    tool_input, tool_response: the tool that was called, with what, and its result.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    hook_event_name: str = Field(validation_alias=AliasChoices("hook_event_name", "hookEventName"))
    session_id: Name = Field(validation_alias=AliasChoices("session_id", "sessionId"))
    transcript_path: _Text = None
    cwd: _Text = None
    prompt_id: _Text = None
    turn_id: _Text = None
    prompt: _Text = None
    source: _Text = None
    model: _Text = None
    agent_id: _Text = None
    agent_type: _Text = None
    last_assistant_message: _Text = None
    tool_name: _ToolName = None
    tool_input: Any = Field(default=None, validation_alias=AliasChoices("tool_input", "toolInput"))
    tool_response: Any = Field(
        default=None, validation_alias=AliasChoices("tool_response", "toolResponse")
    )
    compact_summary: _Text = None

    @property
    def turn(self) -> str:
        """Id of the prompt to which the event belongs; empty if the client sends no id."""
        return self.prompt_id or self.turn_id or ""

    @property
    def user_prompt(self) -> str | None:
        """The text of the user's prompt; None for a slash command and for a prompt that the client
        sent by itself.
        """
        if (
            self.prompt is None
            or self.prompt.startswith("/")
            or self.source in _CLIENT_PROMPT_SOURCES
        ):
            return None
        return self.prompt

    @property
    def folder(self) -> str | None:
        """The folder in which the session began, if the transcript's path reveals it; else the
        current folder.

        Claude Code stores a transcript in a folder with the name of the path where the session
        began, in which "-" replaces all but letters and digits. So only the current folder and its
        parents can be recognised.
        """
        if self.cwd is None or self.transcript_path is None:
            return self.cwd
        paths = PurePosixPath if self.cwd.startswith("/") else PureWindowsPath
        start = paths(self.transcript_path).parent.name
        current = paths(self.cwd)
        folders = [str(folder) for folder in (current, *current.parents)]
        return next(
            (folder for folder in folders if re.sub("[^A-Za-z0-9]", "-", folder) == start), self.cwd
        )


InjectingEvent: TypeAlias = Literal["SessionStart", "UserPromptSubmit"]
"""Names of the events whose answers can add text to what the model reads."""


class HookOutput(Answer):
    """The part of a hook's answer with the text (additionalContext) that the client adds to what
    the model reads.
    """

    hookEventName: InjectingEvent  # noqa: N815 - the clients' name
    additionalContext: str  # noqa: N815 - the clients' name


class HookAnswer(Answer):
    """The answer to a client's hook; an empty object if there is nothing to add to what the model
    reads.
    """

    hookSpecificOutput: OmittedIfNone[HookOutput] = None  # noqa: N815 - the clients' name

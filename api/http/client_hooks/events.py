"""Events that the hooks of Claude Code, Codex and VS Code post, and the answers in the form that these clients read.

Clients add fields and events in new releases. What is not known is ignored; a field of another type counts as missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath
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
"""Events that are counted by name; others are counted together."""

_NOT_SAID_BY_THE_USER = frozenset({"system", "loop_wakeup", "schedule_wakeup", "poll_event"})
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _text(value: object) -> str | None:
    """`value` without terminal codes and control characters, lone surrogates replaced; None if empty or no string."""
    if not isinstance(value, str):
        return None
    return _CONTROL.sub("", value).encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip() or None


_Text: TypeAlias = Annotated[str | None, BeforeValidator(_text, json_schema_input_type=Any)]


class ClientEvent(BaseModel):
    """An event of a client's session. Two field names may be in camel case, as VS Code writes them (hookEventName).

    cwd: the session's current folder. prompt_id, turn_id: id of the prompt; the event that reports the answer has the
    same. source: what began the session or the prompt. agent_type: kind of the subagent that stops.
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
    compact_summary: _Text = None

    @property
    def turn(self) -> str:
        """Id of the prompt that the event belongs to; empty if the client names none."""
        return self.prompt_id or self.turn_id or ""

    @property
    def said(self) -> str | None:
        """The prompt; None for a slash command, or if the user did not write it."""
        if self.prompt is None or self.prompt.startswith("/") or self.source in _NOT_SAID_BY_THE_USER:
            return None
        return self.prompt

    @property
    def folder(self) -> str | None:
        """The folder in which the session began if the path of its transcript tells, else the current one.

        Claude Code names the folder of transcripts after that folder, with "-" for all but letters and digits.
        """
        if self.cwd is None or self.transcript_path is None:
            return self.cwd
        paths = PurePosixPath if self.cwd.startswith("/") else PureWindowsPath
        began, current = paths(self.transcript_path).parent.name, paths(self.cwd)
        folders: tuple[PurePath, ...] = (current, *current.parents)
        return next((str(each) for each in folders if re.sub("[^A-Za-z0-9]", "-", str(each)) == began), self.cwd)


InjectingEvent: TypeAlias = Literal["SessionStart", "UserPromptSubmit"]
"""The events whose answers add text to what the model reads."""


class HookOutput(Answer):
    """Text that the client adds to what the model reads."""

    hookEventName: InjectingEvent  # noqa: N815 - the clients' name
    additionalContext: str  # noqa: N815 - the clients' name


class HookAnswer(Answer):
    """The answer to a hook; empty where there is nothing to add."""

    hookSpecificOutput: OmittedIfNone[HookOutput] = None  # noqa: N815 - the clients' name


@dataclass(frozen=True, slots=True)
class HookClient:
    """A client program. model: counts tokens for events that name no model; an unknown one has the widest margin."""

    name: str
    title: str
    model: str

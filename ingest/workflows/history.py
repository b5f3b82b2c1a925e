"""A workflow's history as text within a budget of tokens. Pure but for the counting.

Every piece ends with a newline and begins with "-", "#" or "<", so tokens add up; see `memtypes.search.piece`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memtypes.live.events import Event, WorkflowEventType
from memtypes.live.workflow_state import StepStatus, WorkflowState
from memtypes.model.times import rfc3339
from memtypes.ports.tokenizer import Tokenizer
from memtypes.search.piece import bullet

OPENING = "<memories>\n"
CLOSING = "</memories>\n"
CUT_MARK = " [cut]"
LEAST = 24
"""Tokens of the shortest piece of a cut event that says something: its time takes 15, the mark 3."""

_WORDS = {
    WorkflowEventType.STARTED: "workflow started",
    WorkflowEventType.STEP_STARTED: "started",
    WorkflowEventType.STEP_COMPLETED: "completed",
    WorkflowEventType.STEP_FAILED: "failed",
    WorkflowEventType.RESOURCE_CHANGED: "resources changed",
    WorkflowEventType.DATA_SET: "data set",
    WorkflowEventType.NOTE: "note",
    WorkflowEventType.COMPLETED: "workflow completed",
    WorkflowEventType.FAILED: "workflow failed",
    WorkflowEventType.CANCELLED: "workflow cancelled",
}
_ENDS = {StepStatus.COMPLETED: WorkflowEventType.STEP_COMPLETED, StepStatus.FAILED: WorkflowEventType.STEP_FAILED}


@dataclass(frozen=True, slots=True)
class Past:
    """One workflow of a chain with its events, oldest first."""

    workflow_id: str
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class History:
    """text: at most the budget. tokens: of the whole text. omitted: events that are not in it, or not whole."""

    text: str
    tokens: int
    omitted: int


def history(chain: Sequence[Past], budget: int, tokenizer: Tokenizer) -> History:
    """What happened in `chain`, oldest workflow first: collected newest first until the budget, shown oldest first.

    An event that takes more than half of the budget is cut, with a mark. At the first that does not fit the history
    ends: nothing older is shown, so that there is no hole in it.
    """
    filling = _Filling(tokenizer, budget)
    for past in reversed(chain):
        filling.take(past)
    text = filling.text()
    total = sum(len(past.events) for past in chain)
    return History(text, tokenizer.count(text), total - filling.whole)


class _Filling:
    def __init__(self, tokenizer: Tokenizer, budget: int) -> None:
        self._tokenizer = tokenizer
        self._budget = budget
        self._room = budget - tokenizer.count(OPENING) - tokenizer.count(CLOSING)
        self._parts: list[tuple[str, list[str]]] = []
        self.whole = 0

    def take(self, past: Past) -> None:
        """Add what fits of `past`, newest first."""
        heading = "#" + bullet(f"Workflow {past.workflow_id}")[1:]
        pieces: list[str] = []
        head = self._tokenizer.count(heading)
        for event in reversed(past.events):
            room = self._room - (0 if pieces else head)
            piece, cut = self._fitting(line(event), room)
            if piece is None:
                self._room = 0  # what is older stays out too: a history has no hole in it
                break
            self._room = room - self._tokenizer.count(piece)
            self.whole += not cut
            pieces.append(piece)
        if pieces:
            self._parts.append((heading, pieces))

    def _fitting(self, text: str, room: int) -> tuple[str | None, bool]:
        """The piece of an event in `room`, and whether it was cut; None when it does not fit."""
        limit = self._budget // 2
        allowed = min(room, limit)
        if allowed <= 0:
            return None, False
        piece = bullet(text)
        tokens = self._tokenizer.count(piece)
        if tokens <= allowed:
            return piece, False
        if tokens <= limit or allowed < LEAST:
            return None, False
        while allowed > 0:
            piece = bullet(self._tokenizer.truncate(text, allowed) + CUT_MARK)
            over = self._tokenizer.count(piece) - min(room, limit)
            if over <= 0:
                return piece, True
            allowed -= over
        return None, False

    def text(self) -> str:
        """The whole, oldest first; should a join have cost more than it may, the oldest events go."""
        while self._parts:
            made = "".join(heading + "".join(reversed(pieces)) for heading, pieces in reversed(self._parts))
            made = OPENING + made + CLOSING
            if self._tokenizer.count(made) <= self._budget:
                return made
            self._parts[-1][1].pop()
            self._parts = [part for part in self._parts if part[1]]
        return ""


def line(event: Event) -> str:
    """One event in words: when (to the second), which step, who, and what was said."""
    step = f"step {event.step_id} " if event.step_id is not None else ""
    who = f" by {event.agent}" if event.agent is not None else ""
    parts = [f"{rfc3339(event.at.replace(microsecond=0))} {step}{_WORDS[event.type]}{who}"]
    for name in ("input", "output", "error"):
        value = getattr(event, name)
        if value is not None:
            parts.append(f"{name}: {shown(value)}")
    for name in ("resources", "data"):
        members = getattr(event, name)
        if members:
            parts.append(f"{name}: " + ", ".join(f"{key} = {shown(value)}" for key, value in members.items()))
    return "\n".join(parts)


def shown(value: Any) -> str:
    """`value` as text: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def told_by(state: WorkflowState) -> list[Event]:
    """The events that `state` still tells of, for a workflow whose log is gone: its steps, in their order."""
    told: list[Event] = []
    for step_id, step in state.steps.items():
        at = step.ended_at or step.started_at
        if at is not None:
            kind = _ENDS.get(step.status, WorkflowEventType.STEP_STARTED)
            told.append(Event(kind, at, state.version, step_id, step.agent, step.input, step.output, step.error))
    return sorted(told, key=lambda event: event.at)

"""The history of a workflow chain as text within a token budget.

Every piece ends with a newline and begins with "-", "#" or "<", so token counts add up; see `memtypes.search.passage`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memtypes.live.workflows import Event, StepStatus, WorkflowEventType, WorkflowState, value_text
from memtypes.model.times import rfc3339
from memtypes.ports.encoders import Tokenizer
from memtypes.search.passage import bullet

OPENING = "<memories>\n"
CLOSING = "</memories>\n"
CUT_MARK = " [cut]"
MIN_EVENT_TOKENS = 24
"""Tokens of the shortest cut event that still says something: its time takes 15, the mark 3."""

_LABELS = {
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
_STEP_EVENTS = {
    StepStatus.RUNNING: WorkflowEventType.STEP_STARTED,
    StepStatus.COMPLETED: WorkflowEventType.STEP_COMPLETED,
    StepStatus.FAILED: WorkflowEventType.STEP_FAILED,
}


@dataclass(frozen=True, slots=True)
class WorkflowHistory:
    """The history of a workflow chain as text. omitted: number of events that are cut or left out."""

    text: str
    tokens: int
    omitted: int


def history(chain: Mapping[str, Sequence[Event]], budget: int, tokenizer: Tokenizer) -> WorkflowHistory:
    """The events of each workflow of `chain` by its id, all oldest first, in at most `budget` tokens.

    Events are collected newest first and shown oldest first. An event that takes more than half of the budget is cut.
    Collecting stops at the first event that does not fit, so the history has no gap.
    """
    builder = _HistoryBuilder(tokenizer, budget)
    for workflow_id, events in reversed(list(chain.items())):
        builder.add(workflow_id, events)
    text, total = builder.text(), sum(map(len, chain.values()))
    return WorkflowHistory(text, tokenizer.count(text), total - builder.whole_events)


class _HistoryBuilder:
    def __init__(self, tokenizer: Tokenizer, budget: int) -> None:
        self._tokenizer = tokenizer
        self._budget = budget
        self._room = budget - tokenizer.count(OPENING) - tokenizer.count(CLOSING)
        self._sections: list[tuple[str, list[str]]] = []
        self.whole_events = 0

    def add(self, workflow_id: str, events: Sequence[Event]) -> None:
        """Add the workflow's newest events that fit; after one that does not, nothing older is added."""
        heading = "#" + bullet(f"Workflow {workflow_id}")[1:]
        heading_tokens = self._tokenizer.count(heading)
        pieces: list[str] = []
        for event in reversed(events):
            room = self._room - (0 if pieces else heading_tokens)
            piece, cut = self._fit(event_text(event), room)
            if piece is None:
                self._room = 0  # leave out everything older, so the history has no gap
                break
            self._room = room - self._tokenizer.count(piece)
            self.whole_events += not cut
            pieces.append(piece)
        if pieces:
            self._sections.append((heading, pieces))

    def _fit(self, text: str, room: int) -> tuple[str | None, bool]:
        """`text` as a bullet of at most `room` tokens, and whether it was cut; None if it does not fit."""
        limit = self._budget // 2
        allowed = min(room, limit)
        if allowed <= 0:
            return None, False
        piece = bullet(text)
        tokens = self._tokenizer.count(piece)
        if tokens <= allowed:
            return piece, False
        if tokens <= limit or allowed < MIN_EVENT_TOKENS:
            return None, False
        while allowed > 0:
            piece = bullet(self._tokenizer.truncate(text, allowed) + CUT_MARK)
            over = self._tokenizer.count(piece) - min(room, limit)
            if over <= 0:
                return piece, True
            allowed -= over
        return None, False

    def text(self) -> str:
        """The whole history, oldest first. If it exceeds the budget after all, the oldest events are dropped."""
        while self._sections:
            body = "".join(heading + "".join(reversed(pieces)) for heading, pieces in reversed(self._sections))
            text = OPENING + body + CLOSING
            if self._tokenizer.count(text) <= self._budget:
                return text
            self._sections[-1][1].pop()
            self._sections = [section for section in self._sections if section[1]]
        return ""


def event_text(event: Event) -> str:
    """`event` as text: time (to the second), step, type, agent and values."""
    step = f"step {event.step_id} " if event.step_id is not None else ""
    agent = f" by {event.agent}" if event.agent is not None else ""
    lines = [f"{rfc3339(event.at.replace(microsecond=0))} {step}{_LABELS[event.type]}{agent}"]
    for name in ("reason", "input", "output", "error"):
        value = getattr(event, name)
        if value is not None:
            lines.append(f"{name}: {value_text(value)}")
    for name in ("resources", "data"):
        members = getattr(event, name)
        if members:
            lines.append(f"{name}: " + ", ".join(f"{key} = {value_text(value)}" for key, value in members.items()))
    return "\n".join(lines)


def events_of_state(state: WorkflowState) -> list[Event]:
    """One event for each step of `state`, by time: the history of a workflow whose log has expired."""
    events = [
        Event(_STEP_EVENTS[step.status], at, state.version, step_id, step.agent, step.input, step.output, step.error)
        for step_id, step in state.steps.items()
        if (at := step.ended_at or step.started_at) is not None
    ]
    return sorted(events, key=lambda event: event.at)

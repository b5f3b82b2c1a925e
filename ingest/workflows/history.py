"""Writes the history of a workflow and its ancestors as text within a token budget.

The text has the current values of resources (named values that events set), then the newest events.
It is made of pieces (lines and list items). Each ends with a newline and begins with "-", "#" or
"<", so that the tokens of the text are the sum of the tokens of its pieces; see
`memtypes.markdown`.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto
from typing import Any

from memtypes.live.workflows import (
    STATUS_AFTER,
    Event,
    StepStatus,
    WorkflowEventType,
    WorkflowState,
    value_text,
)
from memtypes.markdown import bullet, cut_bullet
from memtypes.model.times import rfc3339
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.workflows import WorkflowLog

OPENING = "<memories>\n"
CLOSING = "</memories>\n"
VALUES_HEADING = "# Current values\n"
VALUES_MARK = "- [more values are left out]\n"
EVENTS_MARK = "- [older events are left out]\n"
MIN_EVENT_TOKENS = 24
"""Minimum tokens of an entry that is cut to fit: the time of an event takes 15 tokens, the sign of
a cut 3.
"""

SHORTEST_EVENT_TOKENS = 16
"""Tokens of the shortest possible event. A budget divided by it says how many events must be read
at most.
"""

_VALUE_SHARE = 4
"""A single value takes at most a quarter (1 / 4) of the tokens that all values may take."""

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
_ENDS = {status: event for event, status in STATUS_AFTER.items() if status.ended}


class Versions(StrEnum):
    """Which values of a resource (a named value that events set) a history shows.

    newest: only the current value. all: also earlier values, which it has replaced.
    """

    NEWEST = "newest"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class HistoryView:
    """The options for the text of a history.

    budget: maximum tokens, as the caller's model counts them. tokenizer: the tokenizer with which
    this service counts. margin: by which fraction the model may count more tokens than `tokenizer`,
    such as 0.1; so the text has at most budget / (1 + margin) tokens by `tokenizer`. versions:
    whether replaced values of resources are shown.
    """

    budget: int
    tokenizer: Tokenizer
    margin: float = 0.0
    versions: Versions = Versions.NEWEST


@dataclass(frozen=True, slots=True)
class LoggedWorkflow:
    """A workflow of a chain (a workflow and its ancestors) with its state and its newest events,
    oldest first.
    """

    log: WorkflowLog
    state: WorkflowState
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class ChainResource:
    """The newest value of a resource (a named value that events set) in a workflow and its
    ancestors.

    id: its name. workflow_id, version, at: the workflow whose event set it, its version then, and
    the event's time.
    """

    id: str
    value: Any
    version: int
    at: datetime
    workflow_id: str


@dataclass(frozen=True, slots=True)
class HistoryOmissions:
    """Numbers of entries that a history leaves out or cuts: events, values of resources, values of
    the workflow's data.

    older_values: number of omitted values of resources that newer values had replaced.
    """

    events: int = 0
    resources: int = 0
    data: int = 0
    older_values: int = 0


@dataclass(frozen=True, slots=True)
class WorkflowHistory:
    """The history of a workflow and its ancestors as text.

    total_tokens: upper limit for the tokens that the caller's model counts. omitted: what was left
    out or cut.
    """

    text: str
    total_tokens: int
    omitted: HistoryOmissions


def history(chain: Sequence[LoggedWorkflow], view: HistoryView) -> WorkflowHistory:
    """Write the current values and the newest events of a chain of workflows as text within the
    view's budget.

    chain: a workflow preceded by its ancestors, oldest first. Values (of resources and data) get
    half of the budget, or more if the events leave some free; a value that does not fit is left
    out. A value that takes more than a quarter of the tokens for values is cut. Events are selected
    from the newest back, without a gap, and shown oldest first. An event is cut if it takes more
    than half of the tokens for events and more than twice MIN_EVENT_TOKENS.
    """
    return _HistoryWriter(chain, view).write()


def current_resources(chain: Iterable[tuple[str, WorkflowState]]) -> list[ChainResource]:
    """The newest value of each resource in `chain` (id and state, oldest workflow first), latest
    value first.
    """
    newest: dict[str, ChainResource] = {}
    for workflow_id, state in chain:
        for name, value in state.resources.items():
            older = newest.get(name)
            if older is None or older.at <= value.at:
                newest[name] = ChainResource(
                    name, value.value, value.version, value.at, workflow_id
                )
    return sorted(newest.values(), key=lambda entry: (entry.at, entry.version), reverse=True)


class _Kind(StrEnum):
    HEADING = auto()
    RESOURCE = auto()
    DATA = auto()
    EVENT = auto()


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A line or entry of a history. complete: False if it was cut. older: number of outdated values
    that it shows.
    """

    kind: _Kind
    text: str
    tokens: int
    complete: bool = True
    older: int = 0


class _HistoryWriter:
    def __init__(self, chain: Sequence[LoggedWorkflow], view: HistoryView) -> None:
        self._chain = chain
        self._view = view
        self._tokenizer = view.tokenizer
        self._count = functools.cache(view.tokenizer.count)
        self._budget = math.floor(view.budget / (1.0 + view.margin))
        self._current = current_resources(
            (workflow.log.workflow_id, workflow.state) for workflow in chain
        )
        self._sources = {
            (resource.id, resource.workflow_id, resource.version) for resource in self._current
        }
        self._data: dict[str, Any] = {}
        for workflow in chain:
            self._data |= workflow.state.data

    def write(self) -> WorkflowHistory:
        """Return the history as text. To fit the budget, the oldest events are left out first, then
        values.
        """
        room = self._budget - self._count(OPENING) - self._count(CLOSING)
        values = self._values(room // 2)
        events = self._events(room - _tokens(values))
        shown = sum(piece.kind is not _Kind.HEADING and piece.complete for piece in values)
        if shown < len(self._current) + len(self._data):
            values = self._values(room - _tokens(events))
        pieces = [*values, *events]
        while pieces and self._tokenizer.count(_text(pieces)) > self._budget:
            pieces.remove(
                next((piece for piece in pieces if piece.kind is _Kind.EVENT), pieces[-1])
            )
        text = _text(pieces) if any(piece.kind is not _Kind.HEADING for piece in pieces) else ""
        tokens = math.ceil(self._tokenizer.count(text) * (1.0 + self._view.margin))
        return WorkflowHistory(text, tokens, self._omitted(pieces if text else []))

    def _values(self, room: int) -> list[_Piece]:
        """Current values under a heading, newest first, in at most `room` tokens; a last line if
        some are left out.
        """
        entries = [(_Kind.RESOURCE, entry.id, entry.value) for entry in self._current]
        entries += [(_Kind.DATA, name, value) for name, value in self._data.items()]
        heading = self._heading(VALUES_HEADING)
        mark = self._heading(VALUES_MARK)
        pieces: list[_Piece] = []
        free = room - heading.tokens - mark.tokens
        limit = room // _VALUE_SHARE
        for kind, name, value in entries:
            text = f"{name} = {value_text(value)}"
            # A cut value must not take the tokens of others
            fits = free >= limit or self._count(bullet(text)) <= free
            piece = self._fit(kind, text, free, limit) if fits else None
            if piece is not None:
                pieces.append(piece)
                free -= piece.tokens
        if not pieces:
            return []
        return [heading, *pieces, *([] if len(pieces) == len(entries) else [mark])]

    def _events(self, room: int) -> list[_Piece]:
        """The newest events in at most `room` tokens, oldest first; above them, a line if older
        ones are left out.
        """
        events = self._newest_events(room)
        shown = sum(piece.kind is _Kind.EVENT for piece in events)
        if shown == sum(workflow.log.version for workflow in self._chain):
            return events
        mark = self._heading(EVENTS_MARK)
        events = self._newest_events(room - mark.tokens)
        return [mark, *events] if mark.tokens <= room else []

    def _newest_events(self, room: int) -> list[_Piece]:
        """The newest events that fit into `room` tokens, without a gap, oldest first; each workflow
        has a heading.
        """
        limit = max(room // 2, 2 * MIN_EVENT_TOKENS)
        pieces = list[_Piece]()
        for workflow in reversed(self._chain):
            title = f"Workflow {workflow.log.workflow_id} ({workflow.state.status})"
            heading = self._heading("#" + bullet(title)[1:])
            free = room - _tokens(pieces) - heading.tokens
            shown = 0
            for event in reversed(workflow.events):
                text, older = self._event_text(workflow.log.workflow_id, event)
                piece = self._fit(_Kind.EVENT, text, free, limit, older)
                if piece is None:
                    return [*([heading] if shown else []), *reversed(pieces)]
                pieces.append(piece)
                free = free - piece.tokens
                shown = shown + 1
            if shown:
                pieces.append(heading)
            if len(workflow.events) < workflow.log.version and not workflow.log.lost:
                # Older events of this workflow were not read; events of its parents would leave a
                # gap
                break
        return list(reversed(pieces))

    def _event_text(self, workflow_id: str, event: Event) -> tuple[str, int]:
        """The text of `event`, with only the names of current values, and how many outdated values
        it shows.
        """
        all_versions = self._view.versions is Versions.ALL
        replaced = {
            name
            for name in event.resources
            if (name, workflow_id, event.version) not in self._sources
        }
        lines = [event_text(event)]
        if event.resources:
            lines.append("resources: " + _names(event.resources, replaced, values=all_versions))
        if event.data:
            changed = {name for name, value in event.data.items() if self._data.get(name) != value}
            lines.append("data: " + _names(event.data, changed, values=all_versions))
        return "\n".join(lines), len(replaced) if all_versions else 0

    def _fit(self, kind: _Kind, text: str, room: int, limit: int, older: int = 0) -> _Piece | None:
        """A list item of `text` in `room` tokens, cut if over `limit`; None if it does not fit."""
        allowed = min(room, limit)
        if allowed <= 0:
            return None
        piece = bullet(text)
        tokens = self._count(piece)
        if tokens <= allowed:
            return _Piece(kind, piece, tokens, older=older)
        if tokens <= limit or allowed < MIN_EVENT_TOKENS:
            return None
        piece, tokens = cut_bullet(text, allowed, self._tokenizer)
        return _Piece(kind, piece, tokens, complete=False) if piece else None

    def _heading(self, text: str) -> _Piece:
        return _Piece(_Kind.HEADING, text, self._count(text))

    def _omitted(self, pieces: Sequence[_Piece]) -> HistoryOmissions:
        complete = Counter(piece.kind for piece in pieces if piece.complete)
        events = sum(workflow.log.version for workflow in self._chain)
        values = sum(
            value.values for workflow in self._chain for value in workflow.state.resources.values()
        )
        older = values - len(self._current) - sum(piece.older for piece in pieces)
        resources = len(self._current) - complete[_Kind.RESOURCE] + older
        return HistoryOmissions(
            max(0, events - complete[_Kind.EVENT]),
            resources,
            len(self._data) - complete[_Kind.DATA],
            older,
        )


def _tokens(pieces: Sequence[_Piece]) -> int:
    return sum(piece.tokens for piece in pieces)


def _text(pieces: Sequence[_Piece]) -> str:
    return OPENING + "".join(piece.text for piece in pieces) + CLOSING


def _names(members: dict[str, Any], replaced: set[str], *, values: bool) -> str:
    """List the names of `members`. Those in `replaced` are marked as such and, if `values`, shown
    with their value.
    """
    return ", ".join(
        (f"{name} = {value_text(value)} (replaced)" if values else f"{name} (replaced)")
        if name in replaced
        else name
        for name, value in members.items()
    )


def event_text(event: Event) -> str:
    """The time (to the second), step, type, agent, reason, input, output and error of `event`, as
    text.
    """
    step = f"step {event.step_id} " if event.step_id is not None else ""
    agent = f" by {event.agent}" if event.agent is not None else ""
    lines = [f"{rfc3339(event.at.replace(microsecond=0))} {step}{_LABELS[event.type]}{agent}"]
    for name in ("reason", "input", "output", "error"):
        value = getattr(event, name)
        if value is not None:
            lines.append(f"{name}: {value_text(value)}")
    return "\n".join(lines)


def events_of_state(state: WorkflowState) -> list[Event]:
    """Events made from the state of a workflow whose log has expired: one for each step, by time,
    then its end.
    """
    events = [
        Event(
            _STEP_EVENTS[step.status],
            at,
            state.version,
            step_id,
            step.agent,
            step.input,
            step.output,
            step.error,
        )
        for step_id, step in state.steps.items()
        if (at := step.ended_at or step.started_at) is not None
    ]
    ends = [
        Event(
            _ENDS[change.status],
            change.at,
            change.version,
            agent=change.actor,
            reason=change.reason,
        )
        for change in state.changes
        if change.status.ended
    ]
    return sorted(events, key=lambda event: event.at) + ends

"""Prospective memory: intentions, such as to-dos and reminders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

from memtypes.model.memory import (
    MAX_EARLIER,
    Draft,
    Label,
    Line,
    Memory,
    Number,
    State,
    StrictModel,
    Whole,
    state_at,
)
from memtypes.model.policy import MemoryType
from memtypes.model.times import Instant, rfc3339


class IntentionType(StrEnum):
    """Kinds of intention that a prospective memory describes."""

    TODO = "todo"
    REMINDER = "reminder"
    FOLLOWUP = "followup"
    COMMITMENT = "commitment"


class TriggerType(StrEnum):
    """What makes an intention (such as a to-do or a reminder) due: a time, an event or a
    situation.
    """

    TIME = "time"
    EVENT = "event"
    CONTEXT = "context"


class Status(StrEnum):
    """The progress of an intention, such as a to-do. pending and active intentions are
    unfinished.

    An unfinished one has lapsed from its `lapses_at` on, whatever its stored status. That is set
    to lapsed by the next write to its namespace of something said after that time.
    """

    PENDING = "pending"
    ACTIVE = "active"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


OPEN: frozenset[Status] = frozenset({Status.PENDING, Status.ACTIVE})
"""The statuses of an unfinished intention."""

CLOSED: frozenset[Status] = frozenset({Status.COMPLETED, Status.CANCELLED})
"""The statuses of an intention that somebody has ended."""


class TaskChange(StrEnum):
    """What a text, a caller or (LAPSED) time alone does to an intention."""

    DONE = "done"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"
    MOVED = "moved"
    REOPENED = "reopened"


_ENDINGS = {
    Status.COMPLETED: TaskChange.DONE,
    Status.CANCELLED: TaskChange.CANCELLED,
    Status.LAPSED: TaskChange.LAPSED,
}

BY_CALLER = "changed by a caller"
BY_TIME = "an appointment whose time is over"
BY_SUCCESSOR = "another memory took its place"


class StatusTimes(Protocol):
    """The fields of an intention that determine its status at a time; see `Prospective`."""

    @property
    def status(self) -> Status:
        """The status that is stored."""

    @property
    def lapses_at(self) -> datetime | None:
        """When nothing is left to do because its time is over."""

    @property
    def closed_at(self) -> datetime | None:
        """Since when it was completed or cancelled, the last time that it was."""

    @property
    def reopened_at(self) -> datetime | None:
        """Until when it was completed or cancelled, if it is not any more."""


def status_at(moment: datetime, task: StatusTimes) -> Status:
    """The status of an intention at `moment`: before it was closed it was open, and time alone
    makes it lapse.
    """
    if _is_closed(moment, task):
        return task.status if task.status in CLOSED else Status.COMPLETED
    if task.lapses_at is None:
        return Status.PENDING if task.status in CLOSED else task.status
    if task.lapses_at <= moment:
        return Status.LAPSED
    return task.status if task.status in OPEN else Status.PENDING


def _is_closed(moment: datetime, task: StatusTimes) -> bool:
    if task.status in CLOSED:
        return task.closed_at is None or task.closed_at <= moment
    if task.closed_at is None or task.reopened_at is None:
        return False
    return task.closed_at <= moment < task.reopened_at


class TaskAct(StrictModel):
    """What a later text, or a caller, did to an intention.

    at: when the text was said. reason: how the service knows. by: id of the memory that tells it;
    None if a caller did it, or if the text was not kept. text: the words of a text that was not
    kept. due_at, status: those that the intention had before. earlier: id of the intention that a
    moved one continues. sure: the reader's probability, 1 for what a caller or time alone did; left
    out where it is not known.

    Written as JSON, `how` is `as`. It was `how` in earlier data folders, which had no `sure`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", serialize_by_alias=True, validate_by_name=True
    )

    how: TaskChange = Field(alias="as")
    at: Instant
    reason: Label
    sure: Annotated[
        Annotated[Number, Field(ge=0.0, le=1.0)] | None,
        Field(exclude_if=lambda value: value is None),
    ] = None
    by: str | None = None
    text: Label | None = None
    due_at: Instant | None = None
    status: Status | None = None
    earlier: str | None = None


class ProspectiveFields(BaseModel):
    """The fields that only an intention (a prospective memory) has.

    due_text: the words that state `due_at`, such as "next Friday". lapses_at: when nothing is left
    to do because its time is over, as of an appointment; None for what stays to be done, such as a
    deadline that was missed. fired_at: when it was last reported as due. speaker: who said it.
    Contexts show it where the text has a word such as "I" or "my".
    """

    intention_type: IntentionType = IntentionType.TODO
    title: Label | None = None
    trigger_type: TriggerType = TriggerType.TIME
    trigger_condition: Line | None = None
    priority: Whole = Field(default=3, ge=1, le=5)
    status: Status = Status.PENDING
    due_at: Instant | None = None
    due_text: Label | None = None
    lapses_at: Instant | None = None
    fired_at: Instant | None = None
    completed_at: Instant | None = None
    speaker: Label | None = None


class ProspectiveDraft(ProspectiveFields, Draft):
    """An intention (such as a to-do or a reminder) to remember, as a caller sends it."""

    type: Literal[MemoryType.PROSPECTIVE]


class Prospective(ProspectiveFields, Memory):
    """A stored prospective memory: an intention, such as a to-do or a reminder.

    ended: what ended it: a text or a caller, its time that is over, or another memory that took its
    place. None while it is open. said: what seems to have ended it, while that is
    not sure. history: how it came to its present time, and what ended it before it was opened
    again, the newest last.
    kept_from: hashes of the texts whose act on it was undone, so that they never act on it again.
    closed_at: since when it was completed or cancelled, the last time that it was; None if it never
    was, or if that is not known. reopened_at: when it was opened again after that.
    """

    own_fields: ClassVar[frozenset[str]] = frozenset(ProspectiveFields.model_fields)
    title_field: ClassVar[str | None] = "title"

    type: Literal[MemoryType.PROSPECTIVE] = MemoryType.PROSPECTIVE
    ended: TaskAct | None = None
    said: TaskAct | None = None
    history: list[TaskAct] = Field(default_factory=list, max_length=MAX_EARLIER)
    kept_from: list[str] = Field(default_factory=list, max_length=MAX_EARLIER)
    closed_at: Instant | None = None
    reopened_at: Instant | None = None

    def identity(self) -> tuple[str | None, ...]:
        """The values of an intention that determine its id: content, due time, trigger and, if
        private, the session.
        """
        due = rfc3339(self.due_at) if self.due_at else None
        return (*super().identity(), due, self.trigger_condition)

    def open_at(self, moment: datetime) -> bool:
        """Whether the intention is unfinished at `moment`, and has not lapsed."""
        return status_at(moment, self) in OPEN

    def at(self, now: datetime) -> Self:
        """The intention with its state at `now`, and as lapsed if its time is over by then.

        One whose time was over when it was written, as by an import of the past, lapses only when
        something is written that was said after that time.
        """
        memory = super().at(now)
        status = self._status_by_clock(now)
        ended = self._ended(status, now)
        if status is memory.status and ended == memory.ended:
            return memory
        return memory.model_copy(update={"status": status, "ended": ended})

    def _status_by_clock(self, now: datetime) -> Status:
        if self.status in CLOSED or self.lapses_at is None:
            return self.status
        if self.status in OPEN and self.lapses_at <= self.updated_at:
            return self.status
        return status_at(now, self)

    def as_of(self, moment: datetime) -> Self:
        """The intention with the status that it had at `moment`, and without what texts did to it
        later.
        """
        status = status_at(moment, self)
        fields: dict[str, Any] = {}
        if status is not self.status:
            fields["status"] = status
            if status not in CLOSED:
                fields["completed_at"] = None
        ended = self._ended(status, moment)
        if ended != self.ended:
            fields["ended"] = ended
        if self.said is not None and self.said.at > moment:
            fields["said"] = None
        return self.model_copy(update=fields) if fields else self

    def _ended(self, status: Status, moment: datetime) -> TaskAct | None:
        """What had ended it by `moment`, when it had this status. Only who closed it is always
        stored; the rest follows from its times and its successor.
        """
        if status in CLOSED:
            return self.ended if self.status in CLOSED else None
        state = state_at(moment, self.state, self.valid_to, self.state_until)
        if state is State.REPLACED and self.superseded_by is not None and not self.ended_by_upkeep:
            return self._move(self.superseded_by, moment)
        if status is Status.LAPSED:
            return self.lapse(moment)
        return None

    def _move(self, successor: str, moment: datetime) -> TaskAct:
        """That it goes on as the memory `successor`: stored if a reader told it."""
        told = self.ended
        if told is not None and (told.how, told.by) == (TaskChange.MOVED, successor):
            return told
        return TaskAct(
            how=TaskChange.MOVED,
            at=self.valid_to or moment,
            reason=self.state_reason or BY_SUCCESSOR,
            by=successor,
        )

    def lapse(self, moment: datetime) -> TaskAct:
        """That its time is over: since `moment`, if nobody knows since when."""
        if self.ended is not None and self.ended.how is TaskChange.LAPSED:
            return self.ended
        at = self.lapses_at or moment
        return TaskAct(how=TaskChange.LAPSED, at=at, reason=BY_TIME, sure=1.0)

    def following(self, before: Prospective, now: datetime) -> dict[str, Any]:
        """Fields to set, besides those that the caller changed at `now`, when the intention
        `before` became this one.

        A new due time, trigger or open status clears `fired_at`, so that the intention is reported
        as due again. A new due time clears `due_text`, and moves `lapses_at` by as much; so what
        had lapsed is open again. The former one is added to `history`. What had lapsed and is
        opened without a new due time never lapses again. `completed_at`, `closed_at` and
        `reopened_at` follow the status. What a caller says of the status holds, whatever texts
        said before.
        """
        rescheduled = _schedule(self) != _schedule(before)
        fields: dict[str, Any] = {}
        if self.status in OPEN and (rescheduled or self.status is not before.status):
            fields["fired_at"] = None
        if rescheduled and self.status in OPEN and before.fired_at is not None:
            fields["status"] = Status.PENDING
        if self.due_at != before.due_at:
            fields["due_text"] = None
            fields["lapses_at"] = moved_lapse(before, self.due_at)
            moved = TaskAct(
                how=TaskChange.MOVED, at=now, reason=BY_CALLER, sure=1.0, due_at=before.due_at
            )
            fields["history"] = with_act(self.history, moved)
            if self.status is Status.LAPSED:
                fields["status"] = Status.PENDING
        elif self.status in OPEN and before.status is Status.LAPSED:
            fields["lapses_at"] = None
        if self.status is not before.status:
            history = fields.get("history", self.history)
            fields |= _ends(self.status, before, history, now)
        return fields

    def embedding_text(self) -> str:
        """The text to embed: title (unless it is the content's first line), content, trigger and
        due day.
        """
        when = f" (when: {self.trigger_condition})" if self.trigger_condition else ""
        due = f" (due {self.due_at.day} {self.due_at:%B %Y %A})" if self.due_at else ""
        return f"{self.content_with_title('. ')}{when}{due}"


def moved_lapse(before: Prospective, due_at: datetime | None) -> datetime | None:
    """When the intention `before` lapses if it is due at `due_at` instead; None if it does not."""
    if due_at is None or before.due_at is None or before.lapses_at is None:
        return None
    return due_at + (before.lapses_at - before.due_at)


def with_act(history: Sequence[TaskAct], act: TaskAct) -> list[TaskAct]:
    """The history of an intention with `act` as its newest entry; the oldest may be dropped."""
    return sorted([*history, act], key=lambda entry: entry.at)[-MAX_EARLIER:]


def reopened_history(task: Prospective, history: Sequence[TaskAct], act: TaskAct) -> list[TaskAct]:
    """`history` with what had ended `task`, and then `act`, which opens it again."""
    if task.status is Status.LAPSED:
        end = task.lapse(act.at)
    else:
        end = task.ended or _end_by_caller(task.status, task.closed_at or act.at)
    return with_act(with_act(history, end), act)


def _ends(
    status: Status, before: Prospective, history: Sequence[TaskAct], now: datetime
) -> dict[str, Any]:
    """The fields to set when a caller changes the status of the intention `before`."""
    fields: dict[str, Any] = {"ended": None, "said": None}
    if Status.COMPLETED in (status, before.status):
        fields["completed_at"] = now if status is Status.COMPLETED else None
    if status not in OPEN:
        fields["ended"] = _end_by_caller(status, now)
    if status in CLOSED and before.status not in CLOSED:
        fields |= {"closed_at": now, "reopened_at": None}
    if status not in CLOSED and before.status in CLOSED:
        fields["reopened_at"] = now
    if status in OPEN and before.status not in OPEN:
        opened = TaskAct(
            how=TaskChange.REOPENED, at=now, reason=BY_CALLER, sure=1.0, status=before.status
        )
        fields["history"] = reopened_history(before, history, opened)
    return fields


def _end_by_caller(status: Status, at: datetime) -> TaskAct:
    return TaskAct(how=_ENDINGS[status], at=at, reason=BY_CALLER, sure=1.0)


def _schedule(intention: Prospective) -> tuple[datetime | None, TriggerType, str | None]:
    return intention.due_at, intention.trigger_type, intention.trigger_condition

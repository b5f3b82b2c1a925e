"""Prospective memory: intentions, such as to-dos and reminders."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from memtypes.model.memory import Draft, Label, Line, Memory, Whole
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

    An unfinished one has lapsed from its `lapses_at` on. It is marked as lapsed when something is
    written to its namespace that was said after that time.
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


def status_at(moment: datetime, status: Status, lapses_at: datetime | None) -> Status:
    """The status of an intention at `moment`, from its stored fields: time alone makes it lapse."""
    if status in CLOSED or lapses_at is None:
        return status
    if lapses_at <= moment:
        return Status.LAPSED
    return Status.PENDING if status is Status.LAPSED else status


class ProspectiveFields(BaseModel):
    """The fields that only an intention (a prospective memory) has.

    due_text: the words that state `due_at`, such as "next Friday". lapses_at: when nothing is left
    to do because its time is over, as of an appointment; None for what stays to be done, such as a
    deadline that was missed. fired_at: when it was last reported as due.
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


class ProspectiveDraft(ProspectiveFields, Draft):
    """An intention (such as a to-do or a reminder) to remember, as a caller sends it."""

    type: Literal[MemoryType.PROSPECTIVE]


class Prospective(ProspectiveFields, Memory):
    """A stored prospective memory: an intention, such as a to-do or a reminder."""

    own_fields: ClassVar[frozenset[str]] = frozenset(ProspectiveFields.model_fields)
    title_field: ClassVar[str | None] = "title"

    type: Literal[MemoryType.PROSPECTIVE] = MemoryType.PROSPECTIVE

    def identity(self) -> tuple[str | None, ...]:
        """The values of an intention that determine its id: content, due time, trigger and, if
        private, the session.
        """
        due = rfc3339(self.due_at) if self.due_at else None
        return (*super().identity(), due, self.trigger_condition)

    def open_at(self, moment: datetime) -> bool:
        """Whether the intention is unfinished at `moment`, and has not lapsed."""
        return status_at(moment, self.status, self.lapses_at) in OPEN

    def following(self, before: Prospective, now: datetime) -> dict[str, Any]:
        """Fields to set, besides those that the caller changed at `now`, when the intention
        `before` became this one.

        A new due time, trigger or open status clears `fired_at`, so that the intention is reported
        as due again. A new due time clears `due_text`, and moves `lapses_at` by as much; so what
        had lapsed is open again. `completed_at` follows the status.
        """
        rescheduled = _schedule(self) != _schedule(before)
        fields: dict[str, Any] = {}
        if self.status in OPEN and (rescheduled or self.status is not before.status):
            fields["fired_at"] = None
        if rescheduled and self.status in OPEN and before.fired_at is not None:
            fields["status"] = Status.PENDING
        if self.due_at != before.due_at:
            fields["due_text"] = None
            fields["lapses_at"] = self._moved_lapse(before)
            if self.status is Status.LAPSED:
                fields["status"] = Status.PENDING
        if Status.COMPLETED in (self.status, before.status) and self.status is not before.status:
            fields["completed_at"] = now if self.status is Status.COMPLETED else None
        return fields

    def _moved_lapse(self, before: Prospective) -> datetime | None:
        if self.due_at is None or before.due_at is None or before.lapses_at is None:
            return None
        return self.due_at + (before.lapses_at - before.due_at)

    def embedding_text(self) -> str:
        """The text to embed: title (unless it is the content's first line), content, trigger and
        due day.
        """
        when = f" (when: {self.trigger_condition})" if self.trigger_condition else ""
        due = f" (due {self.due_at.day} {self.due_at:%B %Y %A})" if self.due_at else ""
        return f"{self.content_with_title('. ')}{when}{due}"


def _schedule(intention: Prospective) -> tuple[datetime | None, TriggerType, str | None]:
    return intention.due_at, intention.trigger_type, intention.trigger_condition

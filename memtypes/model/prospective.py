"""Prospective memory: intentions, such as to-dos and reminders."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from memtypes.model.memory import Draft, Label, Line, Memory, Whole
from memtypes.model.policy import MemoryType
from memtypes.model.times import Instant, rfc3339


class IntentionType(StrEnum):
    """The kinds of intention."""

    TODO = "todo"
    REMINDER = "reminder"
    FOLLOWUP = "followup"
    COMMITMENT = "commitment"


class TriggerType(StrEnum):
    """What makes an intention due."""

    TIME = "time"
    EVENT = "event"
    CONTEXT = "context"


class Status(StrEnum):
    """The state of an intention."""

    PENDING = "pending"
    ACTIVE = "active"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


OPEN: frozenset[Status] = frozenset({Status.PENDING, Status.ACTIVE})
"""The states of an unfinished intention."""


class ProspectiveFields(BaseModel):
    """The fields that only an intention has.

    due_text: the words of the content that state due_at. fired_at: when the intention was last delivered as due.
    """

    intention_type: IntentionType = IntentionType.TODO
    title: Label | None = None
    trigger_type: TriggerType = TriggerType.TIME
    trigger_condition: Line | None = None
    priority: Whole = Field(default=3, ge=1, le=5)
    status: Status = Status.PENDING
    due_at: Instant | None = None
    due_text: Label | None = None
    fired_at: Instant | None = None
    completed_at: Instant | None = None


class ProspectiveDraft(ProspectiveFields, Draft):
    """An intention as a caller sends it."""

    type: Literal[MemoryType.PROSPECTIVE]


class Prospective(ProspectiveFields, Memory):
    """A stored intention."""

    own_fields: ClassVar[frozenset[str]] = frozenset(ProspectiveFields.model_fields)
    title_field: ClassVar[str | None] = "title"

    type: Literal[MemoryType.PROSPECTIVE] = MemoryType.PROSPECTIVE

    def identity(self) -> tuple[str | None, ...]:
        """What distinguishes two intentions: content, due time and trigger, and for a private one its session."""
        due = rfc3339(self.due_at) if self.due_at else None
        return (*super().identity(), due, self.trigger_condition)

    def embedding_text(self) -> str:
        """The title (unless it is the content's first line), the content, the trigger and the due day."""
        when = f" (when: {self.trigger_condition})" if self.trigger_condition else ""
        due = f" (due {self.due_at.day} {self.due_at:%B %Y %A})" if self.due_at else ""
        return f"{self.titled('. ')}{when}{due}"

    def line(self) -> str:
        """The entry in a context: the status, the content and what makes it due."""
        due = f" (due {self.due_at:%Y-%m-%d %H:%M}Z)" if self.due_at else ""
        when = f" (when: {self.trigger_condition})" if self.trigger_condition else ""
        return f"[{self.status}] {self.content}{due}{when}"

"""Working memory: notes on the current task."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, Field, model_validator

from memtypes.model.memory import Draft, Memory, Whole
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name
from memtypes.model.times import Instant

STORED_LIFE = timedelta(hours=24)
"""Time after which a working memory expires that is stored without an `expires_at`."""

_FORMER = frozenset({"live", "fence"})
"""Fields by which earlier versions, also in exports, marked copies of live items."""


class ContextType(StrEnum):
    """Kinds of content that a caller can declare for a working item (a note on the current
    task).
    """

    TASK_CONTEXT = "task_context"
    VARIABLES = "variables"
    STATE = "state"
    REFERENCES = "references"


class WorkingScope(StrEnum):
    """For how long the caller needs a working item (a note on the current task). The service only
    stores this.
    """

    TASK = "task"
    SUBTASK = "subtask"
    SESSION = "session"


class TodoStatus(StrEnum):
    """The status of a to-do that is not over."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"


class ClearReason(StrEnum):
    """Why a working item is no longer shown.

    The first three are what became of its to-do. replaced: the to-do got another text. cleared: a
    caller asked for it. expired: it was not used for its time to live.
    """

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    REPLACED = "replaced"
    CLEARED = "cleared"
    SESSION_ENDED = "session_ended"
    WORKFLOW_ENDED = "workflow_ended"
    EXPIRED = "expired"


class WorkingFields(BaseModel):
    """The fields that only a working item (a working memory) has.

    todo_id: the to-do to which it belongs. todo_status: the status of that to-do, if the item
    stands for it. cleared_at, cleared_reason: when and why it was removed from prompts.
    """

    todo_id: Name | None = None
    todo_status: TodoStatus | None = None
    context_type: ContextType = ContextType.TASK_CONTEXT
    scope: WorkingScope = WorkingScope.TASK
    priority: Whole = Field(default=3, ge=1, le=5)
    cleared_at: Instant | None = None
    cleared_reason: ClearReason | None = None


class WorkingDraft(WorkingFields, Draft):
    """A working item (a note on the current task) to remember, as a caller sends it."""

    type: Literal[MemoryType.WORKING]


class ItemDraft(WorkingDraft):
    """Draft of a working item that lives in the live store (Redis)."""

    workflow_id: Name | None = None


class Working(WorkingFields, Memory):
    """A working item (a note on the current task) as it is stored.

    workflow_id: the workflow to which the item belongs. When the workflow ends, the item is
    cleared, deleted or kept (see `OnEnd`).
    """

    own_fields: ClassVar[frozenset[str]] = frozenset(WorkingFields.model_fields)

    type: Literal[MemoryType.WORKING] = MemoryType.WORKING
    workflow_id: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_former_fields(cls, fields: object) -> object:
        if isinstance(fields, Mapping) and not _FORMER.isdisjoint(fields):
            return {name: value for name, value in fields.items() if name not in _FORMER}
        return fields

    def at(self, now: datetime) -> Self:
        """The item with its state at `now`: one that has expired says when and why it ended."""
        item = super().at(now)
        if item.cleared_at is not None and item.cleared_reason is not ClearReason.EXPIRED:
            return item
        is_expired = item.expires_at is not None and item.expires_at <= now
        end = (item.expires_at, ClearReason.EXPIRED) if is_expired else (None, None)
        if end == (item.cleared_at, item.cleared_reason):
            return item
        return item.model_copy(update={"cleared_at": end[0], "cleared_reason": end[1]})

    def identity(self) -> tuple[str | None, ...]:
        """The values of a working item that determine its id: content, to-do, agent and, if
        private, the session.
        """
        agent = () if self.agent_id is None else (self.agent_id,)
        return (*super().identity(), self.todo_id, *agent)

"""Working memory: the task at hand."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from memtypes.model.memory import Draft, Flag, Memory, Whole
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name
from memtypes.model.times import Instant


class ContextType(StrEnum):
    """The content of a working item."""

    TASK_CONTEXT = "task_context"
    VARIABLES = "variables"
    STATE = "state"
    REFERENCES = "references"


class WorkingScope(StrEnum):
    """How long a working item matters."""

    TASK = "task"
    SUBTASK = "subtask"
    SESSION = "session"


class WorkingFields(BaseModel):
    """The fields of a working item."""

    todo_id: Name | None = None
    context_type: ContextType = ContextType.TASK_CONTEXT
    scope: WorkingScope = WorkingScope.TASK
    priority: Whole = Field(default=3, ge=1, le=5)
    cleared_at: Instant | None = None


class WorkingDraft(WorkingFields, Draft):
    """A working item as a caller sends it."""

    type: Literal[MemoryType.WORKING]


class LiveDraft(WorkingDraft):
    """The draft of the embedded copy of a live item; callers can't send one."""

    live: Flag = True


class Working(WorkingFields, Memory):
    """A working item.

    live: whether it is the embedded copy of a live item; contexts show the live item instead. fence: of the last holder
    of the lock under which copies are synchronised.
    """

    own_fields: ClassVar[frozenset[str]] = frozenset(WorkingFields.model_fields)

    type: Literal[MemoryType.WORKING] = MemoryType.WORKING
    live: Flag = False
    fence: Whole = Field(default=0, ge=0)

    def identity(self) -> tuple[str | None, ...]:
        """The to-do counts: the same note for another task is another item."""
        return (*super().identity(), self.todo_id)

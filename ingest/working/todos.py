"""To-dos of a session: each has an item in working memory from when it is created until it is completed.

A to-do is reported by itself, or in the whole list that an agent keeps and sends with each prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ingest.working.working_memory import NewItem, WorkingMemory
from ingest.writing.outcome import WriteOutcome
from memtypes.model.filters import Compare, Op
from memtypes.model.memory import Line, Model, Text
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.scope import Name, Scope

COMPLEX_STEPS = 5
"""A to-do that took more steps than this is also stored as a procedure."""


class TodoStatus(StrEnum):
    """The state of a to-do in an agent's list."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Todo(Model):
    """An entry of the list of to-dos that an agent keeps."""

    id: Name
    content: Text
    status: TodoStatus


@dataclass(frozen=True, slots=True)
class CompletedTodo:
    """Result of completing a to-do. cleared: number of items. redactions: secrets removed from its steps, by kind."""

    cleared: int
    procedural_id: str | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)


async def complete_todo(working: WorkingMemory, scope: Scope, todo_id: str, steps: Sequence[Line]) -> CompletedTodo:
    """Clear the items of a to-do; store a procedure if it took many steps.

    The procedure is written first, so that a call that is repeated after a failure adds nothing.
    """
    written = await _write_procedure(working, scope, todo_id, steps) if len(steps) > COMPLEX_STEPS else None
    cleared = await working.end_todos(scope, [todo_id])
    return CompletedTodo(cleared) if written is None else CompletedTodo(cleared, written.id, written.redactions)


async def submit_todos(working: WorkingMemory, scope: Scope, todos: Sequence[Todo]) -> None:
    """Update the session's items from the list of to-dos that an agent sends with a prompt; resume paused items.

    Items are created for new entries, replaced for entries with another text, and cleared for completed ones. A
    to-do that is missing from the list stays, because agents also send a part of their list.
    """
    items = await working.live_items(scope, optional=True)
    if any(item.paused for item in items):
        await working.resume_session(scope)
    contents = {item.memory.todo_id: item.memory.content for item in items if item.is_todo}
    changed = [
        NewItem(content=todo.content, todo_id=todo.id)
        for todo in todos
        if todo.status is not TodoStatus.COMPLETED and contents.get(todo.id) != todo.content
    ]
    if changed:
        await working.put_todos(scope, changed)
    live = {item.memory.todo_id for item in items}
    completed = (todo.id for todo in todos if todo.status is TodoStatus.COMPLETED)
    ending = [todo_id for todo_id in completed if todo_id in live or (scope, todo_id) not in working.ended]
    if ending:
        await working.end_todos(scope, ending)


async def _write_procedure(working: WorkingMemory, scope: Scope, todo_id: str, steps: Sequence[Line]) -> WriteOutcome:
    live = await working.list_items(scope, todo_id, include_cleared=False)
    items = live or await working.copies(scope, Compare("todo_id", Op.EQ, todo_id), 1)
    draft = ProceduralDraft(
        type=MemoryType.PROCEDURAL,
        content=items[0].content if items else todo_id,
        session_id=scope.session_id,
        agent_id=scope.agent_id,
        steps=list(steps),
    )
    return await working.ingestor.write_one(scope, draft)


def active_todo(todos: Sequence[Todo]) -> str | None:
    """Id of the first to-do in progress."""
    return next((todo.id for todo in todos if todo.status is TodoStatus.IN_PROGRESS), None)

"""To-dos of an agent's session. While a to-do is open, an item in working memory shows it to the
agent.

An agent reports one to-do at a time, or sends its whole list of to-dos with each prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from ingest.working.working_memory import NewItem, WorkingMemory
from ingest.writing.outcome import WriteOutcome
from memtypes.model.filters import Compare, Op
from memtypes.model.memory import Line, StrictModel, Text
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.scope import Name, Scope
from memtypes.model.working import Working

COMPLEX_STEPS = 5
"""A to-do that took more steps than this is also stored as a procedure (a how-to memory) when it is
completed.
"""


class TodoStatus(StrEnum):
    """The status of a to-do in an agent's list."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Todo(StrictModel):
    """An entry of the list of to-dos that an agent keeps and sends with its prompts."""

    id: Name
    content: Text
    status: TodoStatus


async def complete_todo(
    working: WorkingMemory, scope: Scope, todo_id: str, steps: Sequence[Line]
) -> tuple[int, WriteOutcome | None]:
    """Clear the items that show a to-do from the session's working memory; return how many.

    steps: what was done to complete it, in order. If there are more than `COMPLEX_STEPS`, they are
    stored first, as a procedure (how-to memory), and the outcome of this is returned too. If the
    call is repeated after a failure, the procedure is not stored twice.
    """
    if len(steps) <= COMPLEX_STEPS:
        return await working.end_todos(scope, [todo_id]), None
    item = await _item_of(working, scope, todo_id)
    draft = ProceduralDraft(
        type=MemoryType.PROCEDURAL,
        content=todo_id if item is None else item.content,
        session_id=scope.session_id,
        agent_id=scope.agent_id,
        steps=list(steps),
    )
    written = await working.ingestor.write_one(scope, draft)
    return await working.end_todos(scope, [todo_id]), written


async def _item_of(working: WorkingMemory, scope: Scope, todo_id: str) -> Working | None:
    """The first live item of a to-do or, if it has none, its last ended one."""
    items = [item for item in await working.items.items(scope) if item.memory.todo_id == todo_id]
    now = working.clock()
    live = [item.memory for item in items if not item.is_over(now)]
    if live:
        return live[0]
    if items:
        return items[-1].memory
    stored = await working.stored(scope, Compare("todo_id", Op.EQ, todo_id), 1)
    return stored[0] if stored else None


async def submit_todos(working: WorkingMemory, scope: Scope, todos: Sequence[Todo]) -> None:
    """Update the session's working memory from the list of to-dos that an agent sends with a
    prompt.

    An item is created for a new to-do, replaced if the to-do's text has changed, and cleared if the
    to-do is completed. A to-do that is missing from the list stays, because agents also send a part
    of their list. Items that were paused when the session stopped are shown again.
    """
    items = await working.live_items(scope, optional=True)
    if any(item.paused for item in items):
        await working.items.set_paused(scope, working.clock(), paused=False)
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
    ending = [
        todo_id for todo_id in completed if todo_id in live or (scope, todo_id) not in working.ended
    ]
    if ending:
        await working.end_todos(scope, ending)

"""To-dos of an agent's session. While a to-do is open, an item in working memory shows it to the
agent.

An agent reports one to-do at a time, or sends its whole list of to-dos with each prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict

from ingest.working.working_memory import NewItem, WorkingMemory
from ingest.writing.outcome import WriteOutcome
from memtypes.model.filters import Compare, Op
from memtypes.model.memory import Line, StrictModel, Text
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.scope import MAX_NAME, Name, Scope
from memtypes.model.working import ClearReason, TodoStatus, Working
from memtypes.ports.working import LiveItem

COMPLEX_STEPS = 5
"""A to-do that took more steps than this is also stored as a procedure (a how-to memory) when it is
completed.
"""

PLAN_STEP = "plan step "
"""How the id of a to-do begins that was read from the text of a prompt; its number follows."""

_SPELLINGS = {"not_started": "pending", "canceled": "cancelled"}
_PRIORITIES = {"low": 1, "medium": 3, "high": 5}
_USUAL_PRIORITY = 3
_DIGEST = 16


class ListedStatus(StrEnum):
    """The status of a to-do in an agent's list."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


_OPEN = {
    ListedStatus.PENDING: TodoStatus.PENDING,
    ListedStatus.IN_PROGRESS: TodoStatus.IN_PROGRESS,
}
_OVER = {
    ListedStatus.COMPLETED: ClearReason.COMPLETED,
    ListedStatus.CANCELLED: ClearReason.CANCELLED,
    ListedStatus.DELETED: ClearReason.DELETED,
}


def spelt(value: object) -> object:
    """A status in this service's spelling: some agents write "in-progress" or "not-started"."""
    if not isinstance(value, str):
        return value
    name = value.strip().casefold().replace("-", "_").replace(" ", "_")
    return _SPELLINGS.get(name, name)


def _todo_id(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _priority(value: object) -> int:
    """A priority from 1 (low) to 5 (high), which agents also write as a word; 3 for anything
    else.
    """
    if isinstance(value, str):
        return _PRIORITIES.get(value.strip().casefold(), _USUAL_PRIORITY)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 5:
        return value
    return _USUAL_PRIORITY


class Todo(StrictModel):
    """An entry of the list of to-dos that an agent keeps and sends with its prompts.

    id: by default made of the content. priority: 1 (low) to 5 (high), or one of the words low,
    medium and high. Other members that agents keep, such as `activeForm`, are ignored.
    """

    model_config = ConfigDict(extra="ignore")

    id: Annotated[
        Name | None, BeforeValidator(_todo_id, json_schema_input_type=str | int | None)
    ] = None
    content: Text
    status: Annotated[ListedStatus, BeforeValidator(spelt, json_schema_input_type=ListedStatus)]
    priority: Annotated[int, BeforeValidator(_priority, json_schema_input_type=Any)] = (
        _USUAL_PRIORITY
    )

    @property
    def key(self) -> str:
        """The to-do's id in working memory: its own, or one made of its content."""
        return self.id or unnamed_id(self.content)

    @property
    def open_status(self) -> TodoStatus | None:
        """The status that its item shows; None if the to-do is over."""
        return _OPEN.get(self.status)

    def item(self) -> NewItem:
        """The item of working memory that shows the to-do."""
        return NewItem(
            content=self.content,
            todo_id=self.key,
            todo_status=self.open_status,
            priority=self.priority,
        )

    def is_shown_by(self, item: LiveItem | None) -> bool:
        """Whether `item` shows the to-do as it is."""
        return item is not None and (
            item.memory.content,
            item.memory.todo_status,
            item.memory.priority,
        ) == (self.content, self.open_status, self.priority)


def unnamed_id(content: str) -> str:
    """The id of a to-do without one: its content, or the beginning of a longer one with a digest
    of all.
    """
    line = " ".join(content.split())
    if len(line) <= MAX_NAME and line.isprintable():
        return line
    digest = sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    beginning = "".join(letter for letter in line if letter.isprintable())
    return f"{beginning[: MAX_NAME - _DIGEST - 1].strip()} {digest}".strip()


@dataclass(frozen=True, slots=True)
class TodoReport:
    """What a client reports about one of its to-dos. What is None is not reported."""

    id: str | None
    content: str | None
    status: ListedStatus | None
    priority: Any = None


@dataclass(frozen=True, slots=True)
class TodosReport:
    """What a client reports about its to-dos. whole: the report has all of them."""

    todos: tuple[TodoReport, ...]
    whole: bool


async def complete_todo(
    working: WorkingMemory, scope: Scope, todo_id: str, steps: Sequence[Line]
) -> tuple[int, WriteOutcome | None]:
    """Clear the items that show a to-do from the session's working memory; return how many.

    steps: what was done to complete it, in order. If there are more than `COMPLEX_STEPS`, they are
    stored first, as a procedure (how-to memory), and the outcome of this is returned too. If the
    call is repeated after a failure, the procedure is not stored twice.
    """
    completed = {todo_id: ClearReason.COMPLETED}
    if len(steps) <= COMPLEX_STEPS:
        return await working.end_todos(scope, completed), None
    item = await _item_of(working, scope, todo_id)
    draft = ProceduralDraft(
        type=MemoryType.PROCEDURAL,
        content=todo_id if item is None else item.content,
        session_id=scope.session_id,
        agent_id=scope.agent_id,
        steps=list(steps),
    )
    written = await working.ingestor.write_one(scope, draft)
    return await working.end_todos(scope, completed), written


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


async def submit_report(working: WorkingMemory, scope: Scope, report: TodosReport) -> None:
    """Update the session's working memory from what a client reports about its to-dos.

    What is not reported of a to-do stays as it is. A to-do whose text is not known is left out.
    """
    items = {item.memory.todo_id: item.memory for item in await working.live_items(scope)}
    todos: list[Todo] = []
    for todo in report.todos:
        item = items.get(todo.id) if todo.id is not None else None
        content = todo.content or (item and item.content)
        if content:
            known = item.todo_status if item is not None else None
            status = todo.status or known or ListedStatus.PENDING
            priority = todo.priority if item is None else (todo.priority or item.priority)
            todos.append(Todo(id=todo.id, content=content, status=status, priority=priority))
    await submit_todos(working, scope, todos, whole=report.whole)


def is_whole(todos: Sequence[Todo]) -> bool:
    """Whether a list of to-dos that an agent sends with a prompt has all of its to-dos: without
    ids, nothing else could delete or rename an entry.
    """
    return all(todo.id is None for todo in todos)


async def submit_todos(
    working: WorkingMemory, scope: Scope, todos: Sequence[Todo], *, whole: bool
) -> None:
    """Update the session's working memory from the list of to-dos that an agent sends.

    An item is created for a new to-do, replaced if the to-do's text has changed, and cleared if the
    to-do is over. whole: the list has all of the agent's to-dos, so that one that is missing was
    deleted; of a list without ids, all to-dos without an id. Otherwise one that is missing stays.
    """
    items = await working.live_items(scope, optional=True)
    shown = {item.memory.todo_id: item for item in items if item.is_todo}
    latest = {todo.key: todo for todo in todos}
    changed = [
        todo.item()
        for key, todo in latest.items()
        if todo.open_status is not None and not todo.is_shown_by(shown.get(key))
    ]
    if changed:
        await working.put_todos(scope, changed)
    live = {item.memory.todo_id for item in items}
    over = {key: _OVER[todo.status] for key, todo in latest.items() if todo.status in _OVER}
    ending = {
        key: reason
        for key, reason in over.items()
        if key in live or (scope, key) not in working.ended
    }
    if whole:
        has_ids = not is_whole(todos)
        for key, item in shown.items():
            in_list = has_ids or key == unnamed_id(item.memory.content)
            if key is not None and key not in latest and in_list:
                ending[key] = ClearReason.DELETED
    if todos:  # A list of the agent takes the place of what was read from a prompt
        steps = (key for key in shown if key is not None and key.startswith(PLAN_STEP))
        ending |= {key: ClearReason.REPLACED for key in steps if key not in latest}
    if ending:
        await working.end_todos(scope, ending)

"""Reads from an event what a tool of an AI client has done to the client's list of to-dos.

Claude Code has TaskCreate, TaskUpdate and TaskList, and had TodoWrite before; Codex has update_plan
and VS Code manage_todo_list. What is not in the form that these tools have is left out: a client's
next version may have another, and must not get an error for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from api.http.client_hooks.events import ClientEvent, cleaned
from ingest.working.todos import ListedStatus, TodoReport, TodosReport, spelt
from memtypes.model.scope import MAX_NAME

MAX_TODOS = 200
MAX_CHARACTERS = 2_000
"""Maximum to-dos of a list, and characters of one. What is more is cut off."""


class _ListTool(NamedTuple):
    """A tool that is called with the client's whole list. todos: the member of its input with the
    list. content: the member of a to-do with its text.
    """

    todos: str
    content: str


_LIST_TOOLS: Mapping[str, _ListTool] = MappingProxyType(
    {
        "TodoWrite": _ListTool("todos", "content"),
        "update_plan": _ListTool("plan", "step"),
        "manage_todo_list": _ListTool("todoList", "title"),
    }
)

_CREATED_ID = re.compile(r"#(\S{1,64}) created")
"""The id of a new task in the text that TaskCreate gives to the model."""


def todos_of(event: ClientEvent) -> TodosReport | None:
    """What the event says about the client's to-dos; None if it reports no call of a to-do tool.

    A subagent's list is left out: it is not the list of the session.
    """
    tool = event.tool_name or ""
    arguments = _members(event.tool_input)
    result = _members(event.tool_response)
    if tool in _LIST_TOOLS:
        form = _LIST_TOOLS[tool]
        is_of_session = event.agent_id is None
        return _list(arguments.get(form.todos), form.content) if is_of_session else None
    match tool:
        case "TaskCreate":
            created = _members(result.get("task"))
            spoken = _CREATED_ID.search(str(event.tool_response))
            task_id = created.get("id") or (spoken[1] if spoken else None)
            todo = _todo({**arguments, "id": task_id, "status": "pending"}, "subject")
        case "TaskUpdate" if result.get("success") is not False:
            todo = _todo({**arguments, "id": arguments.get("taskId")}, "subject")
        case "TaskList":
            return _list(result.get("tasks"), "subject")
        case _:
            return None
    is_named = todo.id is not None or todo.content is not None
    return TodosReport((todo,) if is_named else (), whole=False)


def _list(entries: object, content: str) -> TodosReport | None:
    if not isinstance(entries, list):
        return None
    todos = [_todo(_members(entry), content) for entry in entries[:MAX_TODOS]]
    return TodosReport(tuple(todo for todo in todos if todo.content is not None), whole=True)


def _todo(members: Mapping[str, Any], content: str) -> TodoReport:
    name = members.get("id")
    todo_id = cleaned(str(name)) if isinstance(name, str | int) else None
    text = cleaned(members.get(content))
    status = str(spelt(members.get("status")))
    return TodoReport(
        id=todo_id[:MAX_NAME].strip() if todo_id else None,
        content=text[:MAX_CHARACTERS] if text else None,
        status=ListedStatus(status) if status in set(ListedStatus) else None,
        priority=members.get("priority"),
    )


def _members(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

"""Finds the plan that a prompt states in its text, for agents that have no tool for to-dos.

A plan is a list with marks ("- [ ] read it") or a numbered list under a heading that ends with a
word for a plan ("My plan: 1. read it 2. port it"). Any other list tells something else, such as how
a fault is reproduced, and what stands in a code block or a quotation is not said by the user.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from ingest.working.todos import PLAN_STEP, ListedStatus, Todo, submit_todos
from ingest.working.working_memory import WorkingMemory
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope

_log = logging.getLogger(__name__)

MAX_STEPS = 50
"""Maximum steps of a plan; a longer list is no plan for one session."""

MAX_STEP = 300
"""Maximum characters of a step; a longer one is a paragraph."""

MAX_PROMPT = 20_000
"""Characters of a prompt that are searched for a plan; what follows is pasted."""

_PLANS = (
    "plan|todo|todos|to-do|to-dos|to do|task list|tasks|next steps|checklist"  # English
    "|aufgaben|aufgabenliste|nächste schritte|checkliste"  # German
    "|tâches|liste des tâches|prochaines étapes|à faire"  # French
    "|tareas|lista de tareas|próximos pasos|por hacer"  # Spanish
    "|piano|compiti|prossimi passi|da fare"  # Italian
    "|plano|tarefas|lista de tarefas|próximos passos|a fazer"  # Portuguese
    "|taken|takenlijst|volgende stappen|te doen"  # Dutch
    "|zadania|lista zadań|następne kroki|do zrobienia"  # Polish
)
_JAPANESE = "計画|タスク|やること"
_HEADING = re.compile(rf"(?:(?<!\w)(?:{_PLANS})|{_JAPANESE})[*_]*\s*[:\uff1a][*_]*", re.IGNORECASE)
_MARKED = re.compile(r"^[ \t]*(?:[-*+]|\d{1,2}[.)])[ \t]+\[([ xX~/-])\][ \t]+(\S.*)$", re.MULTILINE)
_NUMBER = re.compile(r"(?:^|(?<=\s))(\d{1,2})[.)]\s+(?=\S)")
_FENCED = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_MARKS = {"x": ListedStatus.COMPLETED, "-": ListedStatus.CANCELLED, "~": ListedStatus.IN_PROGRESS}
_MARKS["/"] = ListedStatus.IN_PROGRESS


async def submit_plan(working: WorkingMemory, scope: Scope, prompt: str) -> None:
    """Make to-dos of the plan that a prompt states; they take the place of an earlier plan's.

    Nothing is done if the agent keeps to-dos itself, or if the tenant's rules refuse to store what
    the plan says.
    """
    plan = plan_in(prompt)
    if not plan:
        return
    items = await working.live_items(scope, optional=True)
    of_agent = [item for item in items if item.is_todo and not _is_step(item.memory.todo_id)]
    if of_agent:
        return
    try:
        await submit_todos(working, scope, plan, whole=False)
    except InvalidRequest as error:
        _log.warning("the plan of a prompt is not shown: %s", error)


def _is_step(todo_id: str | None) -> bool:
    return todo_id is not None and todo_id.startswith(PLAN_STEP)


def plan_in(prompt: str) -> list[Todo]:
    """The steps of the plan in a prompt, as to-dos by their numbers; empty if it states none.

    A list with marks tells the status of its steps ("- [x]" is completed); a numbered list is yet
    to be done.
    """
    text = _QUOTED.sub("", _FENCED.sub("", prompt[:MAX_PROMPT]))
    marked = _MARKED.findall(text)
    if len(marked) > 1:
        return _todos(
            [(step, _MARKS.get(mark.lower(), ListedStatus.PENDING)) for mark, step in marked]
        )
    heading = _HEADING.search(text)
    if heading is None:
        return []
    steps = _numbered(text[heading.end() :])
    return _todos([(step, ListedStatus.PENDING) for step in steps])


def _numbered(text: str) -> list[str]:
    """The steps that are numbered 1, 2, 3, ... from the beginning of `text` on; empty unless there
    are two.
    """
    starts: list[re.Match[str]] = []
    for match in _NUMBER.finditer(text):
        if int(match[1]) == len(starts) + 1:
            starts.append(match)
    if len(starts) < 2 or text[: starts[0].start()].strip(" \t\r\n*_"):
        return []
    ends = [match.start() for match in starts[1:]]
    steps = [text[start.end() : end] for start, end in zip(starts, [*ends, len(text)], strict=True)]
    # What follows the last step in a paragraph of its own, or on the next line, belongs to no step
    steps[-1] = steps[-1].strip().split("\n")[0]
    return steps


def _todos(steps: Sequence[tuple[str, ListedStatus]]) -> list[Todo]:
    contents = [(" ".join(step.split()).strip(" ,;"), status) for step, status in steps]
    todos = [
        Todo(id=f"{PLAN_STEP}{number}", content=content, status=status)
        for number, (content, status) in enumerate(contents, 1)
        if content.isprintable() and 0 < len(content) <= MAX_STEP
    ]
    return todos if 1 < len(todos) == len(steps) <= MAX_STEPS else []

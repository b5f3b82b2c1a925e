"""The inspector page of tasks (prospective memories) that are due or open, and of the items of
working memory.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from litestar.response import Redirect
from pydantic import Field

from api.auth.keys import Role
from api.http.endpoint import Params
from api.http.inspector.page import Html, Page, redirect
from api.http.inspector.routes.memories import telling_of
from api.http.inspector.view import MemoryAddress, PageScope, View
from api.http.request import InNamespace
from api.http.use_cases import valid_id
from api.wiring.container import AppServices
from ingest.working.intentions import DueRequest
from memtypes.model.filters import Absent, all_of, in_view, open_tasks
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Prospective, Status
from memtypes.ports.memory_store import Listing

MOST = 200
"""Maximum number of open tasks, and of items of working memory, that the page lists, newest
first.
"""


class SnoozeForm(MemoryAddress):
    """The form that postpones a task by some hours."""

    hours: Annotated[int, Field(ge=1, le=24 * 365)]


@View("GET /due")
async def due(
    services: AppServices, page: Page, params: Params[InNamespace], namespace: PageScope
) -> Html:
    """The page of due tasks, other open tasks by due time, and items of working memory that are not
    cleared.
    """
    now = services.clock()
    due_tasks = await services.intentions.due(namespace, DueRequest(now))
    is_open = all_of(in_view(now), open_tasks(now))
    listed = (
        await services.store.page(namespace, Listing((MemoryType.PROSPECTIVE,), is_open, MOST))
    ).memories
    due_ids = {memory.id for memory in due_tasks}
    not_due = [
        memory for memory in listed if isinstance(memory, Prospective) and memory.id not in due_ids
    ]
    uncleared = all_of(in_view(now), Absent("cleared_at"))
    stored = await services.store.page(namespace, Listing((MemoryType.WORKING,), uncleared, MOST))
    live = await services.working.in_namespace(namespace, MOST)
    items = {memory.id: memory for memory in (*stored.memories, *live)}
    telling = await telling_of(services, namespace, [*due_tasks, *not_due])
    not_due.sort(key=lambda memory: (memory.due_at is None, memory.due_at or memory.created_at))
    return await page.show(
        "due.html",
        params,
        due=due_tasks,
        later=not_due,
        telling=telling,
        items=list(items.values())[:MOST],
        most=MOST,
    )


@View("POST /due/complete", role=Role.WRITER)
async def complete(
    services: AppServices, params: Params[MemoryAddress], namespace: PageScope
) -> Redirect:
    """Mark a task as completed, and go back to the page of due tasks."""
    await services.intentions.end(namespace, valid_id(params.id), Status.COMPLETED)
    return redirect("/due", namespace=params.namespace, done="completed")


@View("POST /due/cancel", role=Role.WRITER)
async def cancel(
    services: AppServices, params: Params[MemoryAddress], namespace: PageScope
) -> Redirect:
    """Cancel a task, and go back to the page of due tasks."""
    await services.intentions.end(namespace, valid_id(params.id), Status.CANCELLED)
    return redirect("/due", namespace=params.namespace, done="cancelled")


@View("POST /due/snooze", role=Role.WRITER)
async def snooze(
    services: AppServices, params: Params[SnoozeForm], namespace: PageScope
) -> Redirect:
    """Postpone a task, and go back to the page of due tasks."""
    until = services.clock() + timedelta(hours=params.hours)
    await services.intentions.snooze(namespace, valid_id(params.id), until)
    return redirect("/due", namespace=params.namespace, done="snoozed")

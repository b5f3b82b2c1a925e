"""The inspector page of tasks (prospective memories) that are due or open, and of the items of working memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from litestar import Response
from litestar.response import Redirect
from pydantic import Field

from api.auth.keys import Role
from api.http.inspector.page import LivePage, go
from api.http.inspector.view import MemoryAddress, View, read_address, read_form
from api.http.request import ApiRequest, InNamespace
from api.http.use_cases import known_id
from api.wiring.container import AppServices
from ingest.working.intentions import DueRequest
from memtypes.model.filters import Absent, Compare, Op, all_of, in_view
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import OPEN, Prospective, Status
from memtypes.ports.memory_store import Listing

MOST = 200
"""Maximum number of open tasks, and of items of working memory, that the page lists, newest first."""


class SnoozeForm(MemoryAddress):
    """The form that postpones a task by some hours."""

    hours: Annotated[int, Field(ge=1, le=24 * 365)]


@View("GET /due")
async def due(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The page of due tasks, other open tasks by due time, and items of working memory that are not cleared."""
    asked = read_address(request, InNamespace)
    scope, now = request.scope_in(asked.namespace), services.clock()
    is_due = await services.intentions.due(scope, DueRequest(now))
    still_open = all_of(in_view(now), Compare("status", Op.ANY, tuple(map(str, OPEN))))
    listed = (await services.store.page(scope, Listing((MemoryType.PROSPECTIVE,), still_open, MOST))).memories
    due_ids = {memory.id for memory in is_due}
    later = [memory for memory in listed if isinstance(memory, Prospective) and memory.id not in due_ids]
    uncleared = all_of(in_view(now), Absent("cleared_at"))
    items = (await services.store.page(scope, Listing((MemoryType.WORKING,), uncleared, MOST))).memories
    return await page.show(
        "due.html",
        asked,
        due=is_due,
        later=sorted(later, key=lambda memory: (memory.due_at is None, memory.due_at or memory.created_at)),
        items=items,
        most=MOST,
    )


@View("POST /due/complete", role=Role.WRITER)
async def complete(request: ApiRequest, services: AppServices) -> Redirect:
    """Mark a task as completed, and go back to the page of due tasks."""
    form = await read_form(request, MemoryAddress)
    await services.intentions.end(request.scope_in(form.namespace), known_id(form.id), Status.COMPLETED)
    return go("/due", namespace=form.namespace, done="completed")


@View("POST /due/cancel", role=Role.WRITER)
async def cancel(request: ApiRequest, services: AppServices) -> Redirect:
    """Cancel a task, and go back to the page of due tasks."""
    form = await read_form(request, MemoryAddress)
    await services.intentions.end(request.scope_in(form.namespace), known_id(form.id), Status.CANCELLED)
    return go("/due", namespace=form.namespace, done="cancelled")


@View("POST /due/snooze", role=Role.WRITER)
async def snooze(request: ApiRequest, services: AppServices) -> Redirect:
    """Postpone a task, and go back to the page of due tasks."""
    form = await read_form(request, SnoozeForm)
    until = services.clock() + timedelta(hours=form.hours)
    await services.intentions.snooze(request.scope_in(form.namespace), known_id(form.id), until)
    return go("/due", namespace=form.namespace, done="snoozed")

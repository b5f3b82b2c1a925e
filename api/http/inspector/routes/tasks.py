"""The inspector page of tasks (prospective memories) that are due or open, and of the items of working memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from litestar.response import Redirect
from pydantic import Field

from api.auth.keys import Role
from api.http.inspector.page import Html, LivePage, go
from api.http.inspector.view import Asked, MemoryAddress, PageScope, View
from api.http.request import InNamespace
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
async def due(services: AppServices, page: LivePage, asked: Asked[InNamespace], namespace: PageScope) -> Html:
    """The page of due tasks, other open tasks by due time, and items of working memory that are not cleared."""
    now = services.clock()
    is_due = await services.intentions.due(namespace, DueRequest(now))
    still_open = all_of(in_view(now), Compare("status", Op.ANY, tuple(map(str, OPEN))))
    listed = (await services.store.page(namespace, Listing((MemoryType.PROSPECTIVE,), still_open, MOST))).memories
    due_ids = {memory.id for memory in is_due}
    later = [memory for memory in listed if isinstance(memory, Prospective) and memory.id not in due_ids]
    uncleared = all_of(in_view(now), Absent("cleared_at"))
    items = (await services.store.page(namespace, Listing((MemoryType.WORKING,), uncleared, MOST))).memories
    later.sort(key=lambda memory: (memory.due_at is None, memory.due_at or memory.created_at))
    return await page.show("due.html", asked, due=is_due, later=later, items=items, most=MOST)


@View("POST /due/complete", role=Role.WRITER)
async def complete(services: AppServices, asked: Asked[MemoryAddress], namespace: PageScope) -> Redirect:
    """Mark a task as completed, and go back to the page of due tasks."""
    await services.intentions.end(namespace, known_id(asked.id), Status.COMPLETED)
    return go("/due", namespace=asked.namespace, done="completed")


@View("POST /due/cancel", role=Role.WRITER)
async def cancel(services: AppServices, asked: Asked[MemoryAddress], namespace: PageScope) -> Redirect:
    """Cancel a task, and go back to the page of due tasks."""
    await services.intentions.end(namespace, known_id(asked.id), Status.CANCELLED)
    return go("/due", namespace=asked.namespace, done="cancelled")


@View("POST /due/snooze", role=Role.WRITER)
async def snooze(services: AppServices, asked: Asked[SnoozeForm], namespace: PageScope) -> Redirect:
    """Postpone a task, and go back to the page of due tasks."""
    until = services.clock() + timedelta(hours=asked.hours)
    await services.intentions.snooze(namespace, known_id(asked.id), until)
    return go("/due", namespace=asked.namespace, done="snoozed")

"""Inspector pages that list memories and show a memory with its history and links, and the forms
that change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from litestar.response import Redirect
from pydantic import Field

from api.auth.keys import Role
from api.http.endpoint import Params
from api.http.inspector.page import Html, Page, redirect
from api.http.inspector.view import MemoryAddress, PageScope, View
from api.http.shapes.memories import ListQuery
from api.http.use_cases import read_memory, remove_memory, valid_id
from api.wiring.container import AppServices, Services
from ingest.identity.acts import latest_act
from ingest.writing.versions import history_of
from memtypes.model.filters import Compare, Filter, Op, all_of
from memtypes.model.memory import MAX_CONTENT, Link, Memory
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.procedural import Procedural
from memtypes.model.prospective import Prospective, TaskChange
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing

FORM_BYTES = 8 * 1024 * 1024
"""Largest form that edits a memory, in bytes. A content of 500,000 characters takes up to 4.5 MB in
a form.
"""

NEIGHBOURS = 4
"""How many earlier and how many later memories of the same session the page of a memory shows."""

SOON = timedelta(minutes=30)
"""A memory's page shows later memories of its session only if they were created within this
time.
"""

MAX_LINKED = 100

TAG_SEPARATOR = ", "


class EditForm(MemoryAddress):
    """The form that edits a memory. tags: separated by commas. steps: the steps of a procedure, one
    on each line.
    """

    content: Annotated[str, Field(max_length=MAX_CONTENT)] = ""
    importance: Annotated[int, Field(ge=1, le=10)]
    tags: Annotated[str, Field(max_length=10_000)] = ""
    steps: Annotated[str, Field(max_length=MAX_CONTENT)] = ""

    def changes(self, memory: Memory) -> dict[str, Any]:
        """The edited fields with their new values. Unedited tags are left out: a comma in them
        would split them.
        """
        changed: dict[str, Any] = {}
        if self.content != memory.content.replace("\r\n", "\n"):
            changed["content"] = self.content
        if self.importance != memory.importance:
            changed["importance"] = self.importance
        if self.tags != TAG_SEPARATOR.join(memory.tags):
            changed["tags"] = [tag.strip() for tag in self.tags.split(",") if tag.strip()]
        if isinstance(memory, Procedural) and self.steps != "\n".join(memory.steps):
            changed["steps"] = [step.strip() for step in self.steps.split("\n") if step.strip()]
        return changed


@View("GET /memories")
async def list_memories(
    services: AppServices, page: Page, params: Params[ListQuery], namespace: PageScope
) -> Html:
    """The page that lists the memories of a namespace, newest first."""
    now = services.clock()
    listed = await services.store.page(namespace, params.listing(now))
    memories = [memory.at(now) for memory in listed.memories]
    return await page.show("memories.html", params, page=listed, memories=memories)


@View("GET /memory")
async def show_memory(
    services: AppServices, page: Page, params: Params[MemoryAddress], namespace: PageScope
) -> Html:
    """The page of a memory: its fields, history and links, and the memories around it in its
    session.
    """
    now = services.clock()
    memory = await read_memory(services, namespace, params.id)
    return await page.show(
        "memory.html",
        params,
        memory=memory,
        expired=memory.expires_at is not None and memory.expires_at <= now,
        own_fields={
            name: getattr(memory, name)
            for name in sorted(memory.own_fields)
            if getattr(memory, name)
        },
        versions=await history_of(services.store, namespace, memory, now),
        links=await _links(services, namespace, memory),
        telling=await telling_of(services, namespace, [memory]),
        undoable=isinstance(memory, Prospective) and _is_undoable(memory),
        conversation=await _conversation(services, namespace, memory),
    )


def _is_undoable(task: Prospective) -> bool:
    over = task.ended is not None and task.ended.how in (TaskChange.MOVED, TaskChange.LAPSED)
    return over or latest_act(task) is not None


async def telling_of(
    services: Services, scope: Scope, memories: Sequence[Memory]
) -> dict[str, Memory]:
    """The memories that tell what was done to the tasks among `memories`, by id."""
    tasks = [memory for memory in memories if isinstance(memory, Prospective)]
    acts = [act for task in tasks for act in (*task.history, task.said, task.ended)]
    ids = sorted({act.by for act in acts if act is not None and act.by is not None})
    return await services.store.get(scope, ids) if ids else {}


@View("POST /memory/edit", role=Role.WRITER, max_bytes=FORM_BYTES)
async def edit_memory(
    services: AppServices, params: Params[EditForm], namespace: PageScope
) -> Redirect:
    """Save the fields of a memory that were changed in the form, and show the memory."""
    memory = await read_memory(services, namespace, params.id)
    if changes := params.changes(memory):
        await services.ingestor.editor.revise(namespace, memory.id, changes)
    return redirect(
        "/memory",
        namespace=params.namespace,
        id=memory.id,
        done="saved" if changes else "unchanged",
    )


@View("POST /memory/pin", role=Role.WRITER)
async def pin_memory(
    services: AppServices, params: Params[MemoryAddress], namespace: PageScope
) -> Redirect:
    """Pin a memory, or unpin it if it is pinned. Upkeep jobs do not change pinned memories."""
    memory = await read_memory(services, namespace, params.id)
    await services.ingestor.editor.revise(namespace, memory.id, {"pinned": not memory.pinned})
    return redirect(
        "/memory",
        namespace=params.namespace,
        id=memory.id,
        done="unpinned" if memory.pinned else "pinned",
    )


@View("POST /memory/restore", role=Role.WRITER)
async def restore_memory(
    services: AppServices, params: Params[MemoryAddress], namespace: PageScope
) -> Redirect:
    """Make a replaced or expired memory current again."""
    await services.ingestor.editor.bring_back(namespace, valid_id(params.id))
    return redirect("/memory", namespace=params.namespace, id=params.id, done="restored")


@View("POST /memory/forget", role=Role.WRITER)
async def forget_memory(
    services: AppServices, params: Params[MemoryAddress], namespace: PageScope
) -> Redirect:
    """Delete a memory."""
    await remove_memory(services, namespace, params.id)
    return redirect("/memories", namespace=params.namespace, done="forgotten")


async def _links(
    services: Services, scope: Scope, memory: Memory
) -> list[tuple[Link, str, Memory | None, bool]]:
    """At most MAX_LINKED links (such as contradictions) from `memory`, then links to it from as
    many other memories.

    Each as (link, id of the other memory, the other memory or None if it is deleted, whether it
    links to `memory`).
    """
    outgoing = memory.links[:MAX_LINKED]
    linked = await services.store.get(scope, [link.to for link in outgoing])
    listing = Listing(filter=Compare("links.to", Op.EQ, memory.id), limit=MAX_LINKED)
    incoming = (await services.store.page(scope, listing)).memories
    return [
        *((link, link.to, linked.get(link.to), False) for link in outgoing),
        *(
            (link, source.id, source, True)
            for source in incoming
            for link in source.links
            if link.to == memory.id
        ),
    ]


async def _conversation(services: Services, scope: Scope, memory: Memory) -> list[Memory]:
    """The memory and its neighbours in its session, oldest first; empty for working memory and
    without a session.
    """
    if memory.session_id is None or memory.type is MemoryType.WORKING:
        return []
    session = Compare("session_id", Op.EQ, memory.session_id)
    at = memory.created_at

    async def in_session(*times: Filter, limit: int) -> list[Memory]:
        session_page = await services.store.page(
            scope, Listing(LONG_TERM, all_of(session, *times), limit)
        )
        return [other for other in session_page.memories if other.id != memory.id]

    before = await in_session(Compare("created_at", Op.LTE, at), limit=NEIGHBOURS + 1)
    soon = Compare("created_at", Op.LTE, at + SOON)
    after = await in_session(Compare("created_at", Op.GT, at), soon, limit=MAX_LINKED)
    neighbours = [*before[:NEIGHBOURS], memory, *after[-NEIGHBOURS:]]
    return sorted(neighbours, key=lambda other: (other.created_at, other.seq, other.id))

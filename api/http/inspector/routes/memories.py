"""Inspector pages that list memories and show a memory with its history and links, and the forms that change it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from litestar import Response
from litestar.response import Redirect
from pydantic import Field

from api.auth.keys import Role
from api.http.inspector.page import LivePage, go
from api.http.inspector.view import MemoryAddress, View, read_address, read_form
from api.http.request import ApiRequest
from api.http.shapes.memories import ListQuery
from api.http.use_cases import known_id, read_memory, remove_memory
from api.wiring.container import AppServices, Services
from ingest.writing.settling import history_of
from memtypes.model.filters import Compare, Filter, Op, all_of
from memtypes.model.memory import MAX_CONTENT, Link, Memory
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.procedural import Procedural
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing

FORM_BYTES = 8 * 1024 * 1024
"""Largest form that edits a memory, in bytes. A content of 500,000 characters takes up to 4.5 MB in a form."""

NEIGHBOURS = 4
"""How many earlier and how many later memories of the same session the page of a memory shows."""

SOON = timedelta(minutes=30)
"""A memory's page shows later memories of its session only if they were created within this time."""

MAX_LINKED = 100

TAG_SEPARATOR = ", "


class EditForm(MemoryAddress):
    """The form that edits a memory. tags: separated by commas. steps: the steps of a procedure, one on each line."""

    content: Annotated[str, Field(max_length=MAX_CONTENT)] = ""
    importance: Annotated[int, Field(ge=1, le=10)]
    tags: Annotated[str, Field(max_length=10_000)] = ""
    steps: Annotated[str, Field(max_length=MAX_CONTENT)] | None = None

    def changes(self, memory: Memory) -> dict[str, Any]:
        """The edited fields with their new values. Unedited tags are left out: a comma in them would split them."""
        shown: dict[str, Any] = {
            "content": memory.content.replace("\r\n", "\n"),
            "importance": memory.importance,
            "tags": TAG_SEPARATOR.join(memory.tags),
        }
        if isinstance(memory, Procedural):
            shown["steps"] = "\n".join(memory.steps)
        sent = {name: getattr(self, name) or "" for name in shown}
        changed = {name: value for name, value in sent.items() if value != shown[name]}
        split = {"tags": ",", "steps": "\n"}
        return {
            name: [part.strip() for part in value.split(split[name]) if part.strip()] if name in split else value
            for name, value in changed.items()
        }


@dataclass(frozen=True, slots=True)
class ShownLink:
    """A link from the shown memory to `other` (None if deleted), or with `back` from `other` to the shown memory."""

    link: Link
    other_id: str
    other: Memory | None
    back: bool = False


@View("GET /memories")
async def list_memories(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The page that lists the memories of a namespace, newest first."""
    asked = read_address(request, ListQuery)
    now = services.clock()
    found = await services.store.page(request.scope_in(asked.namespace), asked.listing(now))
    return await page.show(
        "memories.html",
        asked,
        memories=[memory.at(now) for memory in found.memories],
        total=found.total,
        next_cursor=found.next_cursor,
    )


@View("GET /memory")
async def show_memory(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The page of a memory: its fields, history and links, and the memories around it in its session."""
    asked = read_address(request, MemoryAddress)
    scope, now = request.scope_in(asked.namespace), services.clock()
    memory = await read_memory(services, scope, asked.id)
    return await page.show(
        "memory.html",
        asked,
        memory=memory,
        expired=memory.expires_at is not None and memory.expires_at <= now,
        own_fields={name: getattr(memory, name) for name in sorted(memory.own_fields) if getattr(memory, name)},
        versions=await history_of(services.store, scope, memory, now),
        links=await _links(services, scope, memory),
        conversation=await _conversation(services, scope, memory),
    )


@View("POST /memory/edit", role=Role.WRITER, max_bytes=FORM_BYTES)
async def edit_memory(request: ApiRequest, services: AppServices) -> Redirect:
    """Save the fields of a memory that were changed in the form, and show the memory."""
    form = await read_form(request, EditForm)
    scope = request.scope_in(form.namespace)
    memory = await read_memory(services, scope, form.id)
    changes = form.changes(memory)
    if changes:
        await services.ingestor.editor.revise(scope, memory.id, changes)
    return go("/memory", namespace=form.namespace, id=memory.id, done="saved" if changes else "unchanged")


@View("POST /memory/pin", role=Role.WRITER)
async def pin_memory(request: ApiRequest, services: AppServices) -> Redirect:
    """Pin a memory, or unpin it if it is pinned. Upkeep jobs do not change pinned memories."""
    form = await read_form(request, MemoryAddress)
    scope = request.scope_in(form.namespace)
    memory = await read_memory(services, scope, form.id)
    await services.ingestor.editor.revise(scope, memory.id, {"pinned": not memory.pinned})
    return go("/memory", namespace=form.namespace, id=memory.id, done="unpinned" if memory.pinned else "pinned")


@View("POST /memory/restore", role=Role.WRITER)
async def restore_memory(request: ApiRequest, services: AppServices) -> Redirect:
    """Make a replaced or expired memory current again."""
    form = await read_form(request, MemoryAddress)
    await services.ingestor.editor.bring_back(request.scope_in(form.namespace), known_id(form.id))
    return go("/memory", namespace=form.namespace, id=form.id, done="restored")


@View("POST /memory/forget", role=Role.WRITER)
async def forget_memory(request: ApiRequest, services: AppServices) -> Redirect:
    """Delete a memory."""
    form = await read_form(request, MemoryAddress)
    await remove_memory(services, request.scope_in(form.namespace), form.id)
    return go("/memories", namespace=form.namespace, done="forgotten")


async def _links(services: Services, scope: Scope, memory: Memory) -> list[ShownLink]:
    """At most MAX_LINKED links (such as contradictions) from `memory`, then links to it from as many other memories."""
    forth = memory.links[:MAX_LINKED]
    others = await services.store.get(scope, [link.to for link in forth])
    listing = Listing(filter=Compare("links.to", Op.EQ, memory.id), limit=MAX_LINKED)
    back = (await services.store.page(scope, listing)).memories
    return [
        *(ShownLink(link, link.to, others.get(link.to)) for link in forth),
        *(ShownLink(link, o.id, o, back=True) for o in back for link in o.links if link.to == memory.id),
    ]


async def _conversation(services: Services, scope: Scope, memory: Memory) -> list[Memory]:
    """The memory and its neighbours in its session, oldest first; empty for working memory and without a session."""
    if memory.session_id is None or memory.type is MemoryType.WORKING:
        return []
    session, at = Compare("session_id", Op.EQ, memory.session_id), memory.created_at

    async def listed(*times: Filter, limit: int) -> list[Memory]:
        found = await services.store.page(scope, Listing(LONG_TERM, all_of(session, *times), limit))
        return [each for each in found.memories if each.id != memory.id]

    before = await listed(Compare("created_at", Op.LTE, at), limit=NEIGHBOURS + 1)
    soon = Compare("created_at", Op.LTE, at + SOON)
    after = await listed(Compare("created_at", Op.GT, at), soon, limit=MAX_LINKED)
    around = [*before[:NEIGHBOURS], memory, *after[-NEIGHBOURS:]]
    return sorted(around, key=lambda each: (each.created_at, each.seq, each.id))

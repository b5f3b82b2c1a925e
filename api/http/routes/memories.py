"""One memory or a list of them: write, read, change, remove, rate."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from litestar import Response, delete, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.auth.keys import Role
from api.http.answers import EraseAnswer, ListAnswer, MemoryAnswer, WriteAnswer, write_answer
from api.http.bodies import CHANGES, FEEDBACK, POST, EraseQuery, InNamespace, ListQuery
from api.http.endpoint import Call, HttpRequest, answer, memory_members, read_body, read_query, safe_get, scope_of
from api.wiring.container import Services
from memtypes.model.errors import NotFound, Unavailable
from memtypes.model.filters import Absent, AnyOf, Compare, Filter, Op, all_of
from memtypes.model.policy import MemoryType
from memtypes.model.working import Working
from memtypes.ports.memory_store import Listing

TAG = "Memories"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BY_STATUS = {"stored": 201, "merged": 200, "rejected": 200}

_POST = Call(
    "Write one memory", TAG, {200: WriteAnswer, 201: WriteAnswer}, role=Role.WRITER, body=POST, may_fail=(409, 503)
)
_LIST = Call("List memories, newest first", TAG, {200: ListAnswer}, query=ListQuery, may_fail=(503,))
_ERASE = Call(
    "Remove memories of a namespace", TAG, {200: EraseAnswer}, role=Role.WRITER, query=EraseQuery, may_fail=(503,)
)
_GET = Call("Read a memory", TAG, {200: MemoryAnswer}, query=InNamespace, may_fail=(404, 503))
_PATCH = Call(
    "Change a memory; new content is embedded again under the same id",
    TAG,
    {200: MemoryAnswer},
    role=Role.WRITER,
    query=InNamespace,
    body=CHANGES,
    may_fail=(404, 409, 503),
)
_DELETE = Call("Remove a memory", TAG, {204: None}, role=Role.WRITER, query=InNamespace, may_fail=(404, 503))
_FEEDBACK = Call(
    "Say what became of a recalled memory",
    TAG,
    {200: MemoryAnswer},
    role=Role.WRITER,
    query=InNamespace,
    body=FEEDBACK,
    may_fail=(404, 503),
)


@post("/v1/memories", opt=_POST.opt())
async def post_memory(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """201 when the memory was stored, 200 when it was merged or rejected."""
    posted = await read_body(request, POST)
    scope = scope_of(request, posted.namespace, posted.session_id, posted.agent_id)
    outcome = await services.ingestor.write_one(scope, posted.submission())
    if outcome.status not in _BY_STATUS:
        raise Unavailable(outcome.reason or "the memory was not found after it was written; try again")
    return answer(write_answer(outcome), _BY_STATUS[outcome.status])


@safe_get("/v1/memories", opt=_LIST.opt())
async def list_memories(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """A page of a namespace's memories."""
    query = read_query(request, ListQuery)
    types = (query.type,) if query.type else ()
    listing = Listing(types, list_filter(query, services.clock()), query.limit, query.cursor)
    page = await services.store.page(scope_of(request, query.namespace), listing)
    return answer({"memories": page.memories, "next_cursor": page.next_cursor, "total": page.total})


@delete("/v1/memories", opt=_ERASE.opt(), status_code=200)
async def erase_memories(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """How many were removed, counted again after."""
    query = read_query(request, EraseQuery)
    scope = scope_of(request, query.namespace)
    types = (query.type,) if query.type else ()
    where = Compare("session_id", Op.EQ, query.session_id) if query.session_id else None
    if services.working is not None and query.type in (None, MemoryType.WORKING):
        await services.working.forget(scope_of(request, query.namespace, query.session_id))
    deleted = await services.ingestor.remove_where(scope, types, where)
    left = await services.store.page(scope, Listing(types, where, limit=1))
    return answer({"deleted": deleted, "remaining": left.total})


@safe_get("/v1/memories/{memory_id:str}", opt=_GET.opt())
async def get_memory(
    request: HttpRequest, services: NamedDependency[Services], memory_id: FromPath[str]
) -> Response[bytes]:
    """The memory."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    known = known_id(memory_id)
    found = await services.store.get(scope, [known])
    if known not in found:
        raise _unknown()
    return answer(memory_members(found[known]))


@patch("/v1/memories/{memory_id:str}", opt=_PATCH.opt())
async def patch_memory(
    request: HttpRequest, services: NamedDependency[Services], memory_id: FromPath[str]
) -> Response[bytes]:
    """The memory after the change."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    changes: dict[str, Any] = await read_body(request, CHANGES)
    return answer(await services.ingestor.revise(scope, known_id(memory_id), changes))


@delete("/v1/memories/{memory_id:str}", opt=_DELETE.opt(), status_code=204)
async def delete_memory(request: HttpRequest, services: NamedDependency[Services], memory_id: FromPath[str]) -> None:
    """Nothing, once it is gone."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    known = known_id(memory_id)
    found = (await services.store.get(scope, [known])).get(known)
    if services.working is not None and isinstance(found, Working) and found.live:
        await services.working.forget(replace(scope, session_id=found.session_id), known)
    if not await services.ingestor.remove(scope, [known]):
        raise _unknown()


@post("/v1/memories/{memory_id:str}/feedback", opt=_FEEDBACK.opt(), status_code=200)
async def post_feedback(
    request: HttpRequest, services: NamedDependency[Services], memory_id: FromPath[str]
) -> Response[bytes]:
    """The memory after the feedback."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    feedback = await read_body(request, FEEDBACK)
    return answer(await services.ingestor.feedback(scope, known_id(memory_id), feedback.outcome))


def list_filter(query: ListQuery, now: datetime) -> Filter | None:
    """What a listed memory must meet besides its type; None when everything is asked for."""
    equal = {"session_id": query.session_id, "agent_id": query.agent_id, "tags": query.tag}
    parts: list[Filter] = [Compare(name, Op.EQ, value) for name, value in equal.items() if value is not None]
    if query.created_after:
        parts.append(Compare("created_at", Op.GTE, query.created_after))
    if query.created_before:
        parts.append(Compare("created_at", Op.LT, query.created_before))
    if not query.include_expired:
        parts += [_not_past("expires_at", now), _not_past("valid_to", now)]
    return all_of(*parts) if parts else None


def _not_past(field: str, now: datetime) -> Filter:
    return AnyOf((Absent(field), Compare(field, Op.GT, now)))


def known_id(memory_id: str) -> str:
    """`memory_id` when it can be an id at all; what can't is as unknown as an id of another scope."""
    if not _UUID.fullmatch(memory_id):
        raise _unknown()
    return memory_id.lower()


def _unknown() -> NotFound:
    return NotFound("no memory of this id in this namespace")

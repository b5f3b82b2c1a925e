"""Calls on memories: write one or many, read, list, change, delete and rate."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from litestar import Response
from litestar.params import JSONBody, RawBody

from api.auth.keys import Caller, Role
from api.http.endpoint import Endpoint, Params, PathId, QueryScope, RawBodies
from api.http.idempotency import idempotency_key
from api.http.problems import InvalidInput, checked
from api.http.request import JSON, NDJSON, ApiRequest, MaybeNamespace, parse_body
from api.http.shapes.memories import (
    MAX_BATCH,
    Batch,
    BatchAnswer,
    DeletedAnswer,
    EraseQuery,
    FeedbackPost,
    HistoryAnswer,
    ListAnswer,
    ListQuery,
    MemoryAnswer,
    MemoryPatch,
    MemoryPost,
    WriteAnswer,
)
from api.wiring.container import AppServices, Services
from ingest.writing.changes import existing_memory
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.settling import history_of
from memtypes.model.errors import InvalidRequest, NotFound
from memtypes.model.filters import Compare, Filter, Op, all_of, in_view, with_states
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.strict_json import MalformedJson, strict_json
from memtypes.model.working import Working
from memtypes.ports.memory_store import Listing

BATCH_BYTES = 32 * 1024 * 1024
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@Endpoint(
    "POST /v1/memories", "Write one memory", role=Role.WRITER, status=201, also={200: WriteAnswer}, errors=(409, 503)
)
async def post_memory(request: ApiRequest, services: AppServices, data: JSONBody[MemoryPost]) -> Response[WriteAnswer]:
    """Write the memory: 201 if it was stored, 200 if it was merged into another or rejected."""
    outcome = await write_memory(services, request.auth, data)
    return Response(WriteAnswer.of(outcome), status_code=201 if outcome.status is WriteStatus.STORED else 200)


async def write_memory(services: Services, caller: Caller, post: MemoryPost) -> WriteOutcome:
    """Write the memory as `caller`: stored, merged or rejected. Raises what ingestion raises, and AccessDenied."""
    posted = post.root
    scope = caller.scope(posted.namespace, posted.session_id, caller.required_agent(posted.agent_id))
    return await services.ingestor.write_one(scope, posted.submission())


@Endpoint(
    "POST /v1/memories/batch",
    "Write many memories: all are checked before any is stored",
    role=Role.WRITER,
    errors=(409, 503),
    raw=RawBodies(models={JSON: Batch, NDJSON: None}, max_bytes=BATCH_BYTES),
    headers={"Idempotency-Key": "The same key and body within 24 hours give the same answer; another body is a 409."},
)
async def post_batch(
    request: ApiRequest, services: AppServices, params: Params[MaybeNamespace], body: RawBody
) -> Response[BatchAnswer]:
    """Write the items. Returns a result for each, in order."""
    kind = request.require_media_type(JSON, NDJSON)
    key = idempotency_key(request)
    batch = await parse_body(body, lambda: read_batch(body, kind, params.namespace))
    scope = request.scope_in(batch.namespace)
    for agent_id in {item.agent_id for item in batch.items}:
        request.auth.required_agent(agent_id)
    if key is None:
        return _encoded(await _write(services, scope, batch))
    digest = hashlib.sha256(f"{kind}\n{batch.namespace}\n".encode() + body).hexdigest()
    return _encoded(await services.idempotency.answer(scope, key, digest, lambda: _write(services, scope, batch)))


async def _write(services: Services, scope: Scope, batch: Batch) -> bytes:
    outcomes = await services.ingestor.write(scope, [item.submission() for item in batch.items])
    return BatchAnswer.of(outcomes).model_dump_json().encode()


def _encoded(answer: bytes) -> Response[Any]:
    """A JSON response from bytes, so that a call repeated with its idempotency key gets the same bytes."""
    return Response(answer, media_type=JSON)


def read_batch(raw: bytes, kind: str, namespace: str | None) -> Batch:
    """Parse the body `raw` of media type `kind`. namespace: from the query. Raises MalformedJson or InvalidInput."""
    if kind == NDJSON:
        if namespace is None:
            raise InvalidInput.at("namespace", "newline-delimited JSON needs ?namespace=")
        return checked(Batch, {"namespace": namespace, "items": read_lines(raw, MAX_BATCH)})
    if namespace is not None:
        raise InvalidInput.at("namespace", "belongs into the body of a JSON batch, not into the query")
    return checked(Batch, strict_json(raw))


def read_lines(raw: bytes, limit: int, *, any_integer: bool = False) -> list[Any]:
    """The JSON values of the lines that are not blank, at most `limit`. Raises MalformedJson or InvalidInput.

    any_integer: accept integers beyond 64 bits.
    """
    values: list[Any] = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        if len(values) == limit:
            raise InvalidInput.at("items", f"at most {limit} items in one batch")
        values.append(_line(line, f"items[{len(values)}]", number, any_integer=any_integer))
    return values


def _line(line: bytes, path: str, number: int, *, any_integer: bool) -> Any:
    try:
        return strict_json(line, any_integer=any_integer)
    except MalformedJson as error:
        raise MalformedJson(f"line {number}: {error}", path=path) from error
    except InvalidRequest as error:
        raise InvalidInput.at(path, f"line {number}: {error}") from error


@Endpoint("GET /v1/memories", "List memories, newest first", errors=(503,))
async def list_memories(request: ApiRequest, services: AppServices, params: Params[ListQuery]) -> ListAnswer:
    """A page of the memories in a namespace that match the query."""
    types = (params.type,) if params.type else ()
    now = services.clock()
    listing = Listing(types, list_filter(params, now), params.limit, params.cursor)
    page = await services.store.page(request.scope_in(params.namespace), listing)
    memories = [MemoryAnswer(memory.at(now)) for memory in page.memories]
    return ListAnswer(memories=memories, next_cursor=page.next_cursor, total=page.total)


@Endpoint("DELETE /v1/memories", "Delete memories of a namespace", role=Role.WRITER, errors=(503,))
async def erase_memories(request: ApiRequest, services: AppServices, params: Params[EraseQuery]) -> DeletedAnswer:
    """Delete the matching memories. Returns how many were deleted, and how many a count afterwards still finds.

    Without a type it also discards the turns that were to become such memories.
    """
    scope, session = request.scope_in(params.namespace), request.scope_in(params.namespace, params.session_id)
    types = (params.type,) if params.type else ()
    where = Compare("session_id", Op.EQ, params.session_id) if params.session_id else None
    if params.type in (None, MemoryType.WORKING):
        await services.working.forget(session)
    async with services.captures.locks.of(scope), services.threads.evicted_turns.locks.of(scope):
        if params.type is None:
            await services.captures.discard(session)
        if params.session_id is None and params.type in (None, MemoryType.EPISODIC):
            await services.threads.evicted_turns.store.discard(scope, None)
        deleted = await services.ingestor.editor.remove_where(scope, types, where)
    remaining = await services.store.page(scope, Listing(types, where, limit=1))
    return DeletedAnswer(deleted=deleted, remaining=remaining.total)


@Endpoint("GET /v1/memories/{memory_id}", "Read a memory", errors=(404, 503))
async def get_memory(services: AppServices, namespace: QueryScope, memory_id: PathId) -> MemoryAnswer:
    """The memory with this id."""
    memory = await existing_memory(services.store, namespace, known_id(memory_id))
    return MemoryAnswer(memory.at(services.clock()))


@Endpoint(
    "PATCH /v1/memories/{memory_id}",
    "Change a memory; new content is embedded again under the same id",
    role=Role.WRITER,
    errors=(404, 409, 503),
)
async def patch_memory(
    services: AppServices, namespace: QueryScope, memory_id: PathId, data: JSONBody[MemoryPatch]
) -> MemoryAnswer:
    """Change fields of the memory; answers with the memory after the change."""
    return MemoryAnswer(await services.ingestor.editor.revise(namespace, known_id(memory_id), data.root))


@Endpoint(
    "GET /v1/memories/{memory_id}/history", "Show what a memory said, replaced and was replaced by", errors=(404, 503)
)
async def get_history(services: AppServices, namespace: QueryScope, memory_id: PathId) -> HistoryAnswer:
    """The versions of the memory, oldest first, with their times and the reasons for their ends."""
    memory = await existing_memory(services.store, namespace, known_id(memory_id))
    versions = await history_of(services.store, namespace, memory, services.clock())
    return HistoryAnswer.model_validate({"versions": versions}, from_attributes=True)


@Endpoint(
    "POST /v1/memories/{memory_id}/restore",
    "Make a replaced or ended memory current again",
    role=Role.WRITER,
    errors=(404, 409, 503),
)
async def restore_memory(services: AppServices, namespace: QueryScope, memory_id: PathId) -> MemoryAnswer:
    """Make a replaced or ended memory current again; it and the memory in its place are then contested.

    Answers with the memory. One that is neither replaced nor ended is a conflict.
    """
    return MemoryAnswer(await services.ingestor.editor.bring_back(namespace, known_id(memory_id)))


@Endpoint("DELETE /v1/memories/{memory_id}", "Delete a memory", role=Role.WRITER, status=204, errors=(404, 503))
async def delete_memory(services: AppServices, namespace: QueryScope, memory_id: PathId) -> None:
    """Delete the memory, from the live state too if it is a working item; the answer is empty."""
    await remove_memory(services, namespace, known_id(memory_id))


@Endpoint("POST /v1/memories/{memory_id}/feedback", "Rate a recalled memory", role=Role.WRITER, errors=(404, 503))
async def post_feedback(
    services: AppServices, namespace: QueryScope, memory_id: PathId, data: JSONBody[FeedbackPost]
) -> MemoryAnswer:
    """Record the feedback in the memory; answers with the memory."""
    return MemoryAnswer(await services.ingestor.editor.rate(namespace, known_id(memory_id), data.outcome))


async def remove_memory(services: Services, scope: Scope, memory_id: str) -> None:
    """Delete the memory from the store, and from the live state if it is a working item. Raises NotFound."""
    memory = (await services.store.get(scope, [memory_id])).get(memory_id)
    if isinstance(memory, Working) and memory.live:
        await services.working.forget(replace(scope, session_id=memory.session_id), memory_id)
    if not await services.ingestor.editor.remove(scope, [memory_id]):
        raise _unknown()


def list_filter(query: ListQuery, now: datetime) -> Filter | None:
    """The conditions of a list query, except its type. Expired and replaced memories are left out unless asked for."""
    equal = {"session_id": query.session_id, "agent_id": query.agent_id, "tags": query.tag}
    parts: list[Filter] = [Compare(name, Op.EQ, value) for name, value in equal.items() if value is not None]
    if query.created_after:
        parts.append(Compare("created_at", Op.GTE, query.created_after))
    if query.created_before:
        parts.append(Compare("created_at", Op.LT, query.created_before))
    if query.state is not None:
        parts.append(with_states(Compare("state", Op.EQ, query.state), now))
    elif not query.include_expired:
        parts.append(in_view(now))
    return all_of(*parts) if parts else None


def known_id(memory_id: str) -> str:
    """`memory_id` in lower case. Raises NotFound if it is not a UUID, as for a memory that does not exist."""
    if not _UUID.fullmatch(memory_id):
        raise _unknown()
    return memory_id.lower()


def _unknown() -> NotFound:
    return NotFound("no memory of this id in this namespace")

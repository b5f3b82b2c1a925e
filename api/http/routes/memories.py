"""HTTP calls on memories: write one or many, read, list, change, restore, delete and rate
memories.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from litestar import Response
from litestar.params import JSONBody, RawBody
from pydantic import ConfigDict, Field

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId, QueryScope
from api.http.idempotency import idempotency_key
from api.http.problems import InvalidInput, validated
from api.http.request import (
    BATCH_BYTES,
    JSON,
    NDJSON,
    ApiRequest,
    InNamespace,
    MaybeNamespace,
    parse_body,
    read_lines,
)
from api.http.shapes.memories import (
    MAX_BATCH,
    Batch,
    BatchAnswer,
    ListQuery,
    MemoryAnswer,
    MemoryPatch,
    MemoryPost,
    WriteAnswer,
    results_of,
)
from api.http.use_cases import read_memory, remove_memory, retract, revise_memory, valid_id
from api.wiring.container import AppServices, Services
from ingest.writing.changes import FeedbackOutcome
from ingest.writing.outcome import WriteStatus
from ingest.writing.versions import history_of
from memtypes.model.filters import Compare, Op
from memtypes.model.memory import Label, StrictModel
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name, Scope
from memtypes.model.strict_json import strict_json
from memtypes.model.times import Instant
from memtypes.ports.memory_store import Listing
from retrieval.answer import Answer, OmittedIfNone


class FeedbackPost(StrictModel):
    """A rating: how useful a memory was when it was recalled."""

    outcome: FeedbackOutcome


class EraseQuery(InNamespace):
    """Which memories of a namespace to delete: by default all. confirm: must be `true`."""

    confirm: Annotated[
        Literal["true"], Field(description="Must be true: deleted memories cannot be restored.")
    ]
    type: MemoryType | None = None
    session_id: Name | None = None


class ListAnswer(Answer):
    """A page of memories, newest first. total: number of memories on all pages."""

    memories: list[MemoryAnswer]
    next_cursor: str | None
    total: int


class HistoryVersion(Answer):
    """A text in a memory's history: its own, or that of a memory that it replaced, that replaced it
    or contradicts it.

    memory: the memory with this text as its content. from, to: when the text was valid.
    replaced_by: id of the memory whose text took its place. This is the id of `memory` if its text
    was edited or merged with another wording.
    """

    model_config = ConfigDict(frozen=True, serialize_by_alias=True, validate_by_name=True)

    memory: MemoryAnswer
    since: Instant = Field(alias="from")
    to: OmittedIfNone[Instant] = Field(default=None, validation_alias="until")
    replaced_by: OmittedIfNone[str] = None
    reason: OmittedIfNone[str] = None


class HistoryAnswer(Answer):
    """A memory's history, oldest first: its texts, and those of memories that precede, replace or
    contradict it.
    """

    versions: list[HistoryVersion]


class RetractPost(StrictModel):
    """Why a memory never was true."""

    reason: Label | None = None


class DeletedAnswer(Answer):
    """How many memories were deleted. remaining: number of matching memories that exist
    afterwards.
    """

    deleted: int
    remaining: int


@Endpoint(
    "POST /v1/memories", role=Role.WRITER, status=201, answers={200: WriteAnswer}, errors=(409, 503)
)
async def post_memory(
    request: ApiRequest, services: AppServices, data: JSONBody[MemoryPost]
) -> Response[WriteAnswer]:
    """Write one memory.

    The HTTP status is 201 if the memory was stored, else 200. Then `status` in the answer is merged
    (into another memory), rejected or failed, and `reason` says why.
    """
    post = data.root
    scope = request.agent_scope(post.namespace, post.session_id, post.agent_id)
    await services.ingestor.check_links(scope, {"": post})
    outcome = await services.ingestor.write_one(scope, post.submission())
    return Response(
        WriteAnswer.model_validate(outcome, from_attributes=True),
        status_code=201 if outcome.status is WriteStatus.STORED else 200,
    )


@Endpoint(
    "POST /v1/memories/batch",
    role=Role.WRITER,
    errors=(409, 503),
    raw={JSON: Batch, NDJSON: None},
    max_bytes=BATCH_BYTES,
    headers={
        "Idempotency-Key": (
            "The same key and body within 24 hours give the same answer; another body is a 409."
        )
    },
)
async def post_batch(
    request: ApiRequest, services: AppServices, params: Params[MaybeNamespace], body: RawBody
) -> Response[BatchAnswer]:
    """Write many memories, all of which are validated before any is stored."""
    kind = request.require_media_type(JSON, NDJSON)
    key = idempotency_key(request)
    batch = await parse_body(body, lambda: read_batch(body, kind, params.namespace))
    scope = request.scope_in(batch.namespace)
    for index, item in enumerate(batch.items):
        request.auth.required_agent(item.agent_id, f"items[{index}].agent_id")
    if key is None:
        answer = await _write(services, scope, batch)
    else:
        digest = hashlib.sha256(f"{kind}\n{batch.namespace}\n".encode() + body).hexdigest()
        answer = await services.idempotency.answer(
            scope, key, digest, lambda: _write(services, scope, batch)
        )
    # Bytes, the same for a call repeated with its idempotency key
    return Response[Any](answer, media_type=JSON)


async def _write(services: Services, scope: Scope, batch: Batch) -> bytes:
    await services.ingestor.check_links(
        scope, {f"items[{at}].": item for at, item in enumerate(batch.items)}
    )
    outcomes = await services.ingestor.write(scope, [item.submission() for item in batch.items])
    return BatchAnswer(**results_of(outcomes)).model_dump_json().encode()


def read_batch(raw: bytes, kind: str, namespace: str | None) -> Batch:
    """The batch in the body `raw`, whose media type `kind` is JSON or newline-delimited JSON.

    namespace: from the query; needed for newline-delimited JSON, and not allowed for JSON. Raises
    MalformedJson if the body cannot be parsed, and InvalidInput if it is no valid batch.
    """
    if kind == NDJSON:
        if namespace is None:
            raise InvalidInput.at("namespace", "newline-delimited JSON needs ?namespace=")
        return validated(Batch, {"namespace": namespace, "items": read_lines(raw, MAX_BATCH)})
    if namespace is not None:
        raise InvalidInput.at(
            "namespace", "belongs into the body of a JSON batch, not into the query"
        )
    return validated(Batch, strict_json(raw))


@Endpoint("GET /v1/memories", errors=(503,))
async def list_memories(
    services: AppServices, namespace: QueryScope, params: Params[ListQuery]
) -> ListAnswer:
    """List memories, newest first."""
    now = services.clock()
    page = await services.store.page(namespace, params.listing(now))
    memories = [MemoryAnswer(memory.at(now)) for memory in page.memories]
    return ListAnswer(memories=memories, next_cursor=page.next_cursor, total=page.total)


@Endpoint("DELETE /v1/memories", role=Role.WRITER, errors=(503,))
async def erase_memories(
    request: ApiRequest, services: AppServices, params: Params[EraseQuery]
) -> DeletedAnswer:
    """Delete memories of a namespace.

    This also deletes texts that could still become such memories: rejected texts; without a type,
    turns that clients' hooks reported; without a session_id, and with no type or episodic, turns
    that were removed from threads. Without the store of these texts, nothing is deleted, and the
    HTTP status is 503.
    """
    scope = request.scope_in(params.namespace)
    session = request.scope_in(params.namespace, params.session_id)
    types = (params.type,) if params.type else ()
    where = Compare("session_id", Op.EQ, params.session_id) if params.session_id else None
    forgotten = 0
    if params.type in (None, MemoryType.WORKING):
        forgotten = await services.working.forget(session)
    async with (
        services.captures.locks.lock(scope),
        services.threads.evicted_turns.locks.lock(scope),
    ):
        if params.type is None:
            await services.captures.discard(session)
        if params.session_id is None and params.type in (None, MemoryType.EPISODIC):
            await services.threads.evicted_turns.store.discard(scope, None)
        await services.decisions.discard_rejected(session, params.type)
        deleted = await services.ingestor.editor.remove_where(scope, types, where)
    remaining = await services.store.page(scope, Listing(types, where, limit=1))
    return DeletedAnswer(deleted=deleted + forgotten, remaining=remaining.total)


@Endpoint("GET /v1/memories/{memory_id}", errors=(404, 503))
async def get_memory(
    services: AppServices, namespace: QueryScope, memory_id: PathId
) -> MemoryAnswer:
    """Read a memory."""
    return MemoryAnswer(await read_memory(services, namespace, memory_id))


@Endpoint("PATCH /v1/memories/{memory_id}", role=Role.WRITER, errors=(404, 409, 503))
async def patch_memory(
    services: AppServices, namespace: QueryScope, memory_id: PathId, data: JSONBody[MemoryPatch]
) -> MemoryAnswer:
    """Change fields of a memory.

    The memory keeps its id. If its content changes, it is embedded again.
    """
    return MemoryAnswer(await revise_memory(services, namespace, memory_id, data.root))


@Endpoint("GET /v1/memories/{memory_id}/history", errors=(404, 503))
async def get_history(
    services: AppServices, namespace: QueryScope, memory_id: PathId
) -> HistoryAnswer:
    """Show what a memory said over time, what it replaced and what replaced it."""
    memory = await read_memory(services, namespace, memory_id)
    versions = await history_of(services.store, namespace, memory, services.clock())
    return HistoryAnswer.model_validate({"versions": versions}, from_attributes=True)


@Endpoint("POST /v1/memories/{memory_id}/restore", role=Role.WRITER, errors=(404, 409, 503))
async def restore_memory(
    services: AppServices, namespace: QueryScope, memory_id: PathId
) -> MemoryAnswer:
    """Make a replaced or expired memory current again.

    If another memory took its place, both then have the state contested: they contradict each
    other, and both stay. The HTTP status is 409 if the memory is neither replaced nor expired.
    """
    return MemoryAnswer(await services.ingestor.editor.bring_back(namespace, valid_id(memory_id)))


@Endpoint("POST /v1/memories/{memory_id}/retract", role=Role.WRITER, errors=(404, 409, 503))
async def retract_memory(
    services: AppServices, namespace: QueryScope, memory_id: PathId, data: JSONBody[RetractPost]
) -> MemoryAnswer:
    """Say that a memory never was true: its state is then wrong, and no context shows it.

    Facts that it had replaced are current again. POST /v1/memories/{id}/undo takes this back.
    """
    return MemoryAnswer(await retract(services, namespace, memory_id, data.reason))


@Endpoint("DELETE /v1/memories/{memory_id}", role=Role.WRITER, status=204, errors=(404, 503))
async def delete_memory(services: AppServices, namespace: QueryScope, memory_id: PathId) -> None:
    """Delete a memory."""
    await remove_memory(services, namespace, memory_id)


@Endpoint("POST /v1/memories/{memory_id}/feedback", role=Role.WRITER, errors=(404, 503))
async def post_feedback(
    services: AppServices, namespace: QueryScope, memory_id: PathId, data: JSONBody[FeedbackPost]
) -> MemoryAnswer:
    """Rate how useful a recalled memory was."""
    return MemoryAnswer(
        await services.ingestor.editor.rate(namespace, valid_id(memory_id), data.outcome)
    )

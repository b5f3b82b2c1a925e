"""HTTP calls for operators: API keys, upkeep jobs, re-embedding, and export, import and erasure of
namespaces.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from litestar.params import JSONBody, RawBody
from litestar.response import Stream
from pydantic import Field

from api.auth.keys import KeyRights, KnownKey, Role
from api.http.endpoint import Endpoint, PathId, QueryScope
from api.http.problems import InvalidInput, validated
from api.http.request import BATCH_BYTES, NDJSON, ApiRequest, InNamespace, parse_body, read_lines
from api.http.shapes.memories import BatchAnswer, results_of
from api.http.use_cases import UUID
from api.wiring.container import AppServices, Services
from api.wiring.erasure import Erased, erase
from ingest.keyed_items import ExportedItem
from ingest.upkeep.jobs import JobReport
from ingest.upkeep.planners import JobRequest, UpkeepJob
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.transfer import ITEM, exported, read_exported
from memtypes.model.errors import NotFound
from memtypes.model.memory import StrictModel
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name, Scope
from memtypes.stores.operations.schema import ITEMS
from retrieval.answer import Answer

MAX_LINES = 50_000


class NewKey(Answer):
    """A new API key. Only this answer shows the key itself. agents: ids of the agents that the key
    is bound to.
    """

    id: str
    key: str
    tenant: str
    role: Role
    agents: list[str]
    namespace: str | None


class KeysAnswer(Answer):
    """All API keys that the service knows, without the secret keys themselves."""

    keys: list[KnownKey]


class ReembedAnswer(Answer):
    """How many entries of all tenants were embedded again: memories by type, keyed items (items),
    and all together.
    """

    types: dict[MemoryType, int]
    items: int
    total: int


class ErasePost(StrictModel):
    """What to erase. memory_id: the only memory to erase; if it is left out, everything in the
    namespace.
    """

    namespace: Name
    memory_id: str = Field(default="", pattern=UUID)


@Endpoint("POST /v1/admin/keys", role=Role.ADMIN, status=201, errors=(503,))
async def post_key(services: AppServices, data: JSONBody[KeyRights]) -> NewKey:
    """Create an API key, which only this answer shows."""
    key_id, key = await services.keys.create(data, services.clock)
    return NewKey(id=key_id, key=key, **dict(data))


@Endpoint("GET /v1/admin/keys", role=Role.ADMIN)
async def list_keys(services: AppServices) -> KeysAnswer:
    """List the API keys, without the secret keys themselves."""
    return KeysAnswer(keys=services.keys.list_keys())


@Endpoint("DELETE /v1/admin/keys/{key_id}", role=Role.ADMIN, status=204, errors=(404, 409, 503))
async def delete_key(services: AppServices, key_id: PathId) -> None:
    """Revoke an API key."""
    await services.keys.remove(key_id)


@Endpoint("POST /v1/admin/jobs/{job}", role=Role.ADMIN, errors=(404, 503))
async def run_job(
    request: ApiRequest, services: AppServices, job: PathId, data: JSONBody[JobRequest]
) -> JobReport:
    """Run an upkeep job (promote, forget, expire or compact), by default as a dry run."""
    if job not in set(UpkeepJob):
        raise NotFound(f"no job of this name; known are {', '.join(UpkeepJob)}")
    return await services.upkeep.run_all(request.auth.tenant, UpkeepJob(job), data)


@Endpoint("POST /v1/admin/reembed", role=Role.ADMIN, errors=(409, 503))
async def post_reembed(services: AppServices) -> ReembedAnswer:
    """Embed every memory and keyed item again.

    The vectors go into new collections, which then replace the old ones. Until then, calls that
    need the store are refused with 503 and `Retry-After`.
    """
    counts = await services.reembedding.run_on(services.store)
    types = {kind: counts[kind] for kind in MemoryType}
    return ReembedAnswer(types=types, items=counts[ITEMS], total=sum(counts.values()))


@Endpoint(
    "POST /v1/admin/export", role=Role.ADMIN, answers={200: str}, errors=(503,), media_type=NDJSON
)
async def post_export(
    request: ApiRequest, services: AppServices, data: JSONBody[InNamespace]
) -> Stream:
    """Export every memory and keyed item of a namespace as newline-delimited JSON."""
    await services.store.ping()  # once the answer has begun, an error can no longer be reported
    return Stream(_lines(services, request.scope_in(data.namespace)), media_type=NDJSON)


@Endpoint(
    "POST /v1/admin/import",
    role=Role.ADMIN,
    errors=(409, 503),
    raw={NDJSON: None},
    max_bytes=BATCH_BYTES,
)
async def post_import(
    request: ApiRequest, services: AppServices, namespace: QueryScope, body: RawBody
) -> BatchAnswer:
    """Import the memories and keyed items of an exported namespace."""
    request.require_media_type(NDJSON)
    lines = await parse_body(body, lambda: read_lines(body, MAX_LINES, any_integer=True))
    for index, line in enumerate(lines):
        if not isinstance(line, dict):
            raise InvalidInput.at(f"items[{index}]", "must be an object")
    memories = await parse_body(body, lambda: read_exported(namespace, lines))
    items = {
        index: _item_in(index, line) for index, line in enumerate(lines) if line.get("type") == ITEM
    }
    imported = iter(await services.ingestor.restorer.restore(namespace, memories))
    ids = {index: await services.items.restore(namespace, item) for index, item in items.items()}
    outcomes = [
        WriteOutcome(WriteStatus.STORED, ids[index]) if index in ids else next(imported)
        for index in range(len(lines))
    ]
    return BatchAnswer(**results_of(outcomes))


@Endpoint("POST /v1/admin/erase", role=Role.ADMIN, errors=(503,))
async def post_erase(
    request: ApiRequest, services: AppServices, data: JSONBody[ErasePost]
) -> Erased:
    """Erase a namespace or one memory from every store."""
    scope = request.scope_in(data.namespace)
    async with (
        services.captures.locks.lock(scope),
        services.threads.evicted_turns.locks.lock(scope),
    ):
        return await erase(
            services.erasable, services.ingestor, scope, data.memory_id.lower() or None
        )


def _item_in(index: int, line: object) -> ExportedItem:
    try:
        return validated(ExportedItem, line)
    except InvalidInput as error:
        prefix = f"items[{index}]."
        errors = [
            field_error.model_copy(update={"path": prefix + field_error.path})
            for field_error in error.errors
        ]
        raise InvalidInput(errors) from error


async def _lines(services: Services, scope: Scope) -> AsyncIterator[bytes]:
    async for payload in exported(services.store, scope):
        yield msgspec.json.encode(payload) + b"\n"
    async for item in services.items.every(scope):
        yield ExportedItem.from_item(item).model_dump_json().encode() + b"\n"

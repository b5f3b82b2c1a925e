"""The operator's calls on a whole namespace: take it out, put it in, erase it with a proof."""

from __future__ import annotations

from collections.abc import AsyncIterator

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.response import Stream
from pydantic import TypeAdapter

from api.auth.keys import Role
from api.http.answers import BatchAnswer, batch_answer
from api.http.bodies import InNamespace
from api.http.endpoint import (
    NDJSON,
    Call,
    HttpRequest,
    answer,
    content_type,
    encode,
    in_turn,
    read_body,
    read_query,
    scope_of,
)
from api.http.routes.batch import BATCH_BYTES, read_lines
from api.http.validation import FieldError, InvalidInput
from api.wiring.container import Services
from api.wiring.erasure import Erased, erase_everywhere
from ingest.files.transfer import exported, read_exported
from memtypes.model.memory import Model
from memtypes.model.scope import Name, Scope

TAG = "Admin"
MAX_LINES = 50_000


class ExportPost(Model):
    """Which namespace to take out."""

    namespace: Name


class ErasePost(Model):
    """What to erase: a namespace, or one memory of it."""

    namespace: Name
    memory_id: str | None = None


EXPORT: TypeAdapter[ExportPost] = TypeAdapter(ExportPost)
ERASE: TypeAdapter[ErasePost] = TypeAdapter(ErasePost)

_EXPORT = Call(
    "Every memory of a namespace, one a line",
    TAG,
    {200: str},
    role=Role.ADMIN,
    body=EXPORT,
    answer_type=NDJSON,
    may_fail=(503,),
)
_IMPORT = Call(
    "Put an exported namespace in, as it was",
    TAG,
    {200: BatchAnswer},
    role=Role.ADMIN,
    query=InNamespace,
    body=TypeAdapter(list[dict[str, object]]),
    body_types=(NDJSON,),
    may_fail=(409, 503),
)
_ERASE = Call(
    "Erase a namespace or one memory everywhere", TAG, {200: Erased}, role=Role.ADMIN, body=ERASE, may_fail=(503,)
)


@post("/v1/admin/export", opt=_EXPORT.opt(), status_code=200)
async def post_export(request: HttpRequest, services: NamedDependency[Services]) -> Stream:
    """The memories, newest first."""
    asked = await read_body(request, EXPORT)
    scope = scope_of(request, asked.namespace)
    await services.store.ping()  # once the answer has begun nothing can be said any more
    return Stream(_lines(services, scope), media_type=NDJSON)


@post("/v1/admin/import", opt=_IMPORT.opt(), status_code=200, request_max_body_size=BATCH_BYTES)
async def post_import(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """What became of each line."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    content_type(request, (NDJSON,))
    raw = await request.body()
    lines = await in_turn(raw, lambda: read_lines(raw, MAX_LINES))
    for index, line in enumerate(lines):
        if not isinstance(line, dict):
            raise InvalidInput([FieldError(f"items[{index}]", "must be an object")])
    memories = await in_turn(raw, lambda: read_exported(scope, lines))
    return answer(batch_answer(await services.ingestor.restore(scope, memories)))


@post("/v1/admin/erase", opt=_ERASE.opt(), status_code=200)
async def post_erase(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """What was removed, and the count made after."""
    asked = await read_body(request, ERASE)
    scope = scope_of(request, asked.namespace)
    return answer(await erase_everywhere(services.places, scope, asked.memory_id, services.clock))


async def _lines(services: Services, scope: Scope) -> AsyncIterator[bytes]:
    async for payload in exported(services.store, scope):
        yield encode(payload) + b"\n"

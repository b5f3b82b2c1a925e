"""Many memories at once, as one JSON body or as newline-delimited JSON."""

from __future__ import annotations

import hashlib
from typing import Any

from litestar import Response, post
from litestar.di import NamedDependency

from api.auth.keys import Role
from api.http.answers import BatchAnswer, batch_answer
from api.http.bodies import BATCH, MAX_BATCH, Batch, MaybeNamespace
from api.http.endpoint import JSON, NDJSON, Call, HttpRequest, content_type, encode, in_turn, read_query, scope_of
from api.http.validation import FieldError, InvalidInput, checked
from api.wiring.container import Services
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope
from memtypes.model.strict_json import MalformedJson, strict_json

BATCH_BYTES = 32 * 1024 * 1024
MAX_KEY = 256

_BATCH = Call(
    "Write many memories: all are checked before any is stored",
    "Memories",
    {200: BatchAnswer},
    role=Role.WRITER,
    query=MaybeNamespace,
    body=BATCH,
    body_types=(JSON, NDJSON),
    headers={"Idempotency-Key": "The same key and body within 24 hours give the same answer; another body is a 409."},
    may_fail=(409, 503),
)


@post("/v1/memories/batch", opt=_BATCH.opt(), status_code=200, request_max_body_size=BATCH_BYTES)
async def post_batch(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """What became of each item, in order."""
    named = read_query(request, MaybeNamespace).namespace
    kind = content_type(request, (JSON, NDJSON))
    key = _idempotency_key(request)
    raw = await request.body()
    batch = await in_turn(raw, lambda: read_batch(raw, kind, named))
    scope = scope_of(request, batch.namespace)
    if key is None:
        return _sent(await _write(services, scope, batch))
    digest = hashlib.sha256(f"{kind}\n{batch.namespace}\n".encode() + raw).hexdigest()
    return _sent(await services.once.answer(scope, key, digest, lambda: _write(services, scope, batch)))


async def _write(services: Services, scope: Scope, batch: Batch) -> bytes:
    outcomes = await services.ingestor.write(scope, [item.submission() for item in batch.items])
    return encode(batch_answer(outcomes))


def _sent(body: bytes) -> Response[bytes]:
    return Response(body, media_type=JSON)


def _idempotency_key(request: HttpRequest) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= MAX_KEY and key.isprintable()):
        raise InvalidInput([FieldError("Idempotency-Key", f"must have 1 to {MAX_KEY} printable characters")])
    return key


def read_batch(raw: bytes, kind: str, named: str | None) -> Batch:
    """The batch in `raw`. Raises MalformedJson or InvalidInput with the index of the item at fault."""
    if kind == NDJSON:
        if named is None:
            raise InvalidInput([FieldError("namespace", "newline-delimited JSON needs ?namespace=")])
        return checked(BATCH, {"namespace": named, "items": read_lines(raw, MAX_BATCH)})
    if named is not None:
        raise InvalidInput([FieldError("namespace", "belongs into the body of a JSON batch, not into the query")])
    return checked(BATCH, strict_json(raw))


def read_lines(raw: bytes, limit: int) -> list[Any]:
    """The value of each line that is not blank. Raises MalformedJson or InvalidInput with the line at fault."""
    values: list[Any] = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        if len(values) == limit:
            raise InvalidInput([FieldError("items", f"at most {limit} items in one batch")])
        values.append(_line(line, f"items[{len(values)}]", number))
    return values


def _line(line: bytes, path: str, number: int) -> Any:
    try:
        return strict_json(line)
    except MalformedJson as error:
        raise MalformedJson(f"line {number}: {error}", path=path) from error
    except InvalidRequest as error:
        raise InvalidInput([FieldError(path, f"line {number}: {error}")]) from error

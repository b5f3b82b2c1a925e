"""What a route says about itself: who may call it, what it takes, what it answers.

The gate reads the role, the readers below read the shapes, and the OpenAPI document is made from the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import parse_qsl

import anyio.to_thread
import msgspec
from litestar import Request, Response, route
from litestar.datastructures import State
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope
from pydantic import BaseModel, TypeAdapter

from api.auth.keys import Caller, Role
from api.http.problems import UnsupportedMedia
from api.http.validation import FieldError, InvalidInput, checked, shown
from memtypes.model.memory import Memory, Model
from memtypes.model.scope import Scope
from memtypes.model.strict_json import strict_json

JSON = "application/json"
NDJSON = "application/x-ndjson"
LARGE_BODY = 64 * 1024
"""Bytes from which a body is read in a thread, so that the other requests go on meanwhile."""

MAX_PARAMETERS = 32

HttpRequest: TypeAlias = Request[Any, Caller, State]
_Value = TypeVar("_Value")
_Query = TypeVar("_Query", bound=Model)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the HTTP contract.

    role: the least that is needed; None where no key is asked for. query, body: the shapes taken. answers: the shape
    of each status that is no problem; None for an empty answer.
    """

    summary: str
    tag: str
    answers: Mapping[int, Any]
    role: Role | None = Role.READER
    query: type[Model] | None = None
    body: TypeAdapter[Any] | None = None
    body_types: tuple[str, ...] = (JSON,)
    answer_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    may_fail: tuple[int, ...] = ()

    def opt(self) -> dict[str, Any]:
        """The route option that carries this description."""
        return {"call": self}


def safe_get(path: str, opt: Mapping[str, Any]) -> HTTPRouteHandler:
    """A route for GET that takes HEAD as well, which is answered with the same headers alone.

    For calls that change nothing: where a GET notes that something was read, a HEAD would note it for nobody.
    """
    return route(path, http_method=[HttpMethod.GET, HttpMethod.HEAD], opt=opt)


def scope_of(request: HttpRequest, namespace: str, session_id: str | None = None, agent_id: str | None = None) -> Scope:
    """The scope of a call: the caller's tenant, and what the request names."""
    return Scope(request.auth.tenant, namespace, session_id, agent_id)


async def read_body(request: HttpRequest, adapter: TypeAdapter[_Value]) -> _Value:
    """The JSON body as `adapter` has it; no body at all is an empty object.

    Raises UnsupportedMedia, MalformedJson or InvalidInput.
    """
    raw = await request.body()
    if not raw and "content-type" not in request.headers:
        return checked(adapter, {})
    content_type(request, (JSON,))
    return await in_turn(raw, lambda: checked(adapter, strict_json(raw)))


async def in_turn(raw: bytes, read: Callable[[], _Value]) -> _Value:
    """What `read` gives; in a thread where `raw` is large."""
    return read() if len(raw) < LARGE_BODY else await anyio.to_thread.run_sync(read)


def content_type(request: HttpRequest, allowed: tuple[str, ...]) -> str:
    """The body's media type, when it is one of `allowed`."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMedia(f"the body must be sent as it is; Content-Encoding was {shown(encoding)!r}")
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent not in allowed:
        raise UnsupportedMedia(f"Content-Type must be {' or '.join(allowed)}; it was {shown(sent)!r}")
    return sent


def read_query(request: HttpRequest, kind: type[_Query]) -> _Query:
    """The query parameters as `kind` has them. Raises InvalidInput; unknown and repeated ones are refused."""
    return checked(TypeAdapter(kind), _parameters(request.scope))


def refuse_query(scope: HTTPScope) -> None:
    """Raise InvalidInput when there is any query parameter: this call takes none."""
    sent = _parameters(scope)
    if sent:
        raise InvalidInput([FieldError(name, "this call takes no query parameters") for name in map(shown, sent)])


def _parameters(scope: HTTPScope) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError as error:
        raise InvalidInput(
            [FieldError("", f"the query must be percent-encoded UTF-8 of at most {MAX_PARAMETERS} parameters")]
        ) from error
    named = dict(pairs)
    if len(named) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput([FieldError(shown(twice), "must be given once")])
    return named


def answer(value: object, status: int = 200) -> Response[bytes]:
    """`value` as a JSON answer."""
    return Response(encode(value), status_code=status, media_type=JSON)


class Redacted(Protocol):
    """What became of something that was looked through for secrets."""

    @property
    def redactions(self) -> Mapping[str, int]:
        """How many were taken out, by kind."""


def redactions_of(one: Redacted) -> dict[str, Any]:
    """What an answer says was taken out; nothing where there was nothing."""
    return {"redactions": dict(one.redactions)} if one.redactions else {}


def encode(value: object) -> bytes:
    """`value` as JSON: dataclasses, enums and times as they are; memories without their tenant."""
    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: object) -> Any:
    if isinstance(value, Memory):
        return memory_members(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


def memory_members(memory: Memory) -> dict[str, Any]:
    """A memory as answers show it: every field, null ones too, but the tenant."""
    return memory.model_dump(mode="json", exclude={"tenant"})

"""Parses HTTP requests for handlers: JSON bodies, query parameters and headers, strictly
validated.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl

import anyio.to_thread
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from pydantic import BaseModel, BeforeValidator, Field

from api.auth.keys import Caller
from api.http.problems import FieldError, InvalidInput, UnsupportedMedia, quoted, validated
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import StrictModel
from memtypes.model.scope import Name, Scope, clean_name
from memtypes.model.strict_json import MalformedJson, strict_json

JSON = "application/json"
NDJSON = "application/x-ndjson"
BATCH_BYTES = 32 * 1024 * 1024
LARGE_BODY = 64 * 1024
"""Size in bytes from which a body is parsed in a worker thread, so that it does not block the event
loop.
"""

MAX_PARAMETERS = 32

NAMESPACE_HEADER = "X-Remembrancer-Namespace"
"""Header with which hooks and MCP clients name the namespace, used if path or query name none."""

_Value = TypeVar("_Value")
_ModelT = TypeVar("_ModelT", bound=BaseModel)


def _integer(text: object) -> object:
    return int(text) if isinstance(text, str) and re.fullmatch(r"-?[0-9]{1,18}", text) else text


def _boolean(text: object) -> object:
    return {"true": True, "false": False}.get(text, text) if isinstance(text, str) else text


QueryFlag: TypeAlias = Annotated[bool, Field(strict=True), BeforeValidator(_boolean)]
QueryWhole: TypeAlias = Annotated[int, Field(strict=True), BeforeValidator(_integer)]


class InNamespace(StrictModel):
    """Parameters of a call that works in one namespace."""

    namespace: Name


class AsAgent(InNamespace):
    """Parameters of a call by an agent.

    agent_id: the calling agent. By default the agent that the API key is bound to, if it is bound
    to exactly one.
    """

    agent_id: Name | None = None


class MaybeNamespace(StrictModel):
    """Query parameters of a call that may name its namespace elsewhere, such as in the body of a
    batch.
    """

    namespace: Name | None = None


class InSession(InNamespace):
    """Parameters of a call about one session in a namespace."""

    session_id: Name


class ApiRequest(Request[Any, Caller, State]):
    """Litestar's request with strict parsing of its body. `auth` is the Caller that the API key
    identifies.
    """

    def scope_in(
        self, namespace: str, session_id: str | None = None, agent_id: str | None = None
    ) -> Scope:
        """The scope that the call may read and write. Raises AccessDenied if the key may not act as
        `agent_id`.
        """
        return self.auth.scope(namespace, session_id, self.auth.agent(agent_id))

    def agent_scope(
        self,
        namespace: str,
        session_id: str | None = None,
        agent_id: str | None = None,
        field: str = "agent_id",
    ) -> Scope:
        """The scope of a call that must name its agent, in its field `field`, if the API key is
        bound to several.

        Raises InvalidRequest if `agent_id` is None then, AccessDenied if the key is bound to other
        agents only.
        """
        return self.auth.scope(namespace, session_id, self.auth.required_agent(agent_id, field))

    async def body(self) -> bytes:
        """The raw body, or `{}` if there is neither body nor Content-Type: Litestar would not parse
        an empty body.

        Raises MalformedJson if the body is empty although its Content-Type is JSON.
        """
        raw = await super().body()
        if not raw and _media_type(self) == JSON:
            raise MalformedJson("not JSON: the body is empty")
        return raw if raw or "content-type" in self.headers else b"{}"

    async def json(self) -> Any:
        """The body as the model that `data` is typed with. Raises UnsupportedMedia, MalformedJson
        or InvalidInput.
        """
        raw = await self.body()
        if "content-type" in self.headers or await super().body():
            self.require_media_type(JSON)
        model: type[BaseModel] = self.route_handler.parsed_fn_signature.parameters[
            "data"
        ].annotation
        any_integer: bool = self.route_handler.opt["endpoint"].any_integer
        return await parse_body(
            raw, lambda: validated(model, strict_json(raw, any_integer=any_integer))
        )

    def require_media_type(self, *allowed: str) -> str:
        """The body's media type. Raises UnsupportedMedia if it is not in `allowed` or the body is
        compressed.
        """
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding != "identity":
            raise UnsupportedMedia(
                f"the body must not be encoded; Content-Encoding was {quoted(encoding)!r}"
            )
        media_type = _media_type(self)
        if media_type not in allowed:
            raise UnsupportedMedia(
                f"Content-Type must be {' or '.join(allowed)}; it was {quoted(media_type)!r}"
            )
        return media_type


async def parse_body(raw: bytes, parse: Callable[[], _Value]) -> _Value:
    """The result of `parse`, which parses the body `raw`. If the body is large, `parse` runs in a
    worker thread.
    """
    return parse() if len(raw) < LARGE_BODY else await anyio.to_thread.run_sync(parse)


def read_lines(raw: bytes, limit: int, *, any_integer: bool = False) -> list[Any]:
    """The JSON values in a newline-delimited JSON body, one for each line that is not blank,
    without byte order mark.

    any_integer: accept integers beyond 64 bits. Raises MalformedJson for a line that is not JSON,
    and InvalidInput for more than `limit` values or a value that is not allowed, such as an integer
    that is too large.
    """
    values: list[Any] = []
    for number, line in enumerate(raw.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if not line.strip():
            continue
        path = f"items[{len(values)}]"
        if len(values) == limit:
            raise InvalidInput.at("items", f"at most {limit} items in one batch")
        try:
            values.append(strict_json(line, any_integer=any_integer))
        except MalformedJson as error:
            raise MalformedJson(f"line {number}: {error}", path=path) from error
        except InvalidRequest as error:
            raise InvalidInput.at(path, f"line {number}: {error}") from error
    return values


def read_query(connection: ASGIConnection[Any, Any, Any, Any], model: type[_ModelT]) -> _ModelT:
    """Validate the URL's query parameters as a `model`. Raises InvalidInput if one is invalid,
    unknown or repeated.
    """
    return validated(model, _query_parameters(connection))


def refuse_query(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Raise InvalidInput if the request has query parameters. For calls that have none."""
    if parameters := _query_parameters(connection):
        message = "this call takes no query parameters"
        raise InvalidInput([FieldError(path=quoted(name), message=message) for name in parameters])


async def refuse_body(request: Request[Any, Any, Any]) -> None:
    """Raise InvalidInput if the request has a body other than `{}`. For calls that take none."""
    # Not MalformedJson for an empty body
    if (await Request.body(request)).strip() not in (b"", b"{}"):
        raise InvalidInput.at("", "this call takes no body: send it without one")


def _query_parameters(connection: ASGIConnection[Any, Any, Any, Any]) -> dict[str, str]:
    query: bytes = connection.scope["query_string"]
    if not query:
        return {}
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError as error:
        message = f"the query must be percent-encoded UTF-8 of at most {MAX_PARAMETERS} parameters"
        raise InvalidInput.at("", message) from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise InvalidInput.at(quoted(repeated), "must be given once")
    return parameters


def name_in_header(connection: ASGIConnection[Any, Any, Any, Any], header: str) -> str | None:
    """The namespace or agent that a request header names; None without one. Raises InvalidInput for
    a bad name.
    """
    value = connection.headers.get(header)
    return decoded_name(value.encode("latin-1"), header) if value else None


def decoded_name(raw: bytes, path: str) -> str:
    """Decode the name of a namespace or agent. Raises InvalidInput for a bad one. path: the header
    or parameter.
    """
    try:
        return clean_name(raw.decode())
    except ValueError as error:
        message = "must be UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise InvalidInput.at(path, message) from error


def _media_type(request: Request[Any, Any, Any]) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()

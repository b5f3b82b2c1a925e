"""`Endpoint`, the decorator of every handler of the HTTP API: method, path, required role and
statuses of the answers.

A handler has the parameter `data` for its JSON body and `params` for its query parameters, each
typed by a pydantic model, and `namespace` for the scope that the query names. A path parameter has
its name in the path, such as `thread_id`. Litestar calls and documents the handler by these types.
`api.http.openapi` documents the query parameters.
"""

from __future__ import annotations

import http
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias, TypeVar, get_type_hints

from litestar import route
from litestar.di import NamedDependency, Provide
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter
from litestar.types import Empty
from pydantic import BaseModel

from api.auth.keys import Role
from api.http.problems import PROBLEM_JSON, ProblemAnswer
from api.http.request import JSON, ApiRequest, AsAgent, InNamespace, read_query, refuse_body
from memtypes.model.scope import Scope

_ModelT = TypeVar("_ModelT", bound=BaseModel)

Params: TypeAlias = NamedDependency[_ModelT]
"""Type of a handler's parameter `params`: the query parameters (or a page's form), validated as the
given model.
"""

QueryScope: TypeAlias = NamedDependency[Scope]
"""Type of a handler's parameter `namespace`: the scope in the query's namespace, made by the
function `Endpoint.scope`.

Litestar's own parameter `scope` is that of ASGI.
"""

PathId: TypeAlias = Annotated[str, PathParameter(min_length=1)]
"""Type of a path parameter: an id that is not empty."""

SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"header": []}]
"""Ways to authenticate: none (for a service without keys), a bearer token, or the X-API-Key
header.
"""

_WITH_BODY = {400, 408, 413, 415, 429}
_WITH_ROLE = {401, 403, 429}


async def namespace_scope(request: ApiRequest, params: Params[InNamespace]) -> Scope:
    """The caller's scope in the query's namespace."""
    return request.scope_in(params.namespace)


async def agent_scope(request: ApiRequest, params: Params[AsAgent]) -> Scope:
    """The scope of the query's agent. Raises InvalidRequest if the key is bound to several and the
    query names none.
    """
    return request.agent_scope(params.namespace, agent_id=params.agent_id)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call of the HTTP API, used as a decorator of its handler.

    route: method and path. summary: by default the first line of the handler's docstring. role:
    lowest role that may call; None for a call without a key. status: status of a successful answer.
    answers: types of further answers, by status. errors: statuses of error answers; those that
    every call with a body or a role may have are added. head: whether a GET also answers HEAD;
    False if a GET may change something, such as when a turn was last used. raw: None if Litestar
    parses the body; if the handler does, the body's model for each media type (None as the model of
    newline-delimited JSON). max_bytes: largest body; None for the service's usual limit.
    any_integer: whether integers in the body may have more than 64 bits. headers: descriptions of
    request headers, by name. scope: makes the handler's parameter `namespace`; a handler without
    `params` has the query parameters of this function.
    """

    route: str
    summary: str = ""
    role: Role | None = Role.READER
    status: int = 200
    answers: Mapping[int, Any] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    head: bool = True
    media_type: str = JSON
    raw: Mapping[str, type[BaseModel] | None] | None = None
    max_bytes: int | None = None
    any_integer: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    scope: Callable[..., Awaitable[Scope]] = namespace_scope

    def __call__(self, handler: Callable[..., Any]) -> HTTPRouteHandler:
        """The Litestar route handler that runs the decorated function `handler`."""
        method, path = self.route.replace("}", ":str}").split()
        methods = (
            [HttpMethod.GET, HttpMethod.HEAD]
            if method == "GET" and self.head
            else [HttpMethod(method)]
        )
        hints = get_type_hints(handler)
        dependencies = {}
        if "namespace" in hints:
            dependencies["namespace"] = Provide(self.scope)
            hints = get_type_hints(self.scope) | hints
        if params := hints.get("params"):
            dependencies["params"] = _query(params)
        has_body = "data" in hints or self.raw is not None
        problems = (
            {422, 500, *self.errors}
            | (_WITH_BODY if has_body else set())
            | (_WITH_ROLE if self.role else set())
        )
        answers = {status: (answer, self.media_type) for status, answer in self.answers.items()}
        answers |= dict.fromkeys(
            sorted(problems - {self.status} - answers.keys()), (ProblemAnswer, PROBLEM_JSON)
        )
        decorate = route(
            path,
            http_method=methods,
            status_code=self.status,
            media_type=self.media_type,
            summary=self.summary or (handler.__doc__ or "").partition("\n")[0].removesuffix("."),
            description="No key needed." if self.role is None else f"Role: {self.role}.",
            security=None if self.role is None else SECURITY,
            response_description=_phrase(self.status),
            responses={
                status: ResponseSpec(
                    answer, generate_examples=False, description=_phrase(status), media_type=kind
                )
                for status, (answer, kind) in answers.items()
            },
            before_request=None if has_body else refuse_body,
            dependencies=dependencies,
            request_max_body_size=self.max_bytes or Empty,
            opt={"endpoint": self, "params": params},
        )
        return decorate(handler)


def _query(model: type[BaseModel]) -> Provide:
    async def params(request: ApiRequest) -> Any:
        return read_query(request, model)

    return Provide(params)


def _phrase(status: int) -> str:
    return http.HTTPStatus(status).phrase

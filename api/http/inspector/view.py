"""`View`, the decorator of the inspector's handlers, and the login guard and form check that run
before handlers.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, get_type_hints
from urllib.parse import parse_qsl, urlsplit

from litestar import Request, route
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.types import Empty
from pydantic import BaseModel

from api.auth.keys import Role
from api.http.endpoint import Params
from api.http.inspector.logins import Logins, Visitor
from api.http.problems import Forbidden, InvalidInput, Unauthorized, validated
from api.http.request import ApiRequest, InNamespace
from memtypes.model.scope import Scope

COOKIE = "remembrancer_inspector"
TOKEN_FIELD = "token"  # noqa: S105 - the name of a form's field
NOTICE = "done"
"""Query parameter that names a message about the previous request, for the page to show."""

MAX_FIELDS = 64
FORM = "application/x-www-form-urlencoded"

_ModelT = TypeVar("_ModelT", bound=BaseModel)

PageScope: TypeAlias = NamedDependency[Scope]
"""Type of a handler's parameter `namespace`: the scope of the visitor in the namespace that
`params` names.
"""


class LoginNeeded(Unauthorized):
    """The visitor has to log in to the inspector before this request."""


class MemoryAddress(InNamespace):
    """Parameters of an inspector page or form about one memory. id: id of the memory."""

    id: str


@dataclass(frozen=True, slots=True)
class View:
    """One page or form of the inspector, used as a decorator of its handler.

    route: method, and path below /inspect. role: lowest role that may use it; None for a page that
    needs no login. max_bytes: largest form body; None for the service's usual limit.
    """

    route: str
    role: Role | None = Role.READER
    max_bytes: int | None = None

    def __call__(self, handler: Callable[..., Any]) -> HTTPRouteHandler:
        """The Litestar route handler that runs the decorated function `handler`."""
        method, path = self.route.split()
        model = get_type_hints(handler).get("params", BaseModel)

        async def provide_params(request: ApiRequest) -> Any:
            return (
                read_address(request, model) if method == "GET" else await read_form(request, model)
            )

        def scope(request: ApiRequest, params: Params[InNamespace]) -> Scope:
            return request.scope_in(params.namespace)

        decorate = route(
            path,
            http_method=HttpMethod(method),
            status_code=200,
            include_in_schema=False,
            request_max_body_size=self.max_bytes or Empty,
            dependencies={
                "params": Provide(provide_params),
                "namespace": Provide(scope, sync_to_thread=False),
            },
            opt={"view": self},
        )
        return decorate(handler)


async def admit_visitor(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Litestar guard of the inspector: admits a request, and stores the visitor and the caller in
    the connection.

    Raises LoginNeeded without a login, Forbidden if the visitor's role is too low, and TooMany
    above the rate limit. Handlers that are marked `public` admit everybody. Any other handler that
    is no `View` is refused.
    """
    if handler.opt.get("public"):
        return
    view: View | None = handler.opt.get("view")
    if view is None:
        raise Forbidden("this is no page of the inspector")
    logins: Logins = connection.app.state.logins
    visitor = connection.state.visitor = logins.visitor(connection.cookies.get(COOKIE))
    if view.role is None:
        return
    if visitor is None:
        raise LoginNeeded("log in with a key of this service")
    logins.rate.spend(visitor.caller.key_id)
    connection.scope["auth"] = visitor.caller
    if not visitor.caller.role.may(view.role):
        raise Forbidden(f"this page needs the role {view.role}; your key has {visitor.caller.role}")


def visitor_of(request: Request[Any, Any, Any]) -> Visitor | None:
    """The visitor that the guard `admit_visitor` stored in the request's state; None if the visitor
    has to log in.
    """
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    return visitor


async def check_form(request: Request[Any, Any, Any]) -> None:
    """Raise Forbidden for a form of another site or without the CSRF token. GET, HEAD and the login
    form need none.
    """
    if request.method in (HttpMethod.GET, HttpMethod.HEAD):
        return
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    other = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if other or site not in (None, "same-origin", "none"):
        raise Forbidden("a page of another site may not send forms to the inspector")
    visitor = visitor_of(request)
    if visitor is None:  # the login form, which changes nothing for anyone but its sender
        return
    assert isinstance(request, ApiRequest)  # noqa: S101 - the application's request class
    token = (await form_fields(request)).get(TOKEN_FIELD, "")
    if not hmac.compare_digest(token.encode("utf-8", "surrogateescape"), visitor.token.encode()):
        raise Forbidden("the page is out of date; open it again and repeat what you did")


async def form_fields(request: ApiRequest) -> dict[str, str]:
    """A form's fields that are not empty, the last one of each name. Raises UnsupportedMedia or
    InvalidInput.
    """
    body = await request.body()
    if body == b"{}" and "content-type" not in request.headers:
        return {}
    request.require_media_type(FORM)
    return {name: value.replace("\r\n", "\n") for name, value in _pairs(body)}


async def read_form(request: ApiRequest, model: type[_ModelT]) -> _ModelT:
    """The form that the request sent, validated as a `model`. Raises InvalidInput if a field is
    invalid.
    """
    fields = await form_fields(request)
    return validated(model, {name: value for name, value in fields.items() if name != TOKEN_FIELD})


def read_address(request: ApiRequest, model: type[_ModelT]) -> _ModelT:
    """The query parameters, without empty ones, validated as a `model`. Raises InvalidInput if one
    is invalid.
    """
    return validated(
        model,
        {name: value for name, value in _pairs(request.scope["query_string"]) if name != NOTICE},
    )


def namespace_in(request: ApiRequest) -> str:
    """The namespace in the URL's query. Raises InvalidInput if it is missing or invalid; ignores
    other parameters.
    """
    named = {
        name: value for name, value in _pairs(request.scope["query_string"]) if name == "namespace"
    }
    return validated(InNamespace, named).namespace


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded.decode("ascii"), errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidInput.at(
            "", f"must be percent-encoded UTF-8 of at most {MAX_FIELDS} fields"
        ) from error

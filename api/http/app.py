"""Builds the Litestar application: routes, guards, middleware, error handler and OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar.datastructures import MutableScopeHeaders, State
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ExceptionHandler, Message, Scope
from litestar.types.internal_types import RouteHandlerMapItem
from pydantic import BaseModel

from api.auth.guards import check_access, require_local
from api.http.client_hooks import routes as client_hooks
from api.http.inspector.logins import Logins
from api.http.inspector.page import TenantNames
from api.http.inspector.router import inspector_router
from api.http.mcp.mount import McpMount, mcp_handler, mcp_running
from api.http.metrics import CountCalls
from api.http.openapi import PydanticSchemas, openapi_config
from api.http.problems import answer_problem
from api.http.request import ApiRequest
from api.http.routes import (
    admin,
    agents,
    decisions,
    examination,
    hooks,
    items,
    memories,
    prospective,
    retrieval,
    service,
    threads,
    tokens,
    turns,
    workflow_history,
    workflows,
    working,
)
from api.http.timeouts import BodyDeadline
from api.wiring.container import Services

BODY_BYTES = 2 * 1024 * 1024

ROUTES: Mapping[ModuleType, str] = {
    memories: "Memories",
    decisions: "Decisions",
    prospective: "Prospective memory",
    hooks: "Hooks",
    client_hooks: "Hooks of clients",
    examination: "Ingestion without writing",
    retrieval: "Search and retrieve",
    working: "Working memory",
    items: "Keyed items",
    threads: "Threads",
    turns: "Threads",
    workflows: "Workflows",
    workflow_history: "Workflows",
    agents: "Models and agents",
    tokens: "Models and agents",
    admin: "Admin",
    service: "Service",
}
"""Modules with the API's handlers, each with the tag under which the OpenAPI document groups its
calls.
"""

SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Security headers of every answer, with which browsers do not cache or frame it, guess its type,
or run scripts.

A handler may set another value for any of these headers, as the inspector's pages do.
"""


def create_app(services: Services, *, local_only: bool = False) -> Litestar:
    """The Litestar application. The caller opens `services` before the first call and closes them
    after the last.

    local_only: refuse calls that a browser sends for a page of another site. Meant for a service
    without API keys.
    """
    inspector = inspector_router()
    routers = []
    for module, tag in ROUTES.items():
        handlers = [value for value in vars(module).values() if isinstance(value, HTTPRouteHandler)]
        routers.append(_Router("/", tags=[tag], route_handlers=handlers))
    return Litestar(
        route_handlers=[*routers, inspector, mcp_handler],
        lifespan=[mcp_running],
        state=state_over(services),
        dependencies={"services": Provide(_services)},
        guards=[check_access, *([require_local] if local_only else [])],
        middleware=[CountCalls(), BodyDeadline()],
        exception_handlers={Exception: answer_problem, NotFoundException: _unknown_path(inspector)},
        before_send=[_add_safe_headers],
        request_class=ApiRequest,
        request_max_body_size=BODY_BYTES,
        type_encoders={BaseModel: lambda answer: msgspec.Raw(answer.model_dump_json().encode())},
        plugins=[PydanticSchemas()],
        openapi_config=openapi_config(),
        logging_config=None,
    )


def state_over(services: Services) -> State:
    """The application's state: `services`, and the objects that routes, guards and middleware
    share.
    """
    members = {
        "services": services,
        "logins": Logins(services.keys, services.rate),
        "names": TenantNames(services.store),
        "mcp": McpMount(services, BODY_BYTES),
    }
    return State(members, deep_copy=False)


async def _services(request: ApiRequest) -> Services:
    services: Services = request.app.state.services
    return services


def _unknown_path(inspector: Router) -> ExceptionHandler[NotFoundException]:
    """A handler for unknown paths: below /inspect it answers with an HTML page, elsewhere with a
    problem document.
    """

    def answer(request: Request[Any, Any, Any], error: NotFoundException) -> Response[Any]:
        inside = request.scope["path"].startswith(f"{inspector.path}/")
        handler: ExceptionHandler[Exception] = (
            inspector.exception_handlers[Exception] if inside else answer_problem
        )
        return handler(request, error)

    return answer


class _Router(Router):
    """A router that registers no OPTIONS handlers. The application adds them, with all methods of
    each path.

    If this router added the handlers, each would list only the first method that was registered for
    its path.
    """

    @property
    def route_handler_method_map(self) -> dict[str, RouteHandlerMapItem]:
        paths = super().route_handler_method_map.items()
        return {
            path: {name: handlers[name] for name in handlers if name != "OPTIONS"}
            for path, handlers in paths
        }


async def _add_safe_headers(message: Message, _scope: Scope) -> None:
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in SAFE_HEADERS.items():
            headers.setdefault(name, value)

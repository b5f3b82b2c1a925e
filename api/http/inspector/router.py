"""The router of the inspector: its pages, style sheet and script, its login guard and its form
check.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from litestar import Request, Response, Router
from litestar.datastructures import CacheControlHeader
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.static_files import create_static_files_router

from api.http.inspector.page import ROOT, STATIC, HtmlPage, environment
from api.http.inspector.routes import (
    access,
    live,
    memories,
    overview,
    receipts,
    search,
    sessions,
    tasks,
    upkeep,
)
from api.http.inspector.view import admit_visitor, check_form
from api.http.request import ApiRequest

PAGES: tuple[ModuleType, ...] = (
    access,
    overview,
    search,
    memories,
    receipts,
    sessions,
    tasks,
    live,
    upkeep,
)
"""Modules with the handlers of the inspector's pages."""

_YEAR_S = 365 * 86_400


def inspector_router() -> Router:
    """The router for /inspect. The application's state must have `logins` (Logins) and `names`
    (TenantNames).
    """
    templates = environment()

    def page(request: ApiRequest) -> HtmlPage:
        return HtmlPage(templates, request)

    def failed(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        return HtmlPage(templates, request).error(error)

    files = create_static_files_router(
        "/static",
        [STATIC],
        name="inspector_static",
        # Their addresses name their hashes
        cache_control=CacheControlHeader(max_age=_YEAR_S, immutable=True),
        opt={"public": True},
    )
    handlers = [
        value
        for module in PAGES
        for value in vars(module).values()
        if isinstance(value, HTTPRouteHandler)
    ]
    return Router(
        ROOT,
        route_handlers=[*handlers, files],
        guards=[admit_visitor],
        before_request=check_form,
        dependencies={"page": Provide(page, sync_to_thread=False)},
        exception_handlers={Exception: failed},
        include_in_schema=False,
    )

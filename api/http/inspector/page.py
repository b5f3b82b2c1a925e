"""Renders the pages of the inspector: templates, security headers, redirects and error pages."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlencode, urlsplit

from cachetools import TTLCache
from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.response import Redirect

from api.auth.keys import Role
from api.http.inspector.logins import Visitor
from api.http.inspector.view import NOTICE, TOKEN_FIELD, LoginNeeded, visitor_of
from api.http.problems import InvalidInput, ProblemAnswer, answer_problem
from api.http.request import ApiRequest, InNamespace
from api.wiring.container import Services
from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.ports.memory_store import MemoryStore

ROOT = "/inspect"
STATIC = Path(__file__).parent / "static"

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # Without a referrer browsers send forms with `Origin: null`, which looks like another site's.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}

NOTICES: Mapping[str, str] = {
    "saved": "The changes are saved.",
    "unchanged": "Nothing was changed.",
    "pinned": "Pinned. Upkeep leaves this memory as it is.",
    "unpinned": "No longer pinned.",
    "forgotten": "The memory is deleted.",
    "restored": "The memory is current again.",
    "undone": "The decision is taken back.",
    "completed": "Completed.",
    "cancelled": "Cancelled.",
    "snoozed": "Postponed.",
    "namespace": "Choose a namespace first.",
    "logout": "You are logged out.",
}
"""Messages about what the previous request did, by the name with which a page's URL refers to each."""

NAMES_S = 20.0
MAX_TENANTS = 1_000

_TITLES = ("Search", "Memories", "Receipts", "Sessions", "Due", "Threads", "Workflows", "Decisions", "Upkeep")
VIEWS = (("Overview", "/"), *((title, f"/{title.lower()}") for title in _TITLES))
"""(title, path) of each page about a namespace, in the order of the navigation."""


def link(path: str, **parameters: object) -> str:
    """The URL of a page below /inspect. Query parameters that are None or empty are left out."""
    present = {name: str(value) for name, value in parameters.items() if value not in (None, "")}
    return f"{ROOT}{path}" + (f"?{urlencode(present)}" if present else "")


def environment() -> Environment:
    """The Jinja environment that loads the inspector's templates, with the filters and functions that they use."""
    made = Environment(
        loader=PackageLoader("api.http.inspector", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    versions = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in STATIC.iterdir()}
    made.globals |= {
        "link": link,
        "static": lambda name: f"{ROOT}/static/{name}?v={versions[name]}",
        "token_field": TOKEN_FIELD,
        "types": [str(kind) for kind in MemoryType],
        "views": VIEWS,
    }
    made.filters |= {
        "when": "{:%Y-%m-%d %H:%M}".format,
        "iso": rfc3339,
        "count": "{:,}".format,
        "share": "{:.0%}".format,
        "shorten": shorten,
        "plain": plain,
    }
    return made


def shorten(text: str, most: int = 240) -> str:
    """At most `most` characters of a text, on one line; an ellipsis marks that the text is longer."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[:most].rstrip()} \N{HORIZONTAL ELLIPSIS}"


def plain(value: object) -> str:
    """The value of a field as text. A string stays unchanged, any other value becomes JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


class TenantNames:
    """Cache of the names of each tenant's namespaces, which every page lists. Entries live NAMES_S seconds."""

    def __init__(self, store: MemoryStore, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._names: TTLCache[str, list[str]] = TTLCache(MAX_TENANTS, NAMES_S, timer=now)

    async def of(self, tenant: str, *, fresh: bool = False) -> list[str]:
        """The sorted names of the tenant's namespaces. fresh: read them from the store instead of the cache."""
        names = None if fresh else self._names.get(tenant)
        if names is None:
            names = self._names[tenant] = await self._store.namespaces(tenant)
        return names


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """Renders the answer to one request of a browser: a whole page, or an HTML fragment for htmx."""

    templates: Environment
    request: ApiRequest
    services: Services
    names: TenantNames

    @property
    def is_part(self) -> bool:
        """Whether htmx sent the request, which puts the answer into the page that the browser already shows."""
        return self.request.headers.get("hx-request") == "true"

    async def show(self, template: str, asked: InNamespace | None, **context: Any) -> Response[str]:
        """The page that `template` renders. asked: the page's parameters; None for a page about no namespace."""
        names = await self.names.of(self.request.auth.tenant)
        namespace = None if asked is None else asked.namespace
        return self.part(template, namespaces=names, namespace=namespace, asked=asked, **context)

    def part(self, template: str, *, status: int = 200, **context: Any) -> Response[str]:
        """Render `template` with the values `context`. The navigation lists the namespaces in `context`, if any."""
        request = self.request
        values = {
            **_frame(visitor_of(request)),
            "origin": f"{request.url.scheme}://{request.url.netloc}",
            "path": request.scope["path"],
            "now": self.services.clock(),
            "notice": NOTICES.get(request.query_params.get(NOTICE, "")),
        }
        return html(self.templates.get_template(template).render({**values, **context}), status)


LivePage: TypeAlias = NamedDependency[HtmlPage]
"""Type of a handler's parameter `page`, which renders the answer."""


def _frame(visitor: Visitor | None) -> dict[str, Any]:
    """The values that every template gets: the visitor (None before login), the CSRF token and the visitor's rights."""
    role = visitor.caller.role if visitor else None
    return {
        "visitor": visitor,
        "token": visitor.token if visitor else "",
        "writes": role is not None and role.may(Role.WRITER),
        "runs_upkeep": role is not None and role.may(Role.ADMIN),
        "namespaces": [],
        "namespace": None,
    }


def html(text: str, status: int = 200) -> Response[str]:
    """An HTML response with the security headers of every page."""
    return Response(text, status_code=status, media_type="text/html", headers=dict(PAGE_HEADERS))


def go(path: str, *, done: str | None = None, **parameters: object) -> Redirect:
    """A redirect to a page after a form was sent. done: name, in NOTICES, of the message that the page shows."""
    return Redirect(link(path, **parameters, **{NOTICE: done}), status_code=303, headers=dict(PAGE_HEADERS))


def _page_before(request: Request[Any, Any, Any]) -> str:
    """The URL of the inspector page from which the request came, or of the first page if it came from elsewhere."""
    before = urlsplit(request.headers.get("referer", ""))
    inside = before.netloc == request.headers.get("host") and f"{before.path}/".startswith(f"{ROOT}/")
    return f"{before.path}?{before.query}" if inside else link("/")


def answer_error(templates: Environment, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The answer to a request that raised `error`: a redirect to the login or the first page, or an error page."""
    part = request.headers.get("hx-request") == "true"
    if isinstance(error, LoginNeeded):
        target = request.scope["path"] if request.method == "GET" else ROOT
        query = request.scope["query_string"].decode("latin-1") if request.method == "GET" else ""
        address = link("/login", next=f"{target}?{query}" if query else target)
        if part:
            return Response("", headers={**PAGE_HEADERS, "HX-Redirect": address}, media_type="text/html")
        return Redirect(address, status_code=303, headers=dict(PAGE_HEADERS))
    if isinstance(error, InvalidInput) and request.method == "GET" and error.errors[0].path == "namespace" and not part:
        return go("/", done="namespace")
    response = answer_problem(request, error)
    problem: ProblemAnswer = response.content
    values = {"problem": problem, "path": request.scope["path"], "notice": None, "back": _page_before(request)}
    template = templates.get_template("problem.html" if part else "error.html")
    answer = html(template.render(_frame(visitor_of(request)) | values), problem.status)
    answer.headers.update(response.headers)
    return answer

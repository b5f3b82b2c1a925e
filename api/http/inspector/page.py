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

from api.auth.keys import Caller, Role
from api.http.inspector.charts import WIDTH, signal_bar, signal_rows
from api.http.inspector.view import NOTICE, TOKEN_FIELD, LoginNeeded, visitor_of
from api.http.problems import InvalidInput, ProblemAnswer, answer_problem
from api.http.request import InNamespace
from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.ports.memory_store import MemoryStore

ROOT = "/inspect"
STATIC = Path(__file__).parent / "static"

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
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
"""Messages about what the previous request did, by the name with which a page's URL refers to
each.
"""

NAMES_S = 20.0
MAX_TENANTS = 1_000

_TITLES = (
    "Search",
    "Memories",
    "Receipts",
    "Sessions",
    "Due",
    "Threads",
    "Workflows",
    "Decisions",
    "Upkeep",
)
VIEWS = (("Overview", "/"), *((title, f"/{title.lower()}") for title in _TITLES))
"""(title, path) of each page about a namespace, in the order of the navigation."""


def link(path: str, **parameters: object) -> str:
    """The URL of a page below /inspect. Query parameters that are None or empty are left out."""
    present = {name: str(value) for name, value in parameters.items() if value not in (None, "")}
    return f"{ROOT}{path}" + (f"?{urlencode(present)}" if present else "")


def environment() -> Environment:
    """The Jinja environment that loads the inspector's templates, with the filters and functions
    that they use.
    """
    jinja = Environment(
        loader=PackageLoader("api.http.inspector", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    versions = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in STATIC.iterdir()
    }
    jinja.globals |= {
        "bar_width": WIDTH,
        "link": link,
        "signal_bar": signal_bar,
        "signal_rows": signal_rows,
        "static": lambda name: f"{ROOT}/static/{name}?v={versions[name]}",
        "token_field": TOKEN_FIELD,
        "types": [str(kind) for kind in MemoryType],
        "views": VIEWS,
    }
    jinja.filters |= {
        "when": "{:%Y-%m-%d %H:%M}".format,
        "iso": rfc3339,
        "count": "{:,}".format,
        "share": "{:.0%}".format,
        "shorten": shorten,
        "plain": plain,
    }
    return jinja


def shorten(text: str, most: int = 240) -> str:
    """At most `most` characters of a text, on one line; an ellipsis marks that the text is
    longer.
    """
    line = " ".join(text[: 4 * most].split())
    return (
        line
        if len(line) <= most and len(text) <= 4 * most
        else f"{line[:most].rstrip()} \N{HORIZONTAL ELLIPSIS}"
    )


def plain(value: object) -> str:
    """The value of a field as text. A string stays unchanged, any other value becomes JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


class TenantNames:
    """Cache of the names of each tenant's namespaces, which every page lists. Entries live NAMES_S
    seconds.
    """

    def __init__(self, store: MemoryStore, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._names: TTLCache[str, list[str]] = TTLCache(MAX_TENANTS, NAMES_S, timer=now)

    async def of_tenant(self, tenant: str, *, fresh: bool = False) -> list[str]:
        """The sorted names of the tenant's namespaces. fresh: read them from the store instead of
        the cache.
        """
        names = None if fresh else self._names.get(tenant)
        if names is None:
            names = self._names[tenant] = await self._store.namespaces(tenant)
        return names


Html: TypeAlias = Response[str]
"""The answer of a handler: a page, or a fragment of one for htmx."""


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """Renders the answer to one request of a browser: a whole page, or an HTML fragment for
    htmx.
    """

    templates: Environment
    request: Request[Any, Caller, Any]

    @property
    def is_fragment(self) -> bool:
        """Whether htmx sent the request, which puts the answer into the page that the browser
        already shows.
        """
        return self.request.headers.get("hx-request") == "true"

    @property
    def caller(self) -> Caller:
        """The visitor's caller, on a page that needs a login."""
        return self.request.auth

    @property
    def names(self) -> TenantNames:
        """The names of namespaces, which all pages share."""
        names: TenantNames = self.request.app.state.names
        return names

    async def show(
        self, template: str, params: InNamespace | None, fragment: str = "", **context: Any
    ) -> Html:
        """The page that `template` renders. params: the page's parameters; None for a page about no
        namespace.

        fragment: template of the fragment that htmx gets instead of the page; empty if htmx never
        asks for this page.
        """
        namespace = None if params is None else params.namespace
        if fragment and self.is_fragment:
            return self.render(fragment, namespace=namespace, params=params, **context)
        names = await self.names.of_tenant(self.caller.tenant)
        return self.render(
            template, namespaces=names, namespace=namespace, params=params, **context
        )

    def render(self, template: str, *, status: int = 200, **context: Any) -> Html:
        """Render `template` with the values `context`. The navigation lists the namespaces in
        `context`, if any.
        """
        request = self.request
        visitor = visitor_of(self.request)
        role = visitor.caller.role if visitor else None
        values = {
            "visitor": visitor,
            "token": visitor.token if visitor else "",
            "writes": role is not None and role.may(Role.WRITER),
            "runs_upkeep": role is not None and role.may(Role.ADMIN),
            "namespaces": [],
            "namespace": None,
            "origin": f"{request.url.scheme}://{request.url.netloc}",
            "path": request.scope["path"],
            "now": request.app.state.services.clock(),
            "notice": NOTICES.get(request.query_params.get(NOTICE, "")),
        }
        text = self.templates.get_template(template).render(values | context)
        return Response(
            text, status_code=status, media_type="text/html", headers=dict(PAGE_HEADERS)
        )

    def error(self, error: Exception) -> Response[Any]:
        """The answer to a request that raised `error`: a redirect to the login or the first page,
        or an error page.
        """
        request = self.request
        headers = self.request.headers
        is_get = request.method == "GET"
        if isinstance(error, LoginNeeded):
            query = request.scope["query_string"].decode("latin-1")
            current_url = request.scope["path"] + (f"?{query}" if query else "")
            address = link("/login", next=current_url if is_get else ROOT)
            if self.is_fragment:
                return Response(
                    "", headers={**PAGE_HEADERS, "HX-Redirect": address}, media_type="text/html"
                )
            return Redirect(address, status_code=303, headers=dict(PAGE_HEADERS))
        if (
            is_get
            and not self.is_fragment
            and isinstance(error, InvalidInput)
            and error.errors[0].path == "namespace"
        ):
            return redirect("/", done="namespace")
        response = answer_problem(request, error)
        problem: ProblemAnswer = response.content
        before = urlsplit(headers.get("referer", ""))
        from_inspector = before.netloc == headers.get("host") and f"{before.path}/".startswith(
            f"{ROOT}/"
        )
        back = f"{before.path}?{before.query}" if from_inspector else link("/")
        template = "problem.html" if self.is_fragment else "error.html"
        answer = self.render(
            template, status=problem.status, problem=problem, back=back, notice=None
        )
        answer.headers.update(response.headers)
        return answer


Page: TypeAlias = NamedDependency[HtmlPage]
"""Type of a handler's parameter `page`, which renders the answer."""


def redirect(path: str, *, done: str | None = None, **parameters: object) -> Redirect:
    """A redirect to a page after a form was sent. done: name, in NOTICES, of the message that the
    page shows.
    """
    return Redirect(
        link(path, **parameters, **{NOTICE: done}), status_code=303, headers=dict(PAGE_HEADERS)
    )

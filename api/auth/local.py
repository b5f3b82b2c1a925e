"""Whether a call comes from a program of this machine, which a service without keys trusts, or from a page elsewhere.

Such a page can make its visitor's browser call a loopback address: by a name that resolves to it (the Host
is then the page's), or across sites (then the Origin is, or Sec-Fetch-Site says so). Programs send none of these.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.http.problems import Forbidden
from api.http.validation import shown


def is_loopback(host: str) -> bool:
    """Whether `host` can be reached from this machine only; a name that is not localhost is not trusted to be."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


async def from_here(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """A guard. Raises Forbidden for a call that a page from elsewhere made.

    It waits for nothing, but a guard that is no coroutine is run in a thread, which every call would wait for.
    """
    headers = connection.headers
    host, origin = headers.get("host", "localhost"), headers.get("origin")
    if not _is_local(f"//{host}"):
        raise Forbidden(f"without keys only localhost is served, not {shown(host)}; start with --keys FILE")
    if (origin is not None and not _is_local(origin)) or headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden("without keys no page from elsewhere may call this service; start with --keys FILE")


def _is_local(address: str) -> bool:
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:
        return False

"""Checks before every HTTP call: the caller's API key, role and rate limit. Without keys, the call
must be local.

A service without API keys trusts every program on its machine. But a page of another site, open in
a browser there, can make the browser call the service. Such a call is recognised by its headers: a
Host that is not this machine (any host name may resolve to a loopback address), an Origin of
another site, or a Sec-Fetch-Site that says cross-site.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.http.endpoint import Endpoint
from api.http.problems import Forbidden, Unauthorized, quoted
from api.http.request import refuse_query
from api.settings import is_loopback
from api.wiring.container import Services


async def check_access(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Identify the caller by the API key, before the body is read, and set the connection's `auth`
    to the `Caller`.

    Raises Unauthorized for an unknown key, Forbidden for a role that may not make the call, TooMany
    over the rate limit. Query parameters of a call that takes none are refused, too.
    """
    endpoint: Endpoint | None = handler.opt.get("endpoint")
    if endpoint is None:  # OPTIONS, which Litestar answers by itself
        return
    services: Services = connection.app.state.services
    if endpoint.role is not None:
        caller = services.keys.caller(_sent_key(connection))
        if caller is None:
            raise Unauthorized(
                "send a known key as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
            )
        services.rate.spend(caller.key_id)
        if not caller.role.may(endpoint.role):
            raise Forbidden(f"this call needs the role {endpoint.role}; the key has {caller.role}")
        connection.scope["auth"] = caller
    if handler.opt["params"] is None:
        refuse_query(connection)


def _sent_key(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    authorization = connection.headers.get("authorization")
    if authorization is None:
        return connection.headers.get("x-api-key")
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


async def require_local(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Raise Forbidden if the headers of a call show that a browser made it for a web page of
    another site.

    This is a coroutine, although it awaits nothing, because Litestar would run a plain function in
    a thread.
    """
    headers = connection.headers
    host = headers.get("host", "localhost")
    origin = headers.get("origin")
    if not _is_local(f"//{host}"):
        raise Forbidden(
            f"without keys only localhost is served, not {quoted(host)}; start with --keys FILE"
        )
    if (origin is not None and not _is_local(origin)) or headers.get(
        "sec-fetch-site"
    ) == "cross-site":
        raise Forbidden(
            "without keys no page of another site may call this service; start with --keys FILE"
        )


def _is_local(address: str) -> bool:
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:
        return False

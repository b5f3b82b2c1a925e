"""Who comes in: the guard of every route. Reads the key, checks the role and the rate, and notes the caller."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.auth.keybook import KeyBook
from api.auth.rate import RateLimit
from api.http.endpoint import Endpoint
from api.http.problems import Forbidden, Unauthorized
from api.http.request import refuse_query

_WRONG_KEY = "send a known key as `Authorization: Bearer KEY` or `X-API-Key: KEY`"


class Gate:
    """Lets a call in, or raises Unauthorized, Forbidden or TooMany."""

    def __init__(self, keys: KeyBook, rate: RateLimit) -> None:
        self._keys = keys
        self._rate = rate

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Check one call before its body is read."""
        endpoint: Endpoint | None = handler.opt.get("endpoint")
        if endpoint is None:  # OPTIONS, which Litestar answers by itself
            return
        if endpoint.role is not None:
            caller = self._keys.caller(_sent_key(connection))
            if caller is None:
                raise Unauthorized(_WRONG_KEY)
            self._rate.take(caller.key_id)
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

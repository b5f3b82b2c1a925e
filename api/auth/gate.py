"""Who comes in: the guard of every route. Reads the key, checks the role and the rate, and notes the caller."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.auth.keybook import KeyBook
from api.auth.rate import RateLimit
from api.http.endpoint import Call, refuse_query
from api.http.problems import Forbidden, Unauthorized

_WRONG_KEY = "send a known key as `Authorization: Bearer KEY` or `X-API-Key: KEY`"


class Gate:
    """Lets a call in, or raises Unauthorized, Forbidden or TooMany."""

    def __init__(self, keys: KeyBook, rate: RateLimit) -> None:
        self._keys = keys
        self._rate = rate

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Check one call before its body is read."""
        call: Call | None = handler.opt.get("call")
        if call is None:  # OPTIONS, which Litestar answers by itself
            return
        if call.role is not None:
            caller = self._keys.caller(_sent_key(connection))
            if caller is None:
                raise Unauthorized(_WRONG_KEY)
            self._rate.take(caller.key_id)
            if not caller.role.may(call.role):
                raise Forbidden(f"this call needs the role {call.role}; the key has {caller.role}")
            connection.scope["auth"] = caller
        if call.query is None:
            refuse_query(connection.scope)  # type: ignore[arg-type]  # every route here is HTTP


def _sent_key(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    authorization = connection.headers.get("authorization")
    if authorization is None:
        return connection.headers.get("x-api-key")
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None

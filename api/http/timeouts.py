"""Timeouts for slow senders: of the head of a request, and of its body."""

from __future__ import annotations

import asyncio

import anyio
import h11
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send, WebSocketReceiveMessage
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.http.problems import TooSlow
from memtypes.model.strict_json import MalformedJson

HEAD_S = 20.0
"""Seconds for the request line and headers, from the connection or the previous answer on."""

BODY_S = 120.0
"""Seconds for the whole body: 32 MiB at 2 Mbit/s."""


class BodyDeadline(ASGIMiddleware):
    """Raises TooSlow when the body does not arrive in time, and MalformedJson when the client disconnects."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, seconds: float = BODY_S) -> None:
        self._seconds = seconds

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass the call on with a deadline for its body."""
        end, arriving = anyio.current_time() + self._seconds, True

        async def timed() -> HTTPReceiveMessage | WebSocketReceiveMessage:
            nonlocal arriving
            if not arriving:  # the body is complete; only a disconnect can follow
                return await receive()
            try:
                with anyio.fail_after(end - anyio.current_time()):
                    message = await receive()
            except TimeoutError as error:
                raise TooSlow(f"the body did not arrive within {self._seconds:g} s") from error
            if message["type"] == "http.disconnect":
                raise MalformedJson("the body was cut off")
            arriving = message["type"] == "http.request" and message.get("more_body", False)
            return message

        await next_app(scope, timed, send)


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a timeout for the head of a request, and for the rest of one that was answered early."""

    head_s = HEAD_S
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the timer."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        super().connection_lost(exc)
        self._stop()

    def data_received(self, data: bytes) -> None:
        """Check whether the head is complete."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Start the timer for the next head."""
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        theirs = self.conn.their_state
        answered_early = self.conn.our_state is h11.DONE and theirs is h11.SEND_BODY
        if theirs is not h11.IDLE and not answered_early:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.head_s, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

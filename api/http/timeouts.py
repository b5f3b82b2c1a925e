"""Limits on slow and large HTTP requests: time and size of the head (request line and headers),
time of the body.
"""

from __future__ import annotations

import asyncio

import anyio
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import (
    ASGIApp,
    HTTPReceiveMessage,
    Receive,
    Scope,
    Send,
    WebSocketReceiveMessage,
)
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.problems import TooSlow
from memtypes.model.strict_json import MalformedJson

HEAD_S = 20.0
"""Seconds within which request line and headers must arrive, after the connection or the previous
answer.
"""

HEAD_BYTES = 64 * 1024

BODY_S = 120.0
"""Seconds within which a body must arrive: about as long as 32 MiB, the largest body, take at 2
Mbit/s.
"""


class BodyDeadline(ASGIMiddleware):
    """Middleware that limits the time for a body. Reading it raises TooSlow, or MalformedJson after
    a disconnect.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, seconds: float = BODY_S) -> None:
        self._seconds = seconds

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Run the call with a `receive` that enforces the time limit."""
        end = anyio.current_time() + self._seconds
        arriving = True

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
                raise MalformedJson("the connection was closed before the whole body had arrived")
            arriving = message["type"] == "http.request" and message.get("more_body", False)
            return message

        await next_app(scope, timed, send)


class TimedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with limits on the seconds and bytes of a request's head.

    It also strips blanks at the end of header values, which uvicorn leaves there. If a request is
    answered before its whole body has arrived, the time limit for the next request's head starts at
    the answer, not after the body.
    """

    head_s = HEAD_S
    _timer: asyncio.TimerHandle | None = None
    _head_bytes: int | None = 0
    """Bytes of the head received so far; None while a body arrives."""

    def connection_made(  # type: ignore[override]  # as uvicorn has it
        self, transport: asyncio.Transport
    ) -> None:
        """Start the timer for the head of the first request."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer of a connection that has closed."""
        super().connection_lost(exc)
        self._stop_timer()

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes. Answers 400 if the head of a request has more than
        HEAD_BYTES.
        """
        while data and not self.transport.is_closing():
            room = len(data) if self._head_bytes is None else HEAD_BYTES - self._head_bytes
            if not room:
                self.send_400_response(
                    f"The request line and headers are larger than {HEAD_BYTES} bytes."
                )
                return
            if self._head_bytes is not None:
                self._head_bytes += len(data[:room])
            super().data_received(data[:room])
            data = data[room:]

    def on_message_complete(self) -> None:
        """Note the end of a request: from here on, bytes count to the head of the next request."""
        super().on_message_complete()
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header to the request, without the blanks around its value."""
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        """Stop the timer of the head. `BodyDeadline` limits the time of the body that follows."""
        self._head_bytes = None
        self._stop_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Start the timer for the next request's head, unless a pipelined request is being
        answered.
        """
        super().on_response_complete()
        if self.cycle.response_complete:
            self._start_timer()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_s, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

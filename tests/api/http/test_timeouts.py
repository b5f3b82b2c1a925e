"""Timeouts of the server for clients that send slowly, and the size limit of a request's head (its
headers).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from litestar import Litestar, Request, post
from litestar.types import HTTPDisconnectEvent, Message

from api.http.problems import answer_problem
from api.http.timeouts import HEAD_BYTES, BodyDeadline, TimedProtocol

pytestmark = pytest.mark.anyio

POST = b"POST /v1/memories HTTP/1.1\r\nhost: localhost\r\n"
SOON = 20.0


class HastyProtocol(TimedProtocol):
    """The server's HTTP protocol, with a timeout of 0.3 s for the head of a request."""

    head_s = 0.3


class WholeProtocol(HastyProtocol):
    """The server's HTTP protocol, in which the whole head of a request and what follows it arrive
    at once.
    """

    waiting = b""

    def data_received(self, data: bytes) -> None:
        """Collect data until it contains a whole request head. Then parse all of it in one call."""
        self.waiting += data
        if b"\r\n\r\n" in self.waiting:
            data = self.waiting
            self.waiting = b""
            super().data_received(data)


@pytest.fixture
def anyio_backend() -> str:
    """Run these tests on asyncio alone, because Uvicorn needs it."""
    return "asyncio"


@post("/v1/memories")
async def swallow(request: Request) -> dict[str, int]:  # type: ignore[type-arg]  # any request will do
    """A route that reads the body and answers with its size."""
    return {"size": len(await request.body())}


@post("/early")
async def early() -> None:
    """A route that answers without reading its body."""


@post("/key")
async def received_key(request: Request) -> str | None:  # type: ignore[type-arg]  # any request will do
    """A route that answers with the API key it received."""
    return request.headers.get("x-api-key")


@asynccontextmanager
async def serving(
    body_s: float, protocol: type[TimedProtocol] = HastyProtocol
) -> AsyncIterator[int]:
    """Run a server with short timeouts; yields its port."""
    routes = [swallow, early, received_key]
    app = Litestar(
        routes, middleware=[BodyDeadline(body_s)], exception_handlers={Exception: answer_problem}
    )
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, ws="none", log_config=None))
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            await task


async def said(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Send pieces to a port with a pause after each. Return all that the server sends until it
    closes.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause_s)
        return await asyncio.wait_for(reader.read(), SOON)
    finally:
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"POST /v1/mem", POST])
async def test_incomplete_head_closes_the_connection(sent: bytes) -> None:
    """If the head of a request (its headers) is not complete by the timeout, the server closes the
    connection.
    """
    async with serving(body_s=SOON) as port:
        assert await said(port, sent) == b""


async def test_incomplete_body_is_408() -> None:
    """A body that does not arrive in time is a 408, and the connection is closed."""
    async with serving(body_s=0.3) as port:
        answer = await said(port, POST + b"content-length: 9\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer.lower()


async def test_disconnect_during_the_body_is_not_a_server_error() -> None:
    """If a client disconnects while it sends the body, the status is 400 and not 500."""
    messages: list[Message] = []
    disconnect: HTTPDisconnectEvent = {"type": "http.disconnect"}

    async def receive() -> HTTPDisconnectEvent:
        return disconnect

    async def send(message: Message) -> None:
        messages.append(message)

    app = Litestar(
        [swallow], middleware=[BodyDeadline()], exception_handlers={Exception: answer_problem}
    )
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/memories",
        "raw_path": b"/v1/memories",
        "query_string": b"",
        "headers": [(b"content-length", b"9")],
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
        "http_version": "1.1",
        "root_path": "",
        "asgi": {"version": "3.0"},
    }
    await app(scope, receive, send)  # type: ignore[arg-type]  # as a server would
    assert messages[0]["status"] == 400  # type: ignore[typeddict-item]  # the start of the answer


async def test_slow_body_is_read() -> None:
    """A body is read even if it takes longer than the timeout that applies to the request's
    head.
    """
    async with serving(body_s=SOON) as port:
        answer = await said(port, POST + b"content-length: 6\r\n\r\nab", b"cd", b"ef", pause_s=0.2)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b'{"size":6}' in answer


async def test_rest_of_an_answered_body_times_out() -> None:
    """If a route answers before the body was sent, the connection closes after the short timeout of
    a head.
    """
    head = POST.replace(b"/v1/memories", b"/early") + b"content-length: 1000000\r\n\r\n"
    async with serving(body_s=SOON) as port:
        assert (await said(port, head)).startswith(b"HTTP/1.1 201 ")


async def test_head_that_is_too_large_is_400() -> None:
    """A request whose head (its headers) is too large is a 400, and the connection is closed."""
    async with serving(body_s=SOON) as port:
        answer = await said(
            port, POST, *[b"x-filler: " + b"a" * 8_000 + b"\r\n"] * 10, pause_s=0.01
        )
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("size", "status"), [(HEAD_BYTES, b"201"), (HEAD_BYTES + 1, b"400"), (200_000, b"400")]
)
async def test_the_size_of_a_head_that_arrives_in_one_read_is_limited(
    size: int, status: bytes
) -> None:
    """A head of up to 64 KiB is accepted, even if the body arrives with it. A larger head is a
    400.
    """
    end = b"\r\nconnection: close\r\ncontent-length: 3\r\n\r\n"
    head = POST + b"x-filler: "
    head += b"a" * (size - len(head) - len(end)) + end
    async with serving(body_s=SOON, protocol=WholeProtocol) as port:
        answer = await said(port, head + b"abc")
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_each_request_of_a_connection_has_its_own_size_limit() -> None:
    """If requests arrive together on a connection, the size limit of heads applies to each one
    separately.
    """
    request = POST + b"x-filler: " + b"a" * 40_000 + b"\r\ncontent-length: 2\r\n\r\nab"
    async with serving(body_s=SOON) as port:
        answer = await said(port, request + request, request)
    assert answer.count(b"HTTP/1.1 201 ") == 3


async def test_blanks_around_a_header_value_are_no_part_of_it() -> None:
    head = (
        POST.replace(b"/v1/memories", b"/key")
        + b"x-api-key: \t a key \t \r\nconnection: close\r\n\r\n"
    )
    async with serving(body_s=SOON) as port:
        assert (await said(port, head)).endswith(b"\r\n\r\na key")

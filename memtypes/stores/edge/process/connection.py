"""A connection to the engine process: many concurrent requests, each with a timeout."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging

import msgspec

from memtypes.model.errors import Unavailable
from memtypes.stores.edge.process.wire import (
    Reply,
    decode_answer,
    decode_reply,
    encode_call,
    error_of,
    framed,
    read_message,
)
from memtypes.stores.operations.messages import Answer, Request

_BUFFER = 1 << 22

_log = logging.getLogger(__name__)


class ConnectionLostError(Exception):
    """The engine process has ended before it answered."""


class Connection:
    """Sends requests and matches replies by number."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._lost = False
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def open(cls, socket: str) -> Connection:
        """A connection to the engine that listens on `socket`. Raises OSError."""
        return cls(*await asyncio.open_unix_connection(socket, limit=_BUFFER))

    @property
    def lost(self) -> bool:
        """Whether no more requests can be sent."""
        return self._lost

    async def ask(self, request: Request[Answer], timeout_s: float) -> Answer:
        """The answer to a request. Raises the engine's error, Unavailable in time, or ConnectionLostError."""
        if self._lost:
            raise ConnectionLostError
        number = next(self._numbers)
        message = framed(encode_call(number, request))
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._exchange(message, future)
        except TimeoutError as error:
            raise Unavailable(f"the embedded engine did not answer within {timeout_s:g} s") from error
        finally:
            self._waiting.pop(number).cancel()
        if reply.failure is not None:
            raise error_of(reply.failure)
        return decode_answer(request, reply.answer)

    async def aclose(self) -> None:
        """Close the connection."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(ConnectionError):  # the engine may have closed it first
            await self._writer.wait_closed()

    async def _exchange(self, message: bytes, future: asyncio.Future[Reply]) -> Reply:
        try:
            self._writer.write(message)
            await self._writer.drain()
        except ConnectionError as error:
            self._lost = True  # the listener may not have noticed yet
            raise ConnectionLostError from error
        return await future

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                reply = decode_reply(await read_message(reader))
                waiting = self._waiting.get(reply.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, msgspec.MsgspecError) as error:
            _log.debug("the connection to the embedded engine ended: %r", error)  # pending requests fail below
        finally:
            self._lost = True
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionLostError())

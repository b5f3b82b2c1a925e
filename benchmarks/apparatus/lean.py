"""A connection that posts JSON and reads the answer, and little more: a client that leaves the cores to the service."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self


class Refused(Exception):
    """The service did not answer with 200; the text holds what it said."""


class LeanClient:
    """One kept connection to a service on loopback."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Self:
        """A connection to the service at `url`."""
        host, _, port = url.removeprefix("http://").partition(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=1 << 22))

    async def post(self, path: str, body: dict[str, Any]) -> bytes:
        """The body of the answer. Raises Refused for any status but 200."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        status, *headers = (await self._reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(int(line.partition(b":")[2]) for line in headers if line.startswith(b"content-length:"))
        answer = await self._reader.readexactly(length)
        if b" 200 " not in status:
            raise Refused(answer.decode(errors="replace"))
        return answer

    async def aclose(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()

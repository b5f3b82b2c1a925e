"""A connection to the engine process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from memtypes.stores.edge.process.connection import Connection, ConnectionLostError
from memtypes.stores.edge.process.wire import Hello

pytestmark = pytest.mark.anyio


async def test_a_broken_connection_is_lost_at_once(tmp_path: Path) -> None:
    """A caller that gets no answer finds the connection lost, so nothing more is sent on it."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    path = str(tmp_path / "socket")
    async with await asyncio.start_unix_server(hang_up, path):
        for pause in (0.0, 0.01):
            connection = await Connection.open(path)
            await asyncio.sleep(pause)
            with pytest.raises(ConnectionLostError):
                await connection.ask(Hello(protocol=1), 5.0)
            assert connection.lost
            await connection.aclose()

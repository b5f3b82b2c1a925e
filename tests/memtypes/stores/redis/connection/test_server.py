"""The embedded Redis server: private, durable, shared by processes, and ended with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.connection.server import EmbeddedServer
from memtypes.stores.redis.connection.topology import connect
from tests.live import running_server
from tests.memtypes.stores.engines import ended, start_python, until

pytestmark = pytest.mark.anyio

WRITER = """
import asyncio, sys
from pathlib import Path
from memtypes.stores.redis.connection.client import LiveClient

async def main():
    live = await LiveClient.open(Path(sys.argv[1]))
    for n in range(200):
        await live.run(lambda redis: redis.rpush("numbers", n), idempotent=False)
        print(n, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def pid_of(live: LiveClient) -> int:
    """The process id of the server that the client uses."""
    info = await live.run(lambda redis: redis.info("server"), idempotent=True)
    return int(info["process_id"])


def start_writer(directory: Path) -> subprocess.Popen[str]:
    """Start a process that opens the server of `directory`, pushes two hundred numbers and then
    sleeps.
    """
    return start_python(WRITER, str(directory))


async def test_the_server_has_no_port_and_its_files_are_private(tmp_path: Path) -> None:
    """The server listens on no TCP port. Only its owner can open its socket and its directory."""
    async with running_server(tmp_path / "live") as live:
        info = await live.run(lambda redis: redis.info("server"), idempotent=True)
        assert info["tcp_port"] == 0
        socket = EmbeddedServer.at(tmp_path / "live").socket
        assert stat.S_IMODE(socket.stat().st_mode) & 0o077 == 0
        assert stat.S_IMODE((tmp_path / "live").stat().st_mode) & 0o077 == 0


async def test_closing_the_client_stops_the_server_and_keeps_the_data(tmp_path: Path) -> None:
    """After the client is closed, the next server in the directory has everything that was
    written.
    """
    async with running_server(tmp_path) as live:
        pid = await pid_of(live)
        await live.run(lambda redis: redis.set("a", "ü"), idempotent=True)
    await until(lambda: ended(pid))
    async with running_server(tmp_path) as live:
        assert await live.run(lambda redis: redis.get("a"), idempotent=True) == "ü"


async def test_a_directory_keeps_the_program_that_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is installed later, and may be unable to read the directory's files, is not
    used for them.
    """
    async with running_server(tmp_path / "live") as live:
        await live.run(lambda redis: redis.set("a", "ü"), idempotent=True)
    later = tmp_path / "bin" / "redis-server"
    later.parent.mkdir()
    later.write_text("#!/bin/sh\nexit 1\n")
    later.chmod(0o700)
    monkeypatch.setenv("PATH", str(later.parent), prepend=os.pathsep)
    async with running_server(tmp_path / "live") as live:
        assert await live.run(lambda redis: redis.get("a"), idempotent=True) == "ü"


async def test_files_that_the_first_program_cannot_read_are_read_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a folder that was copied from a machine with a newer server."""
    async with running_server(tmp_path / "live") as live:
        await live.run(lambda redis: redis.set("a", "ü"), idempotent=True)
    (tmp_path / "live" / "server.path").write_text("/of/another/machine/valkey-server")
    unable = tmp_path / "bin" / "redis-server"
    unable.parent.mkdir()
    unable.write_text("#!/bin/sh\nexit 1\n")
    unable.chmod(0o700)
    monkeypatch.setenv("PATH", str(unable.parent), prepend=os.pathsep)
    async with running_server(tmp_path / "live") as live:
        assert await live.run(lambda redis: redis.get("a"), idempotent=True) == "ü"


async def test_the_server_ends_with_a_killed_parent_and_loses_nothing(tmp_path: Path) -> None:
    with start_writer(tmp_path) as writer:
        assert writer.stdout is not None
        lines = [await asyncio.to_thread(writer.stdout.readline) for _ in range(100)]
        socket = EmbeddedServer.at(tmp_path).socket
        client = LiveClient(connect(f"unix://{socket}"), None, lambda: 0.0)
        pid = await pid_of(client)
        await client.aclose()
        writer.kill()
        lines += await asyncio.to_thread(writer.stdout.readlines)
    await until(lambda: ended(pid))
    async with running_server(tmp_path) as live:
        numbers = await live.run(lambda redis: redis.lrange("numbers", 0, -1), idempotent=True)
    acknowledged = [line.strip() for line in lines if line.endswith("\n")]
    assert len(acknowledged) >= 100
    assert numbers[: len(acknowledged)] == acknowledged


async def test_a_killed_server_is_started_again_with_its_data(tmp_path: Path) -> None:
    async with running_server(tmp_path) as live:
        await live.run(lambda redis: redis.rpush("a", *range(100)), idempotent=False)
        pid = await pid_of(live)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: ended(pid))
        assert await live.run(lambda redis: redis.llen("a"), idempotent=True) == 100
        assert await pid_of(live) != pid


async def test_two_processes_share_one_server(tmp_path: Path) -> None:
    """A second process uses the server of the first.

    When the first ends, with its server, the second starts another.
    """
    with start_writer(tmp_path) as writer:
        assert writer.stdout is not None
        await asyncio.to_thread(writer.stdout.readline)
        live = await LiveClient.open(tmp_path)
        first = await pid_of(live)
        await asyncio.to_thread(lambda: [writer.stdout.readline() for _ in range(199)])  # type: ignore[union-attr]
        assert await live.run(lambda redis: redis.llen("numbers"), idempotent=True) == 200
        writer.kill()
        await until(lambda: ended(first))
        assert await live.run(lambda redis: redis.llen("numbers"), idempotent=True) == 200
        assert await pid_of(live) != first
        await live.aclose()

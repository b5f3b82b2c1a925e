"""The live store's server and client: shared, durable, gone with its parent, and quick to say that it is away."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
from collections.abc import Awaitable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.stores.redis.connection.client import LiveClient, LiveSettings, Script
from memtypes.stores.redis.connection.concurrency import Work
from memtypes.stores.redis.connection.server import EmbeddedServer
from memtypes.stores.redis.connection.urls import connect
from memtypes.stores.redis.keys import live_key
from tests.live import fresh_scope, running_server
from tests.memtypes.stores.engines import ended, start_python, until

pytestmark = pytest.mark.anyio

HOLDER = """
import asyncio, sys
from pathlib import Path
from memtypes.stores.redis.connection.client import LiveClient, LiveSettings

async def main():
    live = await LiveClient.open(LiveSettings(Path(sys.argv[1])))
    for n in range(200):
        await live.run(lambda redis: redis.rpush("kept", n), repeatable=False)
        print(n, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def pid_of(live: LiveClient) -> int:
    """The server's process id."""
    info = await live.run(lambda redis: redis.info("server"), repeatable=True)
    return int(info["process_id"])


def start_holder(directory: Path) -> subprocess.Popen[str]:
    """Another process that opens the store, writes two hundred values and stays."""
    return start_python(HOLDER, str(directory))


async def test_it_listens_on_no_port_and_for_its_owner_alone(tmp_path: Path) -> None:
    """The server has a socket that only its owner can use, and no TCP port."""
    async with running_server(tmp_path / "live") as live:
        info = await live.run(lambda redis: redis.info("server"), repeatable=True)
        assert info["tcp_port"] == 0
        socket = EmbeddedServer.at(tmp_path / "live").socket
        assert stat.S_IMODE(socket.stat().st_mode) & 0o077 == 0
        assert stat.S_IMODE((tmp_path / "live").stat().st_mode) & 0o077 == 0


async def test_it_goes_with_its_client_and_keeps_everything(tmp_path: Path) -> None:
    """After its owner has hung up the server ends; the next one finds what was written."""
    async with running_server(tmp_path) as live:
        pid = await pid_of(live)
        await live.run(lambda redis: redis.set("a", "ü"), repeatable=True)
    await until(lambda: ended(pid))
    async with running_server(tmp_path) as live:
        assert await live.run(lambda redis: redis.get("a"), repeatable=True) == "ü"


async def test_it_dies_with_a_killed_parent_and_loses_nothing(tmp_path: Path) -> None:
    """When its parent is killed the server ends, and whatever was acknowledged is there for the next one."""
    with start_holder(tmp_path) as holder:
        assert holder.stdout is not None
        written = [await asyncio.to_thread(holder.stdout.readline) for _ in range(100)]
        socket = EmbeddedServer.at(tmp_path).socket
        probe = LiveClient(connect(f"unix://{socket}"), None, lambda: 0.0)
        pid = await pid_of(probe)
        await probe.aclose()
        holder.kill()
        written += await asyncio.to_thread(holder.stdout.readlines)
    await until(lambda: ended(pid))
    async with running_server(tmp_path) as live:
        kept = await live.run(lambda redis: redis.lrange("kept", 0, -1), repeatable=True)
    acknowledged = [line.strip() for line in written if line.endswith("\n")]
    assert len(acknowledged) >= 100
    assert kept[: len(acknowledged)] == acknowledged


async def test_a_killed_server_comes_back_with_everything(tmp_path: Path) -> None:
    """A repeatable call after kill -9 of the server starts it again and finds what was acknowledged."""
    async with running_server(tmp_path) as live:
        await live.run(lambda redis: redis.rpush("a", *range(100)), repeatable=False)
        pid = await pid_of(live)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: ended(pid))
        assert await live.run(lambda redis: redis.llen("a"), repeatable=True) == 100
        assert await pid_of(live) != pid


async def test_two_processes_share_one_server(tmp_path: Path) -> None:
    """A second opener of the directory uses the first one's server, and starts its own when that goes."""
    with start_holder(tmp_path) as holder:
        assert holder.stdout is not None
        await asyncio.to_thread(holder.stdout.readline)
        live = await LiveClient.open(LiveSettings(tmp_path))
        first = await pid_of(live)
        await asyncio.to_thread(lambda: [holder.stdout.readline() for _ in range(199)])  # type: ignore[union-attr]
        assert await live.run(lambda redis: redis.llen("kept"), repeatable=True) == 200
        holder.kill()
        await until(lambda: ended(first))
        assert await live.run(lambda redis: redis.llen("kept"), repeatable=True) == 200
        assert await pid_of(live) != first
        await live.aclose()


async def test_a_server_that_is_away_is_refused_at_once(tmp_path: Path) -> None:
    """After ten failures nothing is tried any more until the pause is over."""
    tried = 0

    async def call(redis: Redis) -> object:
        nonlocal tried
        tried += 1
        return await redis.ping()

    away = LiveClient(connect(f"unix://{tmp_path / 'nobody'}"), None, lambda: 0.0)
    for _ in range(15):
        with pytest.raises(Unavailable, match="the live store"):
            await away.run(call, repeatable=False)
    await away.aclose()
    assert tried == 10


async def test_a_call_has_a_time_limit(live: LiveClient) -> None:
    """A call that takes longer than it may is unavailable."""
    with pytest.raises(Unavailable, match=r"within 0\.05 s"):
        await live.run(
            lambda redis: redis.blpop(["nothing comes"], timeout=30), repeatable=False, work=Work("short", 0.05, 1)
        )
    await live.ping()


async def test_more_callers_than_connections_wait_their_turn(live: LiveClient) -> None:
    """Three hundred calls at once are all answered."""
    async with asyncio.TaskGroup() as tasks:
        for _ in range(300):
            tasks.create_task(live.ping())


async def test_a_scripts_text_is_sent_once(live: LiveClient) -> None:
    """A script is known by its hash after its first run, and gives the same either way."""
    scope = fresh_scope()
    script = Script("return {KEYS[1], ARGV[1], '" + scope.namespace + "'}")
    key = live_key(scope, "thing")
    for _ in range(2):
        assert await live.script(script, [key], ["ü"], repeatable=True) == [key, "ü", scope.namespace]
    assert await live.run(lambda redis: redis.script_exists(script.sha), repeatable=True) == [True]


async def test_a_wrong_command_is_told_as_ours(live: LiveClient) -> None:
    """What the server refuses is unavailable, with its text, and is not tried again."""
    tried = 0

    def call(redis: Redis) -> Awaitable[object]:
        nonlocal tried
        tried += 1
        return redis.eval("return redis.call('NONSENSE')", 0)

    with pytest.raises(Unavailable, match="the live store failed"):
        await live.run(call, repeatable=True)
    assert tried == 1


async def test_all_keys_of_a_namespace_are_found(live: LiveClient) -> None:
    """Every key of a namespace is listed, none of another one whose name looks like a pattern of it."""
    scope, other = fresh_scope(), fresh_scope()
    keys = {live_key(scope, "thread", str(n)) for n in range(30)}
    for key in (*keys, live_key(other, "thread", "1")):
        await live.run(lambda redis, name=key: redis.set(name, "x"), repeatable=True)  # type: ignore[misc]
    assert {key async for key in live.keys_of(scope)} == keys


def test_urls_of_every_kind() -> None:
    """A server, sentinels and a cluster are told apart; a URL of no known kind is refused."""
    assert connect("redis://localhost:1/0").connection_pool.connection_kwargs["port"] == 1
    sentinel = connect("redis+sentinel://one:1,two/main")
    assert sentinel.connection_pool.service_name == "main"
    assert isinstance(connect("redis+cluster://localhost:7"), RedisCluster)
    with pytest.raises(InvalidRequest, match="REMEMBRANCER_REDIS_URL"):
        connect("http://localhost")

"""Calls of the Redis client: deadlines, retries, circuit breakers, scripts and keys."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.working import Working
from memtypes.ports.working import LiveItem
from memtypes.stores.redis.connection.availability import READ, Workload
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.connection.topology import connect
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.scripts import Script
from memtypes.stores.redis.working import RedisWorking
from tests.builders import make_memory
from tests.live import fresh_scope, running_server
from tests.servers import free_ports, running

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUICK = Workload("quick", 0.05, 2)
SERIAL = Workload("serial", 0.6, 1)


async def read_succeeds(live: LiveClient) -> bool:
    """Whether the server answers a read of the workload READ, which is refused once the server
    seems down.
    """
    try:
        await live.run(lambda redis: redis.get("a"), idempotent=False, workload=READ, key="a")
    except Unavailable:
        return False
    return True


async def test_an_unreachable_server_is_not_called_after_ten_failures(tmp_path: Path) -> None:
    """After ten failed calls the circuit breaker refuses further calls without making them."""
    calls = 0

    async def call(redis: Redis) -> object:
        nonlocal calls
        calls += 1
        return await redis.ping()

    client = LiveClient(connect(f"unix://{tmp_path / 'missing'}"), None, lambda: 0.0)
    for _ in range(15):
        with pytest.raises(Unavailable, match="the live store"):
            await client.run(call, idempotent=False)
    await client.aclose()
    assert calls == 10


async def test_a_call_has_a_deadline(live: LiveClient) -> None:
    """A call that takes longer than the timeout of its workload raises Unavailable."""
    with pytest.raises(Unavailable, match=r"within 0\.05 s"):
        await live.run(
            lambda redis: redis.blpop(["empty"], timeout=30), idempotent=False, workload=QUICK
        )
    await live.ping()


async def test_more_calls_than_connections_are_all_answered(live: LiveClient) -> None:
    """Three hundred concurrent calls wait for free connections and are all answered."""
    async with asyncio.TaskGroup() as tasks:
        for _ in range(300):
            tasks.create_task(live.ping())


async def test_timeouts_of_one_workload_do_not_refuse_another(live: LiveClient) -> None:
    """While timeouts open the circuit breaker of one workload, calls of another workload are still
    answered.
    """
    key = fresh_scope().namespace
    for _ in range(10):
        with pytest.raises(Unavailable, match="the live store"):
            await live.run(
                lambda redis: redis.blpop([key], timeout=9), idempotent=False, workload=QUICK
            )
        await live.ping()
    with pytest.raises(Unavailable, match="away"):
        await live.run(lambda redis: redis.ping(), idempotent=True, workload=QUICK)
    await live.ping()


async def test_waiting_for_a_slot_does_not_count_against_the_deadline(live: LiveClient) -> None:
    """Of eight calls of 100 ms that run one at a time, the last waits 700 ms, and yet meets its
    deadline of 600 ms.
    """

    async def call() -> None:
        namespace = fresh_scope().namespace
        await live.run(
            lambda redis: redis.blpop([namespace], timeout=0.1), idempotent=False, workload=SERIAL
        )

    await asyncio.gather(*[call() for _ in range(8)])


async def test_held_back_writes_delay_touch_but_no_read(live: LiveClient) -> None:
    """While the server holds back writes, `touch` waits until its write is made, but reads are
    answered at once.
    """
    scope = replace(fresh_scope(), session_id="s")
    item = make_memory(
        MemoryType.WORKING, "a", scope, session_id="s", created_at=NOW, updated_at=NOW
    )
    assert isinstance(item, Working)
    items = RedisWorking(live)
    await items.put(scope, LiveItem(item, timedelta(minutes=5)))
    await live.run(lambda redis: redis.client_pause(400, all=False), idempotent=False)
    touch = asyncio.create_task(items.touch(scope, [item.id], NOW))
    (before,) = await items.items(scope)
    assert before.memory.accessed_at is None
    await touch
    (after,) = await items.items(scope)
    assert after.memory.accessed_at == NOW


async def test_only_the_first_read_waits_for_a_stopped_server(tmp_path: Path) -> None:
    """Only the first read waits for a stopped server; the next 500 are refused at once.

    When the server continues, reads are answered again.
    """
    async with running_server(tmp_path) as live:
        pid = int(
            (await live.run(lambda redis: redis.info("server"), idempotent=True))["process_id"]
        )
        os.kill(pid, signal.SIGSTOP)
        try:
            assert not await read_succeeds(live)
            began = time.monotonic()
            assert not any([await read_succeeds(live) for _ in range(500)])
            # 500 timeouts would be ten times that
            assert time.monotonic() - began < 50 * READ.timeout_s
        finally:
            os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + 30.0
        while not await read_succeeds(live):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def test_a_retrieval_gives_up_on_a_slow_server_and_a_listing_waits(tmp_path: Path) -> None:
    """While the server answers nothing for 400 ms, a retrieval's read fails, but a listing waits
    and succeeds.
    """
    async with running_server(tmp_path) as live:
        items = RedisWorking(live)
        scope = replace(fresh_scope(), session_id="s")
        await live.run(lambda redis: redis.client_pause(400, all=True), idempotent=False)
        with pytest.raises(Unavailable):
            await items.items(scope, optional=True)
        assert await items.items(scope) == []


async def test_a_script_is_sent_once_and_then_called_by_its_hash(live: LiveClient) -> None:
    scope = fresh_scope()
    script = Script("return {KEYS[1], ARGV[1], '" + scope.namespace + "'}")
    key = live_key(scope, "thing")
    for _ in range(2):
        assert await live.script(script, [key], ["ü"], idempotent=True) == [
            key,
            "ü",
            scope.namespace,
        ]
    assert await live.run(lambda redis: redis.script_exists(script.sha), idempotent=True) == [True]


async def test_a_command_that_the_server_rejects_is_unavailable_and_not_retried(
    live: LiveClient,
) -> None:
    """A rejected command raises Unavailable with the server's message and is not tried again."""
    calls = 0

    def call(redis: Redis) -> Awaitable[object]:
        nonlocal calls
        calls += 1
        return redis.eval("return redis.call('NONSENSE')", 0)

    with pytest.raises(Unavailable, match="the live store failed"):
        await live.run(call, idempotent=True)
    assert calls == 1


async def test_keys_of_lists_every_key_of_the_namespace_and_no_other(live: LiveClient) -> None:
    scope = fresh_scope()
    other_scope = fresh_scope()
    keys = {live_key(scope, "thread", str(n)) for n in range(30)}
    for key in (*keys, live_key(other_scope, "thread", "1")):
        await live.run(lambda redis, name=key: redis.set(name, "x"), idempotent=True)  # type: ignore[misc]
    assert set(await live.keys_of(scope)) == keys


@pytest.mark.parametrize("by_socket", [True, False])
async def test_a_call_to_a_stopped_server_fails_within_150_ms(
    tmp_path: Path, *, by_socket: bool
) -> None:
    """A call to a stopped server fails within 150 ms, without waiting for its deadline.

    Over a Unix socket, the client looks at the state of the server's process; over TCP, it sends a
    ping.
    """
    (port,) = free_ports(1)
    with running(tmp_path / "server", port, ("--unixsocket", str(tmp_path / "s"))) as server:
        live = await LiveClient.open(
            tmp_path, f"unix://{tmp_path / 's'}" if by_socket else f"redis://127.0.0.1:{port}"
        )
        await live.ping()
        server.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="away"):
            await live.run(lambda redis: redis.get("a"), idempotent=True)
        took = time.monotonic() - began
        server.process.send_signal(signal.SIGCONT)
        await live.aclose()
    assert took < 0.15


async def test_a_slow_server_that_runs_is_waited_for(live: LiveClient) -> None:
    """A call waits for a server that runs but answers nothing for 300 ms, and then succeeds."""
    await live.run(lambda redis: redis.client_pause(300, all=True), idempotent=False)
    assert await live.run(lambda redis: redis.get("a"), idempotent=True) is None


async def test_calls_that_lose_the_connection_are_all_unavailable(tmp_path: Path) -> None:
    """Thirty calls lose the connection one after the other, while others reconnect, and each raises
    Unavailable.
    """

    async def call(_: Redis) -> object:
        raise RedisConnectionError("gone")

    client = LiveClient(connect(f"unix://{tmp_path / 'missing'}"), None, time.monotonic)

    async def fail_after(steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await client.run(call, idempotent=True, workload=Workload("wide", 0.5, 30))

    await asyncio.gather(*map(fail_after, range(30)))
    await client.aclose()


async def test_an_idempotent_call_is_tried_three_times(tmp_path: Path) -> None:
    tries: list[float] = []

    async def call(redis: Redis) -> object:
        tries.append(time.monotonic())
        return await redis.ping()

    client = LiveClient(connect(f"unix://{tmp_path / 'missing'}"), None, time.monotonic)
    for idempotent, expected in ((True, 3), (False, 1)):
        tries.clear()
        with pytest.raises(Unavailable, match="lost"):
            await client.run(call, idempotent=idempotent)
        assert len(tries) == expected
    assert tries[-1] - tries[0] < 0.1
    await client.aclose()

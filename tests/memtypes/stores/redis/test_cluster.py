"""What is only so in a cluster: namespaces lie on different nodes, each whole on one."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from ingest.conversations.threads import OpenRequest
from memtypes.live.turns import NewTurn
from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.locks import LockRequest
from memtypes.stores.redis.connection.availability import READ
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key, scope_prefix
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.working import RedisWorking
from tests.ingest.conversations.parts import threads_over
from tests.live import client_of, fresh_scope
from tests.servers import NODES, free_ports, running_cluster

pytestmark = pytest.mark.anyio


async def node_of(live: LiveClient, key: str) -> str:
    """The name of the node that has `key`."""

    async def ask(cluster: Any) -> str:
        await cluster.initialize()
        return str(cluster.get_node_from_key(key).name)

    return await live.run(ask, idempotent=True)


async def test_namespaces_are_spread_and_each_is_whole(live_cluster: LiveClient) -> None:
    """Thirty namespaces lie on every node; all keys of one lie on one, and are found there."""
    scope = fresh_scope()
    scopes = [replace(scope, namespace=f"{scope.namespace} {number}") for number in range(30)]
    nodes = {one: await node_of(live_cluster, scope_prefix(one)) for one in scopes}
    assert len(set(nodes.values())) == NODES
    for one, node in nodes.items():
        keys = {live_key(one, "thread", f"{number}}}{{") for number in range(5)}
        for key in keys:
            await live_cluster.run(lambda redis, key=key: redis.set(key, "x"), idempotent=True)  # type: ignore[misc]
            assert await node_of(live_cluster, key) == node
        assert {key async for key in live_cluster.keys_of(one)} == keys
    await live_cluster.ping()


async def test_the_services_own_locks_have_a_place_too(live_cluster: LiveClient) -> None:
    """A lock of no scope is one node's, as any other."""
    locks = RedisLocks(live_cluster)
    async with locks.held(LockRequest(f"job {fresh_scope().namespace}")) as lease:
        assert lease.fence > 0


async def test_a_cluster_that_is_away_is_said_to_be() -> None:
    """As one server that is away: unavailable, and nothing else."""
    (port,) = free_ports(1)
    async with client_of(f"redis+cluster://127.0.0.1:{port}") as away:
        with pytest.raises(Unavailable):
            await away.ping()


async def answered(items: RedisWorking, scope: Scope) -> None:
    """Return when the items of the session are read: on a busy machine one read may take too long."""
    deadline = time.monotonic() + 30.0
    while True:
        try:
            assert await items.items(scope) == []
        except Unavailable:
            assert time.monotonic() < deadline
            await anyio.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_lost_node_takes_only_its_own_namespaces_away(tmp_path: Path, how: signal.Signals) -> None:
    """Killed or stopped while in use: what lies on it is unavailable, and soon at once; all else goes on."""
    with running_cluster(tmp_path, partial=True) as nodes:
        async with client_of(f"redis+cluster://127.0.0.1:{nodes[0].port}") as live:
            base, threads, items = fresh_scope(), threads_over(live), RedisWorking(live)
            scopes = [replace(base, namespace=f"{base.namespace} {number}", session_id="s") for number in range(12)]
            kept = {one: (await threads.open(one, OpenRequest())).thread.id for one in scopes}
            where = {one: await node_of(live, scope_prefix(one)) for one in scopes}
            assert len(set(where.values())) == NODES
            gone = [one for one in scopes if where[one].endswith(f":{nodes[1].port}")]
            os.kill(nodes[1].process.pid, how)
            with pytest.raises(Unavailable):
                await threads.append(gone[0], kept[gone[0]], NewTurn(role="user", content="on"), None)
            began = time.monotonic()
            for scope in gone * 20:
                with pytest.raises(Unavailable):
                    await items.items(scope, optional=True)
            assert time.monotonic() - began < 10 * len(gone) * READ.timeout_s  # half of so many time limits
            for scope in scopes:
                if scope not in gone:
                    await answered(items, scope)
                    said = await threads.append(scope, kept[scope], NewTurn(role="user", content="on"), None)
                    assert said.version == 1
            found = {
                key
                for key in await live.keys_matching("rm:*:thread:*")
                if key.startswith(tuple(map(scope_prefix, scopes)))
            }
            assert {scope for scope in scopes if any(key.startswith(scope_prefix(scope)) for key in found)} == {
                scope for scope in scopes if scope not in gone
            }

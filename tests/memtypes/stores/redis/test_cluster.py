"""A Redis cluster: each namespace is on one node, and a lost node affects only its namespaces."""

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
from tests.ingest.conversations.builders import threads_over
from tests.live import client_of, fresh_scope
from tests.servers import NODES, free_ports, running_cluster

pytestmark = pytest.mark.anyio


async def node_of(live: LiveClient, key: str) -> str:
    """The name of the cluster node that stores `key`."""

    async def ask(cluster: Any) -> str:
        await cluster.initialize()
        return str(cluster.get_node_from_key(key).name)

    return await live.run(ask, idempotent=True)


async def test_namespaces_are_spread_over_the_nodes(live_cluster: LiveClient) -> None:
    """All keys of one namespace are on one node and can be listed."""
    scope = fresh_scope()
    scopes = [replace(scope, namespace=f"{scope.namespace} {number}") for number in range(30)]
    nodes = {owner: await node_of(live_cluster, scope_prefix(owner)) for owner in scopes}
    assert len(set(nodes.values())) == NODES
    for owner, node in nodes.items():
        keys = {live_key(owner, "thread", f"{number}}}{{") for number in range(5)}
        for key in keys:
            await live_cluster.run(lambda redis, key=key: redis.set(key, "x"), idempotent=True)  # type: ignore[misc]
            assert await node_of(live_cluster, key) == node
        assert set(await live_cluster.keys_of(owner)) == keys
    await live_cluster.ping()


async def test_locks_of_the_service_work_on_a_cluster(live_cluster: LiveClient) -> None:
    """A lock without a scope can be held on a cluster, because all of its keys are in one hash
    slot.
    """
    locks = RedisLocks(live_cluster)
    async with locks.held(LockRequest(f"job {fresh_scope().namespace}")) as lease:
        assert lease.fence > 0


async def test_an_unreachable_cluster_is_unavailable() -> None:
    """The Redis library's errors about an unreachable cluster become Unavailable."""
    (port,) = free_ports(1)
    async with client_of(f"redis+cluster://127.0.0.1:{port}") as away:
        with pytest.raises(Unavailable):
            await away.ping()


async def read_until_answered(items: RedisWorking, scope: Scope) -> None:
    """Repeat a read of the session's items until it succeeds, as a single read may time out on a
    busy machine.
    """
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
async def test_a_lost_node_makes_only_its_namespaces_unavailable(
    tmp_path: Path, how: signal.Signals
) -> None:
    """After one failed read, reads of the lost node's namespaces are refused at once. Other
    namespaces still work.
    """
    with running_cluster(tmp_path, partial=True) as nodes:
        async with client_of(f"redis+cluster://127.0.0.1:{nodes[0].port}") as live:
            base = fresh_scope()
            threads = threads_over(live)
            items = RedisWorking(live)
            scopes = [
                replace(base, namespace=f"{base.namespace} {number}", session_id="s")
                for number in range(12)
            ]
            thread_ids = {
                scope: (await threads.open(scope, OpenRequest())).thread.id for scope in scopes
            }
            node_names = {scope: await node_of(live, scope_prefix(scope)) for scope in scopes}
            assert len(set(node_names.values())) == NODES
            lost = [scope for scope in scopes if node_names[scope].endswith(f":{nodes[1].port}")]
            served = [scope for scope in scopes if scope not in lost]
            os.kill(nodes[1].process.pid, how)
            with pytest.raises(Unavailable):
                await threads.append(
                    lost[0], thread_ids[lost[0]], NewTurn(role="user", content="on"), None
                )
            # The node is not suspected while its last answer is newer
            await anyio.sleep(READ.timeout_s)
            with pytest.raises(Unavailable):
                await items.items(lost[0], optional=True)
            for scope in lost * 20:
                # Refused without waiting for anything
                with anyio.fail_after(0), pytest.raises(Unavailable):
                    await items.items(scope, optional=True)
            for scope in served:
                await read_until_answered(items, scope)
                appended = await threads.append(
                    scope, thread_ids[scope], NewTurn(role="user", content="on"), None
                )
                assert appended.version == 1
            keys = await live.keys_matching("rm:*:thread:*")
            assert [
                scope
                for scope in scopes
                if any(key.startswith(scope_prefix(scope)) for key in keys)
            ] == served

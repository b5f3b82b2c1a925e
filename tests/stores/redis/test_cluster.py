"""What is only so in a cluster: namespaces lie on different nodes, each whole on one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memtypes.errors import Unavailable
from memtypes.locks import LockRequest
from memtypes.stores.redis.client import LiveClient
from memtypes.stores.redis.keys import live_key, scope_prefix
from memtypes.stores.redis.locks import RedisLocks
from tests.live import client_of, fresh_scope
from tests.servers import NODES, free_ports

pytestmark = pytest.mark.anyio


async def node_of(live: LiveClient, key: str) -> str:
    """The name of the node that has `key`."""

    async def ask(cluster: Any) -> str:
        await cluster.initialize()
        return str(cluster.get_node_from_key(key).name)

    return await live.run(ask, repeatable=True)


async def test_namespaces_are_spread_and_each_is_whole(live_cluster: LiveClient) -> None:
    """Thirty namespaces lie on every node; all keys of one lie on one, and are found there."""
    scope = fresh_scope()
    scopes = [replace(scope, namespace=f"{scope.namespace} {number}") for number in range(30)]
    nodes = {one: await node_of(live_cluster, scope_prefix(one)) for one in scopes}
    assert len(set(nodes.values())) == NODES
    for one, node in nodes.items():
        keys = {live_key(one, "thread", f"{number}}}{{") for number in range(5)}
        for key in keys:
            await live_cluster.run(lambda redis, key=key: redis.set(key, "x"), repeatable=True)  # type: ignore[misc]
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

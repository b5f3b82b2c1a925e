"""URLs of Redis servers, Sentinels and clusters."""

from __future__ import annotations

import pytest
from redis.asyncio.cluster import RedisCluster

from memtypes.model.errors import InvalidRequest
from memtypes.stores.redis.connection.topology import connect


def test_a_url_names_a_server_sentinels_or_a_cluster() -> None:
    """The scheme of the URL decides whether a client for a server, Sentinels or a cluster is
    returned.
    """
    assert connect("redis://localhost:1/0").connection_pool.connection_kwargs["port"] == 1
    sentinel = connect("redis+sentinel://one:1,two/main")
    assert sentinel.connection_pool.service_name == "main"
    assert isinstance(connect("redis+cluster://localhost:7"), RedisCluster)


def test_a_url_with_an_unknown_scheme_is_refused() -> None:
    """The error for an unknown scheme names the setting that holds the URL."""
    with pytest.raises(InvalidRequest, match="REMEMBRANCER_REDIS_URL"):
        connect("http://localhost")

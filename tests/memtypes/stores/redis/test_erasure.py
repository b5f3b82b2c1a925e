"""Erasure of what is live."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.erasure import LiveState
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.live_log import LiveLog
from tests.live import LIVE, fresh_scope, running_server

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LIVE)
def anywhere(request: pytest.FixtureRequest) -> LiveClient:
    """Each kind of server."""
    client: LiveClient = request.getfixturevalue(request.param)
    return client


async def test_every_key_of_a_namespace_goes_and_no_other(anywhere: LiveClient) -> None:
    """All that is live of a namespace is removed and counted; a single memory's erasure leaves it."""
    scope, other = fresh_scope(), fresh_scope()
    for one, count in ((scope, 1_200), (other, 3)):
        keys = {live_key(one, "thread", str(number)): "x" for number in range(count)}
        await anywhere.run(lambda redis, keys=keys: redis.mset(keys), idempotent=True)  # type: ignore[misc]
    place = LiveState(anywhere)
    assert (await place.erase(scope, "some-memory"), await place.remaining(scope, "some-memory")) == (0, 0)
    assert await place.remaining(scope, None) == 1_200
    assert await place.erase(scope, None) == 1_200
    assert (await place.remaining(scope, None), await place.remaining(other, None)) == (0, 3)


async def test_what_was_removed_leaves_the_file(tmp_path: Path) -> None:
    """The server's file speaks of a namespace until it is written anew, and of the others still."""
    scope, other = fresh_scope(), fresh_scope()
    async with running_server(tmp_path) as client:
        for one in (scope, other):
            key = live_key(one, "thread", "t")
            await client.run(lambda redis, key=key: redis.set(key, "said"), idempotent=True)  # type: ignore[misc]
        log = LiveLog(client, tmp_path)
        await LiveState(client).erase(scope, None)
        assert await log.remaining(scope, None) == await log.erase(scope, None) > 0
        assert (await log.remaining(scope, None), await log.erase(scope, None)) == (0, 0)
        assert await log.remaining(other, None) > 0
        assert await LiveState(client).remaining(other, None) == 1

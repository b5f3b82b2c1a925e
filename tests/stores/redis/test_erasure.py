"""Erasure of what is live."""

from __future__ import annotations

import pytest

from memtypes.stores.redis.client import LiveClient
from memtypes.stores.redis.erasure import LiveState
from memtypes.stores.redis.keys import live_key
from tests.live import LIVE, fresh_scope

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
        await anywhere.run(lambda redis, keys=keys: redis.mset(keys), repeatable=True)  # type: ignore[misc]
    place = LiveState(anywhere)
    assert (await place.erase(scope, "some-memory"), await place.remaining(scope, "some-memory")) == (0, 0)
    assert await place.remaining(scope, None) == 1_200
    assert await place.erase(scope, None) == 1_200
    assert (await place.remaining(scope, None), await place.remaining(other, None)) == (0, 3)

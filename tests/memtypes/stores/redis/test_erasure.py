"""Erasure of live state from Redis and from its append-only file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from memtypes.stores.redis.client_sessions import RedisClientSessions
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.erasure import LiveLog, LiveState
from memtypes.stores.redis.keys import live_key
from tests.live import LIVE, fresh_scope, running_server

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LIVE)
def client(request: pytest.FixtureRequest) -> LiveClient:
    """A live client of each kind of Redis server."""
    live: LiveClient = request.getfixturevalue(request.param)
    return live


async def test_erasing_a_namespace_removes_its_keys_and_no_other(client: LiveClient) -> None:
    """Erasing a namespace removes all its keys and no others.

    Erasing a memory that Redis does not have removes no key.
    """
    scope = fresh_scope()
    other_scope = fresh_scope()
    for owner, count in ((scope, 1_200), (other_scope, 3)):
        keys = {live_key(owner, "thread", str(number)): "x" for number in range(count)}
        await client.run(lambda redis, keys=keys: redis.mset(keys), idempotent=True)  # type: ignore[misc]
    state = LiveState(client)
    assert (
        await state.erase(scope, "some-memory"),
        await state.remaining(scope, "some-memory"),
    ) == (0, 0)
    assert await state.remaining(scope, None) == 1_200
    assert await state.erase(scope, None) == 1_200
    assert (await state.remaining(scope, None), await state.remaining(other_scope, None)) == (0, 3)


async def test_erasing_a_memory_removes_its_id_from_what_sessions_were_shown(
    client: LiveClient,
) -> None:
    """Erasing a memory removes its id from the lists of memories that sessions were shown.

    Other memories, and the same id in another namespace, stay in these lists.
    """
    scope, other_scope = (replace(fresh_scope(), session_id="s") for _ in range(2))
    sessions = RedisClientSessions(client)
    state = LiveState(client)
    for owner in (scope, other_scope, replace(scope, session_id="t")):
        await sessions.claim(owner, ["erased", "kept"])
    assert await state.remaining(scope, "erased") == 2
    assert (await state.erase(scope, "erased"), await state.remaining(scope, "erased")) == (2, 0)
    assert (await sessions.begin(scope)).ids == {"kept"}
    assert (await sessions.begin(other_scope)).ids == {"erased", "kept"}


async def test_erasing_the_append_only_file_removes_mentions_of_the_namespace(
    tmp_path: Path,
) -> None:
    scope = fresh_scope()
    other_scope = fresh_scope()
    async with running_server(tmp_path) as client:
        for owner in (scope, other_scope):
            key = live_key(owner, "thread", "t")
            await client.run(lambda redis, key=key: redis.set(key, "said"), idempotent=True)  # type: ignore[misc]
        log = LiveLog(client, tmp_path)
        await LiveState(client).erase(scope, None)
        assert await log.remaining(scope, None) == await log.erase(scope, None) > 0
        assert (await log.remaining(scope, None), await log.erase(scope, None)) == (0, 0)
        assert await log.remaining(other_scope, None) > 0
        assert await LiveState(client).remaining(other_scope, None) == 1

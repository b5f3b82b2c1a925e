"""What is deleted lives no more: working memory under the calls that remove memories."""

from __future__ import annotations

from typing import Any

import pytest

from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.erasure import LiveState
from tests.api.worlds import World

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("how", ["one", "session", "namespace"])
async def test_what_is_deleted_lives_no_more(world: World, how: str) -> None:
    """Neither the item nor its copy; what was not meant stays."""
    item = await world.make("a secret")
    where: dict[str, Any] = {"namespace": item["namespace"]}
    if how == "one":
        got = await world.client.delete(f"/v1/memories/{item['id']}", params=where)
    else:
        session = {"session_id": "s 1"} if how == "session" else {}
        got = await world.client.delete("/v1/memories", params={**where, **session, "confirm": "true"})
    assert got.status_code in (200, 204)
    assert await world.listed(include_cleared="true") == []
    assert (await world.recall("a secret"))["context"] == ""


async def test_deleting_another_session_or_type_leaves_items_alone(world: World) -> None:
    """Only what is meant goes."""
    item = await world.make("a task")
    for other in ({"session_id": "s 2"}, {"type": "semantic"}):
        params = {"namespace": item["namespace"], "confirm": "true", **other}
        assert (await world.client.delete("/v1/memories", params=params)).status_code == 200
    assert [one["id"] for one in await world.listed()] == [item["id"]]


async def test_the_erasure_of_one_memory_reaches_its_live_item(world: World, live: LiveClient) -> None:
    """And is counted, and checked after."""
    item = await world.make("a secret")
    state, scope = LiveState(live), Scope("default", item["namespace"])
    assert await state.remaining(scope, item["id"]) == 1
    assert await state.erase(scope, item["id"]) == 1
    assert await state.remaining(scope, item["id"]) == 0
    assert await world.listed() == []

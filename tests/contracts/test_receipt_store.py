"""The contract of a store of receipts, on every implementation."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from operator import methodcaller
from typing import Any

import anyio
import pytest

from memtypes.model.scope import Scope
from memtypes.ports.receipts import GENESIS, Link, ReceiptStore, Sealed, Unsealed, own_hash
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.receipts import RedisReceipts
from retrieval.receipts.queue import ReceiptQueue
from tests.fakes_receipts import FakeReceipts
from tests.live import LIVE

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def body(number: int = 0) -> dict[str, Any]:
    """What is to be sealed."""
    return {"id": str(uuid.uuid4()), "told": f"ünïcode {number} \N{SNOWMAN}", "score": 0.1 + number}


def redis_receipts(live: LiveClient) -> RedisReceipts:
    """As another process would have it."""
    return RedisReceipts(live, 30, lambda: NOW)


@pytest.fixture(params=["fake", "queue", *LIVE])
def kept(request: pytest.FixtureRequest) -> ReceiptStore:
    """A store."""
    if request.param in ("fake", "queue"):
        return FakeReceipts() if request.param == "fake" else ReceiptQueue(FakeReceipts())
    return redis_receipts(request.getfixturevalue(request.param))


async def added(kept: ReceiptStore, scope: Scope, body: dict[str, Any]) -> Sealed:
    """One receipt more."""
    (sealed,) = await kept.append(scope.tenant, [Unsealed.of(scope.namespace, body)])
    return sealed


@pytest.fixture
def scope() -> Scope:
    """A tenant that no other test uses."""
    return Scope(f"tenant {uuid.uuid4()}", "shop")


async def test_what_is_kept_is_what_was_sealed(kept: ReceiptStore, scope: Scope) -> None:
    """To the byte, with a hash that fits; an unknown id has nothing."""
    asked = body()
    sealed = await added(kept, scope, asked)
    assert await kept.get(scope.tenant, sealed.id) == sealed.text
    receipt = json.loads(sealed.text)
    assert receipt == asked | {"previous_id": None, "previous_sha256": GENESIS, "sha256": sealed.sha256}
    assert own_hash(receipt) == sealed.sha256
    assert await kept.get(scope.tenant, "another") is None
    assert await kept.get("another tenant", sealed.id) is None


async def test_each_names_the_one_before_it(kept: ReceiptStore, scope: Scope) -> None:
    """In its tenant, across namespaces; other tenants have chains of their own."""
    other = Scope(f"{scope.tenant} too", "shop")
    first = await added(kept, scope, body(1))
    await added(kept, other, body(2))
    second = json.loads((await added(kept, Scope(scope.tenant, "elsewhere"), body(3))).text)
    assert Link(second["previous_id"], second["previous_sha256"]) == first.link


async def test_appending_at_once_makes_one_chain(kept: ReceiptStore, scope: Scope) -> None:
    """No two receipts name the same one before them."""
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(added, kept, scope, body(number))
    newest = json.loads((await added(kept, scope, body())).text)
    assert await length(kept, scope, newest) == 21


async def test_several_are_kept_together(kept: ReceiptStore, scope: Scope) -> None:
    """In their order, whatever their namespaces; none at all changes nothing."""
    assert await kept.append(scope.tenant, []) == []
    made = [Unsealed.of(f"space {number % 2}", body(number)) for number in range(5)]
    sealed = await kept.append(scope.tenant, made)
    newest = json.loads((await added(kept, scope, body())).text)
    assert newest["previous_id"] == sealed[-1].id
    assert await length(kept, scope, newest) == 6
    assert [await kept.count(Scope(scope.tenant, f"space {number}")) for number in range(2)] == [3, 2]


async def length(kept: ReceiptStore, scope: Scope, newest: dict[str, Any]) -> int:
    """How many receipts the chain that ends with `newest` has."""
    found = 1
    while newest["previous_id"] is not None:
        before = json.loads(await kept.get(scope.tenant, newest["previous_id"]) or b"")
        assert before["sha256"] == newest["previous_sha256"]
        newest, found = before, found + 1
    return found


async def test_a_namespace_is_erased_alone(kept: ReceiptStore, scope: Scope) -> None:
    """Its receipts are gone, those of others stay, and the chain goes on."""
    elsewhere = Scope(scope.tenant, "elsewhere")
    gone = [await added(kept, scope, body(number)) for number in range(3)]
    stays = await added(kept, elsewhere, body())
    last = await added(kept, scope, body())
    assert (await kept.count(scope), await kept.count(elsewhere)) == (4, 1)
    assert await kept.erase(scope) == 4
    assert (await kept.count(scope), await kept.count(elsewhere)) == (0, 1)
    assert await kept.erase(scope) == 0
    assert [await kept.get(scope.tenant, one.id) for one in gone] == [None] * 3
    assert await kept.get(scope.tenant, stays.id) == stays.text
    following = json.loads((await added(kept, scope, body())).text)
    assert following["previous_sha256"] == last.sha256


async def test_processes_share_a_chain(live: LiveClient, scope: Scope) -> None:
    """Two that append in turns and at once still make one."""
    processes = [redis_receipts(live) for _ in range(4)]
    async with anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(added, processes[number % 4], scope, body(number))
    newest = json.loads((await added(processes[0], scope, body())).text)
    assert await length(processes[1], scope, newest) == 41


async def test_a_receipt_has_a_time_to_live(live: LiveClient, scope: Scope) -> None:
    """So have its chain and its index."""
    await added(RedisReceipts(live, 2, lambda: NOW), scope, body())
    keys = await live.run(lambda redis: redis.keys(f"*{scope.tenant.replace(' ', '%20')}*"), idempotent=True)
    lives = [await live.run(methodcaller("ttl", key), idempotent=True) for key in keys]
    assert len(lives) == 3
    assert all(2 * 86_400 - 60 < one <= 2 * 86_400 for one in lives)

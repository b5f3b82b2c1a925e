"""The contract of ReceiptStore, tested on each implementation."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from operator import methodcaller
from typing import Any

import anyio
import pytest

from memtypes.model.scope import Scope
from memtypes.ports.receipts import (
    GENESIS,
    ChainHead,
    ReceiptStore,
    SealedReceipt,
    UnsealedReceipt,
    receipt_hash,
    receipt_id,
)
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.receipts import RedisReceipts
from retrieval.receipts.recorder import ReceiptQueue
from tests.fakes_receipts import FakeReceipts
from tests.live import LIVE

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def body(number: int = 0) -> dict[str, Any]:
    """The JSON members of a receipt, without those that the store adds (the hashes and the
    predecessor's id).
    """
    return {
        "id": str(uuid.uuid4()),
        "query": f"ünïcode {number} \N{SNOWMAN}",
        "score": 0.1 + number,
    }


def redis_receipts(live: LiveClient) -> RedisReceipts:
    """A ReceiptStore on Redis that has no newest receipt in its cache, like the store of another
    process.
    """
    return RedisReceipts(live, 30, lambda: NOW)


@pytest.fixture(params=["fake", "queue", *LIVE])
def store(request: pytest.FixtureRequest) -> ReceiptStore:
    """An empty store of each implementation in turn: in memory, behind a queue, and on each kind of
    Redis server.
    """
    if request.param in ("fake", "queue"):
        return FakeReceipts() if request.param == "fake" else ReceiptQueue(FakeReceipts())
    return redis_receipts(request.getfixturevalue(request.param))


async def append(store: ReceiptStore, scope: Scope, body: dict[str, Any]) -> SealedReceipt:
    """Append a receipt with the JSON members `body`, and return it with its hash and its
    predecessor's.
    """
    (sealed,) = await store.append(scope.tenant, [UnsealedReceipt.from_body(scope.namespace, body)])
    return sealed


@pytest.fixture
def scope() -> Scope:
    """A tenant that no other test uses."""
    return Scope(f"tenant {uuid.uuid4()}", "shop")


async def test_a_receipt_is_read_back_as_it_was_sealed(store: ReceiptStore, scope: Scope) -> None:
    """A receipt's text is read back byte for byte and has a valid hash. For an unknown id the
    result is None.
    """
    members = body()
    sealed = await append(store, scope, members)
    assert await store.get(scope.tenant, sealed.id) == sealed.text
    receipt = json.loads(sealed.text)
    assert receipt == members | {
        "previous_id": None,
        "previous_sha256": GENESIS,
        "sha256": sealed.sha256,
    }
    assert receipt_hash(receipt) == sealed.sha256
    assert await store.get(scope.tenant, "another") is None
    assert await store.get("another tenant", sealed.id) is None


async def test_each_receipt_names_its_predecessor(store: ReceiptStore, scope: Scope) -> None:
    """All receipts of a tenant form one chain across its namespaces. Each tenant has a separate
    chain.
    """
    other_scope = Scope(f"{scope.tenant} too", "shop")
    first = await append(store, scope, body(1))
    await append(store, other_scope, body(2))
    second = json.loads((await append(store, Scope(scope.tenant, "elsewhere"), body(3))).text)
    assert ChainHead(second["previous_id"], second["previous_sha256"]) == first.head


async def test_concurrent_appends_make_one_chain(store: ReceiptStore, scope: Scope) -> None:
    """Receipts that are appended concurrently form one chain: no two of them name the same
    predecessor.
    """
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(append, store, scope, body(number))
    newest = json.loads((await append(store, scope, body())).text)
    assert await length(store, scope, newest) == 21


async def test_several_receipts_are_appended_in_order(store: ReceiptStore, scope: Scope) -> None:
    """One call appends receipts of several namespaces in order. An empty list changes nothing."""
    assert await store.append(scope.tenant, []) == []
    unsealed = [
        UnsealedReceipt.from_body(f"space {number % 2}", body(number)) for number in range(5)
    ]
    sealed = await store.append(scope.tenant, unsealed)
    newest = json.loads((await append(store, scope, body())).text)
    assert newest["previous_id"] == sealed[-1].id
    assert await length(store, scope, newest) == 6
    assert [
        await store.remaining(Scope(scope.tenant, f"space {number}"), None) for number in range(2)
    ] == [3, 2]


async def length(store: ReceiptStore, scope: Scope, newest: dict[str, Any]) -> int:
    """Number of receipts in the chain that ends with the receipt `newest`."""
    count = 1
    while newest["previous_id"] is not None:
        before = json.loads(await store.get(scope.tenant, newest["previous_id"]) or b"")
        assert before["sha256"] == newest["previous_sha256"]
        newest = before
        count = count + 1
    return count


async def test_erasing_a_namespace_keeps_other_receipts_and_the_hash_chain(
    store: ReceiptStore, scope: Scope
) -> None:
    """Erasing a namespace keeps the receipts of other namespaces. The tenant's next receipt names
    the last erased one.

    Receipts are not erased for a single memory.
    """
    elsewhere = Scope(scope.tenant, "elsewhere")
    erased = [await append(store, scope, body(number)) for number in range(3)]
    stays = await append(store, elsewhere, body())
    last = await append(store, scope, body())
    assert (await store.remaining(scope, None), await store.remaining(elsewhere, None)) == (4, 1)
    assert (await store.erase(scope, stays.id), await store.remaining(scope, stays.id)) == (0, 0)
    assert await store.erase(scope, None) == 4
    assert (await store.remaining(scope, None), await store.remaining(elsewhere, None)) == (0, 1)
    assert await store.erase(scope, None) == 0
    assert [await store.get(scope.tenant, receipt.id) for receipt in erased] == [None] * 3
    assert await store.get(scope.tenant, stays.id) == stays.text
    following = json.loads((await append(store, scope, body())).text)
    assert following["previous_sha256"] == last.sha256


async def test_processes_append_to_the_same_chain(live: LiveClient, scope: Scope) -> None:
    """If four store objects, as in four processes, append receipts concurrently, the receipts form
    one hash chain.
    """
    processes = [redis_receipts(live) for _ in range(4)]
    async with anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(append, processes[number % 4], scope, body(number))
    newest = json.loads((await append(processes[0], scope, body())).text)
    assert await length(processes[1], scope, newest) == 41


async def test_receipts_and_their_chain_expire(live: LiveClient, scope: Scope) -> None:
    """Receipts, the newest hash of the tenant's chain and the namespace's list of receipts have a
    TTL in Redis.
    """
    await append(RedisReceipts(live, 2, lambda: NOW), scope, body())
    keys = await live.run(
        lambda redis: redis.keys(f"*{scope.tenant.replace(' ', '%20')}*"), idempotent=True
    )
    lives = [await live.run(methodcaller("ttl", key), idempotent=True) for key in keys]
    assert len(lives) == 3
    assert all(2 * 86_400 - 60 < ttl <= 2 * 86_400 for ttl in lives)


async def test_latest_receipts_are_listed_newest_first(store: ReceiptStore, scope: Scope) -> None:
    """The latest receipts of the namespace are listed newest first, in pages.

    A page that should begin after an unknown receipt id is empty.
    """
    elsewhere = Scope(scope.tenant, "elsewhere")
    ids = [receipt_id(NOW + timedelta(milliseconds=number)) for number in range(5)]
    texts = [
        (await append(store, scope, {**body(number), "id": ids[number]})).text
        for number in range(5)
    ]
    await append(store, elsewhere, body())
    assert await store.latest(scope, 2) == [texts[4], texts[3]]
    assert await store.latest(scope, 10, ids[3]) == [texts[2], texts[1], texts[0]]
    assert await store.latest(scope, 10, ids[0]) == []
    assert await store.latest(scope, 10, "another") == []
    assert await store.latest(Scope(scope.tenant, "empty"), 10) == []
    await store.erase(scope, None)
    assert await store.latest(scope, 10) == []

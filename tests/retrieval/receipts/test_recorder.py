"""The queue of receipts, which writes them in batches and lets them be read at once.

It refuses receipts while the receipt store is unavailable.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.receipts import SealedReceipt, UnsealedReceipt
from retrieval.receipts.recorder import LINGER_S, MAX_WAITING, ROOM_POLL_S, ReceiptQueue
from tests.fakes_receipts import AwayReceipts, FakeReceipts

pytestmark = pytest.mark.anyio
SCOPE = Scope("acme", "shop")


@dataclass
class GatedReceipts(FakeReceipts):
    """A receipt store whose writes wait for `gate`, then fail `failures` times.

    failed: event that is set by a failed write. `writes` has the number of receipts in each
    successful write.
    """

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    writes: list[int] = field(default_factory=list)

    async def append(self, tenant: str, receipts: Sequence[UnsealedReceipt]) -> list[SealedReceipt]:
        """Wait until `gate` is set, then append the receipts, or raise if failures are left."""
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            self.failed.set()
            raise Unavailable("it failed")
        self.writes.append(len(receipts))
        return await super().append(tenant, receipts)


async def put(queue: ReceiptQueue, receipt_id: str, tenant: str = "acme") -> None:
    """Put a receipt with this id into the queue of receipts to write."""

    def make() -> UnsealedReceipt:
        return UnsealedReceipt.from_body("shop", {"id": receipt_id})

    await queue.put(tenant, receipt_id, make)


def in_touch(receipt_store: FakeReceipts) -> ReceiptQueue:
    """A queue of receipts that takes its store for available, so that `put` does not wait for
    writes.
    """
    return ReceiptQueue(receipt_store, lambda: True)


async def test_an_answer_does_not_wait_for_its_receipt_but_a_reader_does() -> None:
    """`put` returns before the receipt is written. `get` waits until it is written."""
    receipt_store = GatedReceipts()
    queue = in_touch(receipt_store)
    await put(queue, "one")
    assert receipt_store.texts == {}
    reading = asyncio.create_task(queue.get("acme", "one"))
    await asyncio.sleep(0.01)
    assert not reading.done()
    receipt_store.gate.set()
    assert json.loads(await reading or b"")["id"] == "one"
    assert await queue.get("other", "one") is None


async def test_waiting_receipts_are_written_in_one_batch_and_in_order() -> None:
    """All waiting receipts of a tenant are stored by one write, and each names the receipt of the
    answer before it.
    """
    receipt_store = GatedReceipts()
    queue = in_touch(receipt_store)
    await put(queue, "0")
    await asyncio.sleep(2 * LINGER_S)  # it is being written from here on
    for number in range(1, 6):
        await put(queue, str(number), "other" if number == 3 else "acme")
    receipt_store.gate.set()
    texts = [json.loads(await queue.get("acme", str(number)) or b"") for number in (0, 1, 2, 4, 5)]
    assert [text["previous_id"] for text in texts] == [None, "0", "1", "2", "4"]
    assert sorted(receipt_store.writes) == [1, 1, 4]


async def test_an_answer_waits_for_its_receipt_while_the_store_may_be_away() -> None:
    """If the receipt store may be unavailable, `put` waits until the receipt is written, and raises
    if that fails.
    """
    with pytest.raises(Unavailable):
        await put(ReceiptQueue(AwayReceipts()), "one")
    receipt_store = FakeReceipts()
    await put(ReceiptQueue(receipt_store), "one")
    assert ("acme", "one") in receipt_store.texts


async def test_a_receipt_whose_id_was_sent_outlives_a_short_outage() -> None:
    """After a failed write, a receipt whose id was sent is written later. Until then, new ones are
    refused.
    """
    receipt_store = GatedReceipts(failures=1)
    receipt_store.gate.set()
    queue = in_touch(receipt_store)
    await put(queue, "one")
    await receipt_store.failed.wait()
    with pytest.raises(Unavailable):
        await put(queue, "two")
    assert await queue.get("acme", "one") is not None
    await put(queue, "three")
    assert await queue.get("acme", "three") is not None
    assert queue.lost == 0


async def test_erasing_includes_waiting_receipts() -> None:
    """Erasing a namespace also removes its receipts that wait in the queue to be written."""
    receipt_store = GatedReceipts()
    queue = in_touch(receipt_store)
    await put(queue, "one")
    asyncio.get_running_loop().call_later(0.01, receipt_store.gate.set)
    assert await queue.erase(SCOPE, None) == 1
    assert await queue.remaining(SCOPE, None) == 0


async def test_closing_writes_waiting_receipts_or_counts_them_as_lost() -> None:
    receipt_store = GatedReceipts()
    receipt_store.gate.set()
    queue = in_touch(receipt_store)
    for number in range(20):
        await put(queue, str(number))
    await queue.aclose()
    assert (len(receipt_store.texts), queue.lost) == (20, 0)
    away = in_touch(AwayReceipts())
    await put(away, "one")
    assert away.waiting == 1
    await away.aclose()
    assert away.lost == 1
    assert (away.lost, away.waiting) == (1, 0)


async def test_a_receipt_that_cannot_be_built_does_not_affect_others() -> None:
    """If a receipt of a batch cannot be built, the other receipts are written.

    Reading the lost receipt raises Unavailable.
    """
    receipt_store = GatedReceipts()

    def broken() -> UnsealedReceipt:
        raise ZeroDivisionError

    queue = in_touch(receipt_store)
    await queue.put("acme", "broken", broken)
    await put(queue, "intact")
    reading = asyncio.create_task(queue.get("acme", "broken"))
    await asyncio.sleep(0)
    receipt_store.gate.set()
    assert await queue.get("acme", "intact") is not None
    with pytest.raises(Unavailable):
        await reading
    assert queue.lost == 1


async def test_a_full_queue_refuses_receipts() -> None:
    """If the queue is full, a receipt is refused unless room becomes free within a timeout."""
    queue = ReceiptQueue(receipt_store := GatedReceipts(), lambda: True, room_timeout_s=0.05)
    for number in range(MAX_WAITING):
        await put(queue, str(number))
    with pytest.raises(Unavailable):
        await put(queue, "one more")
    receipt_store.gate.set()
    await queue.aclose()
    assert len(receipt_store.texts) == MAX_WAITING


async def test_receipts_wait_for_room_in_a_full_queue_that_is_being_written() -> None:
    queue = in_touch(receipt_store := GatedReceipts())
    for number in range(MAX_WAITING):
        await put(queue, str(number))
    puts = [asyncio.create_task(put(queue, f"more {number}")) for number in range(8)]
    await asyncio.sleep(2.5 * ROOM_POLL_S)
    receipt_store.gate.set()
    await asyncio.gather(*puts)
    await queue.aclose()
    assert len(receipt_store.texts) == MAX_WAITING + 8


async def test_waiting_for_room_ends_when_the_store_is_away() -> None:
    """A receipt that waits for room in the full queue is refused as soon as a write fails, before
    the timeout.
    """
    receipt_store = GatedReceipts(failures=1)
    queue = in_touch(receipt_store)
    for number in range(MAX_WAITING):
        await put(queue, str(number))
    waiting_put = asyncio.create_task(put(queue, "more"))
    await asyncio.sleep(0)
    receipt_store.gate.set()
    with pytest.raises(Unavailable, match="store of receipts is away"):
        await waiting_put
    await queue.aclose()


async def test_a_bug_in_the_store_leaves_no_caller_waiting() -> None:
    """If the receipt store raises an unexpected error, the receipt is lost, and its reader gets an
    error.

    A call that erases receipts does not wait for the lost receipt.
    """

    class FaultyReceipts(FakeReceipts):
        # The port
        async def append(
            self,
            tenant: str,  # noqa: ARG002
            receipts: Sequence[UnsealedReceipt],  # noqa: ARG002
        ) -> list[SealedReceipt]:
            raise ZeroDivisionError

    queue = in_touch(FaultyReceipts())
    await put(queue, "one")
    reading = asyncio.create_task(queue.get("acme", "one"))
    await asyncio.sleep(0)
    await queue.aclose()
    with pytest.raises(Unavailable):
        await reading
    assert await queue.erase(SCOPE, None) == 0
    assert queue.lost == 1

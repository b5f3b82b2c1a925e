"""Reading receipts by id: the service waits only for a recent receipt that another process may
still be writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from memtypes.model.errors import InvalidRequest, NotFound
from memtypes.ports.receipts import UnsealedReceipt, receipt_id
from retrieval.receipts.service import GRACE_S
from tests.fakes_receipts import FakeReceipts
from tests.retrieval.builders import NOW, SCOPE, World

pytestmark = pytest.mark.anyio


@dataclass
class LateReceipts(FakeReceipts):
    """A receipt store to which another process, as it were, adds the receipt `late_id` just before
    read number `after`.

    reads: the number of reads so far.
    """

    late_id: str = ""
    after: int = 3
    reads: int = 0

    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """The receipt's text; None if it is not written yet."""
        self.reads += 1
        if self.reads == self.after and self.late_id:
            await self.append(
                tenant, [UnsealedReceipt.from_body(SCOPE.namespace, {"id": self.late_id})]
            )
        return await super().get(tenant, receipt_id)


async def test_a_receipt_that_another_process_still_writes_is_found() -> None:
    """The reader of a receipt waits until another process has written it."""
    promised = receipt_id(NOW)
    world = World(receipt_store=(receipt_store := LateReceipts(late_id=promised)))
    assert promised.encode() in await world.receipts.text(SCOPE.tenant, promised)
    assert receipt_store.reads == receipt_store.after


@pytest.mark.parametrize("unknown", ["any", "0d6e64ad-9f54-4e23-8a7e-6ab2a4ad1f0e"])
async def test_an_id_of_another_form_is_not_waited_for(unknown: str) -> None:
    """A text that cannot be a receipt id is looked up once, without waiting for a receipt."""
    world = World(receipt_store=(receipt_store := LateReceipts()))
    with pytest.raises(NotFound):
        await world.receipts.text(SCOPE.tenant, unknown)
    assert receipt_store.reads == 1


@pytest.mark.parametrize("graces", [-2, 2])
async def test_an_id_of_another_time_is_not_waited_for(graces: int) -> None:
    """An unknown receipt id that was issued long ago or in the future is looked up once, without
    waiting.
    """
    world = World(receipt_store=(receipt_store := LateReceipts()))
    with pytest.raises(NotFound):
        await world.receipts.text(
            SCOPE.tenant, receipt_id(NOW + graces * timedelta(seconds=GRACE_S))
        )
    assert receipt_store.reads == 1


async def test_waiting_for_a_receipt_that_is_never_written_ends() -> None:
    """The reader of a receipt that is never written gives up after some reads, even if the clock
    stands still.
    """
    world = World(receipt_store=(receipt_store := LateReceipts()))
    with pytest.raises(NotFound):
        await world.receipts.text(SCOPE.tenant, receipt_id(NOW))
    assert receipt_store.reads > 2


async def test_of_a_receipt_of_an_earlier_version_only_the_hash_is_verified() -> None:
    """The answer says so. It cannot be replayed, and its texts cannot be added to it."""
    world = World(receipt_store=(receipt_store := FakeReceipts()))
    earlier_id = receipt_id(NOW)
    await receipt_store.append(
        SCOPE.tenant,
        [UnsealedReceipt.from_body(SCOPE.namespace, {"id": earlier_id, "version": 1, "sight": 3})],
    )
    verdict = await world.receipts.verify(SCOPE.tenant, earlier_id)
    assert {check.name: check.ok for check in verdict.checks} == {"form": False, "sha256": True}
    assert "made by an earlier version" in str(verdict.checks[0].detail)
    assert not verdict.valid
    text = await world.receipts.text(SCOPE.tenant, earlier_id)
    with pytest.raises(InvalidRequest, match="made by an earlier version"):
        await world.receipts.with_contents(SCOPE.tenant, text)
    with pytest.raises(InvalidRequest, match="made by an earlier version"):
        await world.receipts.replay(SCOPE.tenant, earlier_id)

"""Receipts that are asked for by their ids: found while they are on their way, and not waited for otherwise."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

import pytest

from memtypes.errors import NotFound
from memtypes.receipts import Unsealed, receipt_id
from retrieval.receipts.service import GRACE_S
from tests.fakes_receipts import FakeReceipts
from tests.retrieval.builders import NOW, SCOPE, World

pytestmark = pytest.mark.anyio


@dataclass
class LateReceipts(FakeReceipts):
    """A store to which another process writes a receipt after so many looks. looks: how many there were."""

    comes: str = ""
    after: int = 3
    looks: int = 0

    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """The text."""
        self.looks += 1
        if self.looks == self.after and self.comes:
            await self.append(tenant, [Unsealed.of(SCOPE.namespace, {"id": self.comes})])
        return await super().get(tenant, receipt_id)


async def test_what_another_process_has_promised_is_found() -> None:
    """Once it is written."""
    promised = receipt_id(NOW)
    world = World(kept=(kept := LateReceipts(comes=promised)))
    assert promised.encode() in await world.receipts.text(SCOPE.tenant, promised)
    assert kept.looks == kept.after


@pytest.mark.parametrize(
    "unknown",
    [
        "any",
        str(uuid.uuid4()),
        receipt_id(NOW - timedelta(seconds=2 * GRACE_S)),
        receipt_id(NOW + timedelta(seconds=2 * GRACE_S)),
    ],
)
async def test_what_nobody_has_promised_lately_is_not_waited_for(unknown: str) -> None:
    """One look, and it is unknown."""
    world = World(kept=(kept := LateReceipts()))
    with pytest.raises(NotFound):
        await world.receipts.text(SCOPE.tenant, unknown)
    assert kept.looks == 1


async def test_what_never_comes_is_given_up() -> None:
    """Though the clock stands still."""
    world = World(kept=(kept := LateReceipts()))
    with pytest.raises(NotFound):
        await world.receipts.text(SCOPE.tenant, receipt_id(NOW))
    assert kept.looks > 2

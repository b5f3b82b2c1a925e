"""Receipts of version 1, which were kept before their form changed, are read, checked and replayed until they end."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest

from memtypes.model.policy import MemoryType
from memtypes.model.times import system_clock
from memtypes.ports.receipts import own_hash
from memtypes.search.candidates import Candidate, Candidates
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import tenant_key
from memtypes.stores.redis.receipts import RedisReceipts, _unpacked
from retrieval.receipts.contents import counter_for
from retrieval.receipts.file import verify_file
from retrieval.receipts.model import Receipt
from retrieval.receipts.replay import recorded_uses
from tests.fakes import FakeTokenizer
from tests.fakes_receipts import FakeReceipts
from tests.retrieval.builders import SCOPE, World
from tests.retrieval.receipts.shop import used_shop

pytestmark = pytest.mark.anyio

KEPT = Path(__file__).with_name("first_form.txt").read_text()
"""What the live store had of a receipt of `used_shop`."""


async def kept_in(live: LiveClient, tenant: str) -> bytes:
    """The receipt's text, once it is kept there as it was then."""
    await live.run(lambda redis: redis.set(tenant_key(tenant, "receipt", "one"), KEPT), repeatable=True)
    text = await RedisReceipts(live, 30, system_clock).get(tenant, "one")
    assert text is not None
    return text


async def shop_with(text: bytes) -> tuple[World, str]:
    """The shop of that receipt with nothing but it, and its id."""
    kept, receipt_id = FakeReceipts(), json.loads(text)["id"]
    kept.texts[SCOPE.tenant, receipt_id] = text
    return await used_shop(kept), receipt_id


async def test_it_is_read_as_it_was_sealed(live: LiveClient) -> None:
    """To the byte, with its hash; numbers were written otherwise."""
    text = await kept_in(live, "a shop of long ago")
    receipt = json.loads(text)
    assert (receipt["version"], own_hash(receipt)) == (1, receipt["sha256"])
    assert b"1.5e-05" in text


async def test_it_holds(live: LiveClient) -> None:
    """On the service and in a file, where a changed byte is found."""
    world, receipt_id = await shop_with(text := await kept_in(live, "another of long ago"))
    verdict = await world.receipts.verify(SCOPE.tenant, receipt_id)
    assert verdict.valid, verdict
    saved = await world.receipts.with_contents(SCOPE.tenant, text)
    count = counter_for("markdown", FakeTokenizer())
    assert verify_file(saved, lambda _: count).valid
    assert verify_file(text, lambda _: count).valid
    assert not verify_file(saved.replace(b'"access_count":3', b'"access_count":4', 1), lambda _: count).valid
    assert not verify_file(saved.replace(b'"version":1', b'"version":2'), lambda _: count).valid


async def test_it_is_replayed_with_the_uses_that_it_told_by_whole_ids(live: LiveClient) -> None:
    """Ranking may have changed since; what was used how often then has not."""
    world, receipt_id = await shop_with(text := await kept_in(live, "a third of long ago"))
    receipt = Receipt.model_validate(json.loads(text))
    told = {one.id: one.access_count for one in receipt.candidates}
    assert isinstance(receipt.unlisted.access_counts, dict)
    told |= receipt.unlisted.access_counts
    assert any(told.values())
    found = Candidates.of([Candidate(one, MemoryType.SEMANTIC, None, None, {}) for one in [*told, str(UUID(int=7))]])
    assert recorded_uses(receipt)(found).light.wholes("access_count", 9).tolist() == [*told.values(), 0]
    replayed = await world.receipts.replay(SCOPE.tenant, receipt_id)
    assert all("written or changed" not in change.why for change in replayed.changes)


@pytest.mark.parametrize("other", [b"2", b"3", b"0", b"9"])
def test_its_version_is_sealed(other: bytes) -> None:
    """A receipt that claims another form is found, by its hash or because nobody knows that form."""
    text = _unpacked(KEPT.encode()).replace(b'"version":1', b'"version":' + other)
    assert not verify_file(text, lambda _: None).valid

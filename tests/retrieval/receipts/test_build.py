"""The fields of a receipt, and answers that get no receipt."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from memtypes.model.errors import NotFound
from retrieval.receipts.build import LISTED, OTHERS_LISTED
from retrieval.retriever import Retriever
from tests.fakes_receipts import AwayReceipts, FakeReceipts
from tests.fakes_working import FakeItems
from tests.retrieval.builders import SCOPE, World
from tests.retrieval.receipts.shop import QUERY, receipt_of, shop
from tests.retrieval.test_retriever import VanishingStore

pytestmark = pytest.mark.anyio


def outcomes(receipt: dict[str, Any]) -> dict[str, int]:
    """The number of a receipt's candidates with each outcome, such as "included"."""
    recorded = [candidate["outcome"] for candidate in receipt["candidates"]]
    return {outcome: recorded.count(outcome) for outcome in recorded}


async def test_every_candidate_has_an_outcome() -> None:
    """Each candidate in a receipt has its tokens in the context, or the reason for being left
    out.
    """
    world = await shop()
    answer = await world.retrieve(QUERY, budget=300)
    receipt = await receipt_of(world, answer)
    included = {
        row["id"]: row["tokens"] for row in receipt["candidates"] if row["outcome"] == "included"
    }
    assert included == {item.id: item.tokens for item in answer.items}
    assert set(outcomes(receipt)) >= {"included", "over_total", "superseded", "expired"}
    assert isinstance(answer.context, str)
    assert receipt["context_sha256"] == hashlib.sha256(answer.context.encode()).hexdigest()
    listed = (
        sum(candidate["rank"] is not None for candidate in receipt["candidates"])
        + receipt["unlisted"]["count"]
    )
    assert listed == answer.metadata.candidates


async def test_a_receipt_records_candidates_below_the_threshold_and_duplicates() -> None:
    """A candidate whose similarity is below `min_similarity` has the outcome "below_threshold" in
    the receipt.

    A candidate that repeats a hit has the outcome "duplicate_of".
    """
    world = World(receipt_store=FakeReceipts())
    hit = await world.add("semantic", "the shop opens at nine", concept="hours")
    dissimilar = await world.add("semantic", "fish swim in the sea")
    repeated = await world.add(
        "semantic", "The shop  opens at nine", session_id="s2", visibility="session"
    )
    content_hash = (await world.store.get(SCOPE, [hit]))[hit].content_hash
    await world.store.patch(SCOPE, {repeated: {"content_hash": content_hash, "session_id": "s1"}})
    receipt = await receipt_of(
        world, await world.retrieve("when does the shop open, at nine", min_similarity=0.5)
    )
    recorded = {row["id"]: (row["outcome"], row.get("of")) for row in receipt["candidates"]}
    assert recorded[dissimilar] == ("below_threshold", None)
    assert {recorded[hit][0], recorded[repeated][0]} == {"included", "duplicate_of"}


async def test_a_memory_removed_before_its_text_was_read_is_recorded() -> None:
    store = VanishingStore()
    world = World(store=store, receipt_store=FakeReceipts())
    await world.add_all("semantic", ["the importer reads CSV", "the importer writes JSON"])
    store.leaky = True
    answer = await world.retrieve("importer")
    assert outcomes(await receipt_of(world, answer)) == {"removed": 2}
    assert (await world.receipts.verify(SCOPE.tenant, str(answer.receipt_id))).valid


async def test_duplicates_are_listed_with_the_hit_that_they_repeat() -> None:
    """A receipt lists the duplicates of a hit with the hit's id, up to OTHERS_LISTED.

    Further duplicates are only counted.
    """
    world = World(receipt_store=FakeReceipts())
    first = await world.add("semantic", "the shop opens at nine")
    content_hash = (await world.store.get(SCOPE, [first]))[first].content_hash
    copies = await world.add_all(
        "semantic", [f"copy {number} of it" for number in range(OTHERS_LISTED + 3)]
    )
    await world.store.patch(SCOPE, {copy: {"content_hash": content_hash} for copy in copies})
    receipt = await receipt_of(
        world, answer := await world.retrieve("when does the shop open, at nine")
    )
    (hit,) = (
        candidate["id"] for candidate in receipt["candidates"] if candidate["rank"] is not None
    )
    assert [candidate.get("of") for candidate in receipt["candidates"]].count(hit) == OTHERS_LISTED
    assert receipt["unlisted"]["outcomes"] == {"duplicate_of": 3}
    assert (await world.receipts.verify(SCOPE.tenant, str(answer.receipt_id))).valid


@pytest.mark.slow
async def test_a_receipt_lists_a_limited_number_of_candidates() -> None:
    """A receipt lists the best hits and those in the context. Other candidates are only counted, by
    outcome.
    """
    world = await shop(80)
    answer = await world.retrieve(QUERY, budget=50)
    receipt = await receipt_of(world, answer)
    listed = sum(candidate["rank"] is not None for candidate in receipt["candidates"])
    assert LISTED <= listed <= LISTED + len(answer.items)
    unlisted = receipt["unlisted"]
    assert unlisted["count"] == sum(unlisted["outcomes"].values()) == 4 * 80 + 2 - listed


async def test_receipts_are_chained() -> None:
    """Each receipt has the id and the hash of the tenant's previous receipt."""
    world = await shop(3)
    first = await receipt_of(world, await world.retrieve(QUERY))
    second = await receipt_of(world, await world.retrieve(QUERY))
    assert (first["previous_id"], first["previous_sha256"]) == (None, "0" * 64)
    assert (second["previous_id"], second["previous_sha256"]) == (first["id"], first["sha256"])


async def test_a_receipt_can_be_declined() -> None:
    """A request with `receipt: false` gets an answer without a receipt."""
    world = await shop(3)
    assert (await world.retrieve(QUERY, receipt=False)).receipt_id is None


async def test_an_answer_is_sent_when_its_receipt_cannot_be_recorded() -> None:
    """If the receipt store fails, the answer has no receipt and reports that it is degraded."""
    world = World(receipt_store=AwayReceipts())
    await world.add("semantic", "the shop opens at nine")
    answer = await world.retrieve("when does the shop open")
    assert answer.receipt_id is None
    assert answer.metadata.degraded == ["receipts"]
    assert len(answer.items) == 1


async def test_a_receipt_is_not_found_by_another_tenant() -> None:
    """For another tenant's receipt, a tenant gets the same error as for an unknown id."""
    world = await shop(3)
    answer = await world.retrieve(QUERY)
    assert answer.receipt_id is not None
    with pytest.raises(NotFound):
        await world.receipts.text("other", answer.receipt_id)


async def test_no_receipt_is_recorded_while_the_live_store_is_away() -> None:
    receipt_store = FakeReceipts()
    items = FakeItems()
    items.away = True
    world = World(receipt_store=receipt_store)
    world.retriever = Retriever(replace(world.retriever._parts, live=items))
    await world.add("semantic", "a fact")
    answer = await world.retrieve("a fact")
    assert answer.receipt_id is None
    assert answer.metadata.degraded == ["live", "receipts"]
    assert await receipt_store.remaining(SCOPE, None) == 0

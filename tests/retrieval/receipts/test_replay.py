"""A retrieval run again: the same bytes from an unchanged store, and what changed otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.memory import Memory
from memtypes.model.times import rfc3339
from memtypes.ports.memory_store import Listing
from retrieval.context.outcome import Outcome
from retrieval.receipts.model import Receipt, ReplayAnswer, TokenizerName
from retrieval.receipts.replay import Replayed, compared
from tests.retrieval.builders import NOW, SCOPE, World
from tests.retrieval.receipts.shop import QUERY, receipt_of, shop

pytestmark = pytest.mark.anyio


async def asked(world: World, **fields: Any) -> tuple[str, list[str]]:
    """The id of a receipt and the ids that its answer shows."""
    answer = await world.retrieve(QUERY, **({"budget": 300} | fields))
    assert answer.receipt_id is not None
    return answer.receipt_id, [item.id for item in answer.items]


async def replayed(world: World, receipt_id: str) -> ReplayAnswer:
    """What the replay says."""
    return await world.receipts.replay(SCOPE.tenant, receipt_id)


def receipt_with(told: Receipt, context: str, scores: Mapping[int, float]) -> Receipt:
    """`told` with another context and other candidates, by number, that were passed over."""
    one = told.candidates[0].model_copy(update={"outcome": Outcome.OVER_TOTAL})
    candidates = [one.model_copy(update={"id": str(number), "score": score}) for number, score in scores.items()]
    return told.model_copy(update={"candidates": candidates, "context_sha256": context})


@pytest.mark.parametrize("fields", [{}, {"format": "json"}, {"format": "messages"}, {"oversize": "cut", "budget": 90}])
async def test_an_unchanged_store_gives_the_same_bytes(fields: dict[str, Any]) -> None:
    """Nothing is shown as used, and no receipt is kept of a replay."""
    world = await shop()
    receipt_id, _ = await asked(world, **fields)
    shown = len(world.shown)
    assert await replayed(world, receipt_id) == ReplayAnswer(identical=True)
    assert len(world.shown) == shown


async def test_reading_changes_nothing() -> None:
    """Uses that were counted since do not change a replay."""
    world = await shop()
    receipt_id, shown = await asked(world, weights={"access": 1.0, "similarity": 0.1})
    await world.store.patch(SCOPE, {one: {"access_count": 50 + place} for place, one in enumerate(shown[::2])})
    assert await replayed(world, receipt_id) == ReplayAnswer(identical=True)


async def test_uses_from_before_are_replayed() -> None:
    """The counts that the receipt recorded are those that rank again."""
    world = await shop()
    _, shown = await asked(world)
    await world.store.patch(SCOPE, {one: {"access_count": place + 1} for place, one in enumerate(shown)})
    receipt_id, _ = await asked(world, weights={"access": 1.0, "similarity": 0.1})
    await world.store.patch(SCOPE, {one: {"access_count": 0} for one in shown})
    assert await replayed(world, receipt_id) == ReplayAnswer(identical=True)


async def test_a_removed_memory_is_told() -> None:
    """With its outcome before and the reason."""
    world = await shop()
    receipt_id, shown = await asked(world)
    await world.store.delete(SCOPE, [shown[-1]])
    replay = await replayed(world, receipt_id)
    assert not replay.identical
    change = next(one for one in replay.changes if one.id == shown[-1])
    assert (change.what, change.before, change.after) == ("outcome", "included", None)
    assert change.why == "the memory is not there any more"


async def test_a_changed_memory_is_told() -> None:
    """When it was changed stands in the reason."""
    world = await shop()
    receipt_id, shown = await asked(world)
    later = rfc3339(NOW + timedelta(days=1))
    await world.store.patch(SCOPE, {shown[-1]: {"importance": 10, "updated_at": later}})
    replay = await replayed(world, receipt_id)
    change = next(one for one in replay.behind or replay.changes if one.id == shown[-1])
    assert change.what == "score"
    assert later in change.why


async def test_what_moved_behind_the_same_context_is_no_change_of_it() -> None:
    """The context is identical and nothing in it changed; a score that moved is told beside that."""
    world = await shop()
    answer = await world.retrieve(QUERY, budget=300)
    assert answer.receipt_id is not None
    told = await receipt_of(world, answer)
    passed = next(one["id"] for one in told["candidates"] if one["outcome"] == "over_total")
    await world.store.patch(SCOPE, {passed: {"importance": 1}})
    replay = await replayed(world, answer.receipt_id)
    assert (replay.identical, replay.changes) == (True, [])
    assert [(one.id, one.what) for one in replay.behind or ()] == [(passed, "score")]


async def test_access_counts_of_unlisted_candidates_are_replayed() -> None:
    """A receipt records the access counts of candidates that it only counts, too."""
    world = await shop(60)
    page = await world.store.page(SCOPE, Listing(limit=500))
    await world.store.patch(SCOPE, {memory.id: {"access_count": 3} for memory in page.memories[::2]})
    receipt_id, _ = await asked(world, weights={"access": 0.1, "similarity": 1.0})
    receipt = json.loads(await world.receipts.text(SCOPE.tenant, receipt_id))
    assert receipt["unlisted"]["access_counts"]["counts"]
    await world.store.patch(SCOPE, {memory.id: {"access_count": 50} for memory in page.memories})
    assert await replayed(world, receipt_id) == ReplayAnswer(identical=True)


@pytest.fixture(scope="module")
def told() -> tuple[Receipt, Memory]:
    """Any receipt, and any memory."""

    async def make() -> tuple[Receipt, Memory]:
        world = await shop(3)
        receipt = await receipt_of(world, answer := await world.retrieve(QUERY))
        (memory,) = (await world.store.get(SCOPE, [answer.items[0].id])).values()
        return Receipt.model_validate(receipt), memory

    with start_blocking_portal() as portal:
        return portal.call(make)


SOME = st.sets(st.integers(0, 9))


@given(moved=SOME, unlisted=SOME, removed=SOME, same=st.booleans())
def test_identical_means_that_nothing_changed(
    told: tuple[Receipt, Memory], moved: set[int], unlisted: set[int], removed: set[int], *, same: bool
) -> None:
    """Whatever became of the candidates: changes are told exactly where the context is another one.

    What moved and what was removed is told; what is merely not listed any more is not.
    """
    receipt, memory = told
    scores = {number: 0.4 if number in moved else 0.5 for number in range(10) if number not in unlisted | removed}
    before = receipt_with(receipt, "a" * 64, dict.fromkeys(range(10), 0.5))
    after = receipt_with(receipt, ("a" if same else "b") * 64, scores)
    answer = compared(Replayed(before, after, {str(number): memory for number in range(10) if number not in removed}))
    assert answer.identical is same
    assert bool(answer.changes) is not same
    found = {one.id for one in (*answer.changes, *(answer.behind or ()))}
    assert found == ({str(one) for one in (moved - unlisted) | removed} or (set() if same else {""}))


@pytest.mark.parametrize(
    ("since", "why"),
    [
        ({"embedder": "another"}, "another embedder makes the vectors now"),
        ({"tokenizer": TokenizerName(name="another", sha256="")}, "another tokenizer counts now"),
        ({"degraded": ["live"]}, "now it goes without live"),
        ({"weights": {"similarity": 1.0}}, "the profile weighs otherwise now"),
        ({}, "other memories came, went or changed"),
    ],
)
def test_what_is_around_an_unchanged_memory_is_the_reason(
    told: tuple[Receipt, Memory], since: dict[str, Any], why: str
) -> None:
    """Of whatever it fares otherwise in: its outcome, tokens and text here."""
    receipt, memory = told
    shown = next(one for one in receipt.candidates if one.outcome is Outcome.INCLUDED)
    other = {"tokens": shown.tokens + 1, "entry_sha256": "b" * 64}
    passed = {"id": "passed", "outcome": Outcome.OVER_TOTAL}
    before = [shown, shown.model_copy(update=passed | {"outcome": Outcome.INCLUDED})]
    after = [shown.model_copy(update=other), shown.model_copy(update=passed)]
    now = receipt.model_copy(update=since | {"candidates": after, "context_sha256": "b" * 64})
    memories = {one.id: memory for one in after}
    answer = compared(Replayed(receipt.model_copy(update={"candidates": before}), now, memories))
    assert [(one.id, one.what) for one in answer.changes] == [
        (shown.id, "tokens"),
        (shown.id, "text"),
        ("passed", "outcome"),
    ]
    assert all(one.why.startswith(why) for one in answer.changes)


def test_what_it_went_without_then_is_the_reason(told: tuple[Receipt, Memory]) -> None:
    """Where the answer is whole now; so it is of a context alone."""
    before = told[0].model_copy(update={"degraded": ["embedder"], "context_sha256": "b" * 64})
    (change,) = compared(Replayed(before, told[0], {})).changes
    assert (change.what, change.why) == ("context", "then it went without embedder")


async def test_a_memory_that_was_dated_back_is_told() -> None:
    """It was not there then, and is shown now."""
    world = await shop(4)
    receipt_id, _ = await asked(world, budget=8000)
    added = await world.add("semantic", QUERY, created_at=rfc3339(NOW - timedelta(days=1)))
    replay = await replayed(world, receipt_id)
    assert not replay.identical
    change = next(one for one in replay.changes if one.id == added)
    assert (change.before, change.after) == (None, "included")

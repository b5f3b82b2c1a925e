"""Replaying the retrieval that a receipt describes: on an unchanged store, the context is
identical.

Otherwise the answer lists changes with reasons.
"""

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
from retrieval.ranking.ranked import CandidateOutcome
from retrieval.receipts.model import Receipt, ReplayAnswer, TokenizerName
from retrieval.receipts.service import compare
from tests.retrieval.builders import NOW, SCOPE, World
from tests.retrieval.receipts.shop import QUERY, receipt_of, shop

pytestmark = pytest.mark.anyio


async def retrieved(world: World, **fields: Any) -> tuple[str, list[str]]:
    """Retrieve a context. Returns the id of its receipt and the ids of the memories in it."""
    answer = await world.retrieve(QUERY, **({"budget": 300} | fields))
    assert answer.receipt_id is not None
    return answer.receipt_id, [item.id for item in answer.items]


async def replayed(world: World, receipt_id: str) -> ReplayAnswer:
    """Replay the receipt `receipt_id` and return the answer."""
    return await world.receipts.replay(SCOPE.tenant, receipt_id)


def receipt_with(receipt: Receipt, context: str, scores: Mapping[int, float]) -> Receipt:
    """A copy of `receipt` with the context hash `context` and one candidate for each item of
    `scores`, by number.

    No candidate is in the context.
    """
    candidate = receipt.candidates[0].model_copy(update={"outcome": CandidateOutcome.OVER_TOTAL})
    candidates = [
        candidate.model_copy(update={"id": str(number), "score": score})
        for number, score in scores.items()
    ]
    return receipt.model_copy(update={"candidates": candidates, "context_sha256": context})


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields", [{}, {"format": "json"}, {"format": "messages"}, {"oversize": "cut", "budget": 90}]
)
async def test_a_replay_of_an_unchanged_store_is_identical(fields: dict[str, Any]) -> None:
    """The replay has the same context, counts no uses and records no receipt."""
    world = await shop()
    receipt_id, _ = await retrieved(world, **fields)
    shown = len(world.shown)
    assert await replayed(world, receipt_id) == ReplayAnswer(identical=True)
    assert len(world.shown) == shown


async def test_later_uses_do_not_change_a_replay() -> None:
    """A replay ranks with the access counts of the receipt, so that later uses of memories make no
    difference.
    """
    world = await shop()
    receipt_id, shown = await retrieved(world, weights={"access": 1.0, "similarity": 0.1})
    await world.store.patch(
        SCOPE,
        {memory_id: {"access_count": 50 + number} for number, memory_id in enumerate(shown[::2])},
    )
    assert await replayed(world, receipt_id) == ReplayAnswer(identical=True)


async def test_a_replay_uses_the_recorded_access_counts() -> None:
    world = await shop()
    _, shown = await retrieved(world)
    await world.store.patch(
        SCOPE, {memory_id: {"access_count": number + 1} for number, memory_id in enumerate(shown)}
    )
    receipt_id, _ = await retrieved(world, weights={"access": 1.0, "similarity": 0.1})
    await world.store.patch(SCOPE, {memory_id: {"access_count": 0} for memory_id in shown})
    assert await replayed(world, receipt_id) == ReplayAnswer(identical=True)


async def test_a_replay_lists_a_removed_memory_as_a_change() -> None:
    """If a memory of the context was removed later, a replay lists its outcome as changed from
    "included" to None.

    The reason is "the memory was removed".
    """
    world = await shop()
    receipt_id, shown = await retrieved(world)
    await world.store.delete(SCOPE, [shown[-1]])
    replay = await replayed(world, receipt_id)
    assert not replay.identical
    change = next(row for row in replay.changes if row.id == shown[-1])
    assert (change.what, change.before, change.after) == ("outcome", "included", None)
    assert change.why == "the memory was removed"


async def test_a_replay_lists_an_edited_memory_as_a_change() -> None:
    """The reason for the changed score of an edited memory contains the time of the edit."""
    world = await shop()
    receipt_id, shown = await retrieved(world)
    later = rfc3339(NOW + timedelta(days=1))
    await world.store.patch(SCOPE, {shown[-1]: {"importance": 10, "updated_at": later}})
    replay = await replayed(world, receipt_id)
    change = next(row for row in replay.behind or replay.changes if row.id == shown[-1])
    assert change.what == "score"
    assert later in change.why


async def test_changes_without_effect_on_the_context_are_listed_separately() -> None:
    world = await shop()
    answer = await world.retrieve(QUERY, budget=300)
    assert answer.receipt_id is not None
    recorded = await receipt_of(world, answer)
    left_out = next(row["id"] for row in recorded["candidates"] if row["outcome"] == "over_total")
    await world.store.patch(SCOPE, {left_out: {"importance": 1}})
    replay = await replayed(world, answer.receipt_id)
    assert (replay.identical, replay.changes) == (True, [])
    assert [(row.id, row.what) for row in replay.behind or ()] == [(left_out, "score")]


async def test_access_counts_of_unlisted_candidates_are_replayed() -> None:
    world = await shop(60)
    page = await world.store.page(SCOPE, Listing(limit=500))
    await world.store.patch(
        SCOPE, {memory.id: {"access_count": 3} for memory in page.memories[::2]}
    )
    receipt_id, _ = await retrieved(world, weights={"access": 0.1, "similarity": 1.0})
    receipt = json.loads(await world.receipts.text(SCOPE.tenant, receipt_id))
    assert receipt["unlisted"]["access_counts"]["counts"]
    await world.store.patch(SCOPE, {memory.id: {"access_count": 50} for memory in page.memories})
    assert await replayed(world, receipt_id) == ReplayAnswer(identical=True)


@pytest.fixture(scope="module")
def recorded() -> tuple[Receipt, Memory]:
    """A receipt of a retrieval, and a memory that the retrieved context contains."""

    async def make() -> tuple[Receipt, Memory]:
        world = await shop(3)
        receipt = await receipt_of(world, answer := await world.retrieve(QUERY))
        (memory,) = (await world.store.get(SCOPE, [answer.items[0].id])).values()
        return Receipt.model_validate(receipt), memory

    with start_blocking_portal() as portal:
        return portal.call(make)


SOME = st.sets(st.integers(0, 9))


@given(moved=SOME, unlisted=SOME, removed=SOME, same=st.booleans())
def test_differences_are_changes_only_if_the_context_differs(
    recorded: tuple[Receipt, Memory],
    moved: set[int],
    unlisted: set[int],
    removed: set[int],
    *,
    same: bool,
) -> None:
    """Removed candidates and changed scores are listed in `changes` if the context differs, and
    otherwise in `behind`.

    A candidate that only the original receipt lists is no difference if its memory still exists.
    """
    receipt, memory = recorded
    scores = {
        number: 0.4 if number in moved else 0.5
        for number in range(10)
        if number not in unlisted | removed
    }
    before = receipt_with(receipt, "a" * 64, dict.fromkeys(range(10), 0.5))
    after = receipt_with(receipt, ("a" if same else "b") * 64, scores)
    answer = compare(
        before, after, {str(number): memory for number in range(10) if number not in removed}
    )
    assert answer.identical is same
    assert bool(answer.changes) is not same
    listed = {change.id for change in (*answer.changes, *(answer.behind or ()))}
    assert listed == (
        {str(number) for number in (moved - unlisted) | removed} or (set() if same else {""})
    )


@pytest.mark.parametrize(
    ("since", "why"),
    [
        ({"embedder": "another"}, "the service has another embedder now"),
        (
            {"tokenizer": TokenizerName(name="another", sha256="")},
            "the service has another tokenizer now",
        ),
        ({"degraded": ["live"]}, "the replay is degraded: live"),
        ({"weights": {"similarity": 1.0}}, "the profile has other weights now"),
        ({}, "other memories were added, removed or changed"),
    ],
)
def test_an_unchanged_memory_differs_because_of_its_environment(
    recorded: tuple[Receipt, Memory], since: dict[str, Any], why: str
) -> None:
    """If an unchanged memory is left out, counted or rendered differently, the reason names what
    else has changed.
    """
    receipt, memory = recorded
    shown = next(row for row in receipt.candidates if row.outcome is CandidateOutcome.INCLUDED)
    recount = {"tokens": shown.tokens + 1, "entry_sha256": "b" * 64}
    second = {"id": "passed", "outcome": CandidateOutcome.OVER_TOTAL}
    before = [shown, shown.model_copy(update=second | {"outcome": CandidateOutcome.INCLUDED})]
    after = [shown.model_copy(update=recount), shown.model_copy(update=second)]
    replayed = receipt.model_copy(update=since | {"candidates": after, "context_sha256": "b" * 64})
    memories = {row.id: memory for row in after}
    answer = compare(receipt.model_copy(update={"candidates": before}), replayed, memories)
    assert [(row.id, row.what) for row in answer.changes] == [
        (shown.id, "tokens"),
        (shown.id, "text"),
        ("passed", "outcome"),
    ]
    assert all(row.why.startswith(why) for row in answer.changes)


def test_an_earlier_degraded_retrieval_is_a_reason(recorded: tuple[Receipt, Memory]) -> None:
    """If only the context differs, and the original retrieval was degraded, the replay gives this
    as the reason.
    """
    before = recorded[0].model_copy(update={"degraded": ["embedder"], "context_sha256": "b" * 64})
    (change,) = compare(before, recorded[0], {}).changes
    assert (change.what, change.why) == ("context", "the first retrieval was degraded: embedder")


async def test_a_replay_lists_a_backdated_memory_as_a_change() -> None:
    """A memory that was added after the retrieval, with an earlier creation time, is listed as a
    change.
    """
    world = await shop(4)
    receipt_id, _ = await retrieved(world, budget=8000)
    added = await world.add("semantic", QUERY, created_at=rfc3339(NOW - timedelta(days=1)))
    replay = await replayed(world, receipt_id)
    assert not replay.identical
    change = next(row for row in replay.changes if row.id == added)
    assert (change.before, change.after) == (None, "included")

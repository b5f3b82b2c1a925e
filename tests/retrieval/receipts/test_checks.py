"""Verification of receipts: an unchanged receipt is valid, and every change of its bytes is
detected.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtypes.model.errors import InvalidRequest
from memtypes.model.times import rfc3339
from memtypes.ports.receipts import receipt_hash
from retrieval.receipts.checks import (
    ReceiptContents,
    counter_for,
    read_receipt,
    verify,
    verify_file,
)
from tests.fakes import FakeTokenizer
from tests.retrieval.builders import SCOPE, World, clock
from tests.retrieval.receipts.shop import QUERY, receipt_of, shop

pytestmark = pytest.mark.anyio
COUNT = counter_for("markdown", FakeTokenizer())


async def saved_receipt(world: World, **fields: Any) -> bytes:
    """Retrieve a context and return its receipt with the contents (entries and context), as clients
    save it.

    fields: fields of the request.
    """
    answer = await world.retrieve(QUERY, **fields)
    assert answer.receipt_id is not None
    text = await world.receipts.text(SCOPE.tenant, answer.receipt_id)
    return await world.receipts.with_contents(SCOPE.tenant, text)


def faults(raw: bytes) -> list[str]:
    """Names of the checks that fail when the receipt file `raw` is verified."""
    return [check.name for check in verify_file(raw, lambda _: COUNT).checks if not check.ok]


@pytest.fixture(scope="module")
def saved() -> bytes:
    """A receipt with its contents, as a client saves it in a file, for a retrieval from a small
    store.
    """

    async def make() -> bytes:
        return await saved_receipt(
            await shop(4), budget=200, filters={"importance": {"gte": 1.5e-5}}
        )

    with start_blocking_portal() as portal:
        return portal.call(make)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"budget": 300},
        {"budget": 0},
        {"budget": 40},
        {"budget": {"total": 400, "per_type": {"semantic": 50, "episodic": 0}}},
        {"budget": 300, "types": ["semantic"]},
        {"budget": 60, "oversize": "cut", "types": ["episodic", "procedural"]},
        {"budget": 900, "oversize": "excerpt"},
        {"budget": 700, "oversize": "excerpt", "format": "json"},
        {"format": "json", "budget": 500},
        {"format": "messages", "budget": 500},
        {"min_similarity": 0.5},
        {"weights": {"recency": 1.0, "similarity": 0.5}},
        {
            "weights": dict.fromkeys(
                ("recency", "importance", "similarity", "context", "access"), 1_000.0
            )
        },
        {"include_working": False},
        {"working_budget": 12},
        {"filters": {"importance": {"gte": 5}}},
    ],
)
async def test_an_unchanged_receipt_is_valid(fields: dict[str, Any]) -> None:
    """All checks of an unchanged receipt succeed, for every kind of request, and for receipts saved
    in a file.
    """
    world = await shop()
    answer = await world.retrieve(QUERY, **fields)
    assert answer.receipt_id is not None
    verdict = await world.receipts.verify(SCOPE.tenant, answer.receipt_id)
    assert verdict.valid, verdict
    assert {check.name for check in verdict.checks} >= {
        "sha256",
        "chain",
        "scores",
        "order",
        "outcomes",
        "tokens",
        "context",
    }
    assert faults(await saved_receipt(world, **fields)) == []


async def test_working_memory_is_verified_in_the_order_of_the_context() -> None:
    """A receipt is valid although its context shows working items in the order of their priority,
    not of their rank.
    """
    world = await shop(3)
    for priority in (1, 5, 3):
        await world.add("working", f"importer note of priority {priority}", priority=priority)
    answer = await world.retrieve(QUERY)
    verdict = await world.receipts.verify(SCOPE.tenant, str(answer.receipt_id))
    assert {check.name: (check.ok, check.detail) for check in verdict.checks}["context"] == (
        True,
        None,
    )


async def test_due_tasks_are_verified_in_the_order_of_the_context() -> None:
    """A receipt is valid if more tasks are due than are offered first: the others are shown by
    rank, as any task.
    """
    world = await shop(3)
    for number in range(20):
        await world.add(
            "prospective",
            f"task {number}",
            due_at=rfc3339(clock() - timedelta(hours=number)),
            importance=1,
        )
    answer = await world.retrieve(
        QUERY, budget=600, weights={"importance": 1.0}, include_due=True, floor=0.0
    )
    due = [
        candidate
        for candidate in (await receipt_of(world, answer))["candidates"]
        if candidate.get("due")
    ]
    assert [candidate["outcome"] for candidate in due] == ["included"] * 20
    verdict = await world.receipts.verify(SCOPE.tenant, str(answer.receipt_id))
    assert {check.name: (check.ok, check.detail) for check in verdict.checks}["context"] == (
        True,
        None,
    )


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(position=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_any_changed_byte_is_detected(saved: bytes, position: int, flip: int) -> None:
    """If any byte of a saved receipt, its context or its entries is changed, a check fails."""
    raw = bytearray(saved)
    raw[position % len(raw)] ^= flip
    try:
        assert faults(bytes(raw)), bytes(raw[position % len(raw) - 40 : position % len(raw) + 40])
    except InvalidRequest:
        return


@pytest.mark.parametrize("options", [{}, {"indent": 1}, {"ensure_ascii": False, "sort_keys": True}])
def test_a_reformatted_file_is_valid(saved: bytes, options: dict[str, Any]) -> None:
    """A receipt saved in a file stays valid if its whitespace, order of keys, escapes or number
    notation change.
    """
    reversed_members = dict(reversed(json.loads(saved).items()))
    assert faults(json.dumps(reversed_members, **options).encode()) == []


def resealed(raw: bytes, change: Any) -> dict[str, Any]:
    """A receipt after `change`, with its hash computed again, as a forger would."""
    receipt, _ = read_receipt(raw)
    change(receipt)
    return receipt | {"sha256": receipt_hash(receipt)}


def _raise_score(receipt: dict[str, Any]) -> None:
    receipt["candidates"][-3]["score"] += 0.5


def _swap_outcome(receipt: dict[str, Any]) -> None:
    shown = next(
        candidate for candidate in receipt["candidates"] if candidate["outcome"] == "included"
    )
    shown["outcome"] = "over_total"


def _changed_shares(receipt: dict[str, Any]) -> None:
    receipt["budgets"]["initial"]["semantic"] += 1


def _changed_final(receipt: dict[str, Any]) -> None:
    receipt["budgets"]["final"]["semantic"] += 1


def _changed_budget(receipt: dict[str, Any]) -> None:
    receipt["long_term"]["total"] += 1


def _changed_tokens(receipt: dict[str, Any]) -> None:
    shown = next(
        candidate for candidate in receipt["candidates"] if candidate["outcome"] == "included"
    )
    shown["tokens"] -= 1


def _expired(receipt: dict[str, Any]) -> Any:
    """The first expired candidate of `receipt`."""
    return next(
        candidate for candidate in receipt["candidates"] if candidate["outcome"] == "expired"
    )


def _future_expiry(receipt: dict[str, Any]) -> None:
    _expired(receipt)["since"] = "2099-01-01T00:00:00Z"


def _threshold_not_requested(receipt: dict[str, Any]) -> None:
    _expired(receipt)["outcome"] = "below_threshold"


def _duplicate_of_nothing(receipt: dict[str, Any]) -> None:
    _expired(receipt)["outcome"] = "duplicate_of"


def _never_recorded(receipt: dict[str, Any]) -> None:
    _expired(receipt)["outcome"] = "not_due"


def _ranks_swapped(receipt: dict[str, Any]) -> None:
    first, second = receipt["candidates"][:2]
    first["rank"], second["rank"] = second["rank"], first["rank"]


def _missing_previous_id(receipt: dict[str, Any]) -> None:
    receipt["previous_sha256"] = "1" * 64


def _unknown_heading(receipt: dict[str, Any]) -> None:
    receipt["long_term"]["headings"].pop("semantic")


def _included(receipt: dict[str, Any]) -> Any:
    """The first candidate of `receipt` that is in the context."""
    return next(
        candidate for candidate in receipt["candidates"] if candidate["outcome"] == "included"
    )


def _raised_signal(receipt: dict[str, Any]) -> None:
    _included(receipt)["signals"]["similarity"] -= 0.1


def _changed_weight(receipt: dict[str, Any]) -> None:
    receipt["weights"]["similarity"] += 0.1


def _signal_above_one(receipt: dict[str, Any]) -> None:
    candidate = _included(receipt)
    candidate["signals"]["recency"] += 1.0
    candidate["score"] += receipt["weights"]["recency"]


def _candidate_removed(receipt: dict[str, Any]) -> None:
    receipt["candidates"].remove(_included(receipt))


def _candidate_twice(receipt: dict[str, Any]) -> None:
    receipt["candidates"].append(receipt["candidates"][-1])


def _changed_used(receipt: dict[str, Any]) -> None:
    receipt["long_term"]["used"]["semantic"] += 1


def _changed_shifted(receipt: dict[str, Any]) -> None:
    receipt["budgets"]["shifted"]["semantic"] += 1


def _changed_request(receipt: dict[str, Any]) -> None:
    receipt["request"]["budget"] = 199


def _changed_working_budget(receipt: dict[str, Any]) -> None:
    receipt["working"]["total"] += 1


def _another_clock(receipt: dict[str, Any]) -> None:
    receipt["request"]["as_of"] = "2020-01-01T00:00:00Z"


def _rank_removed(receipt: dict[str, Any]) -> None:
    _included(receipt)["rank"] = None


def _another_type(receipt: dict[str, Any]) -> None:
    candidate = _included(receipt)
    candidate["type"] = "semantic" if candidate["type"] != "semantic" else "episodic"


def _changed_wrapper(receipt: dict[str, Any]) -> None:
    receipt["long_term"]["wrapper"] += 30


def _unrequested_cap(receipt: dict[str, Any]) -> None:
    receipt["long_term"]["caps"] = {"semantic": 10}


def _hit_below_the_floor(receipt: dict[str, Any]) -> None:
    receipt["request"]["floor"] = 1.0
    _included(receipt)["certainty"] = 0.2


def _first_of_its_chain(receipt: dict[str, Any]) -> None:
    receipt["previous_id"] = "00000000-0000-4000-8000-000000000000"


def _unknown_member(receipt: dict[str, Any]) -> None:
    receipt["note"] = "nothing was changed"


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        (_raise_score, "scores"),
        (_swap_outcome, "outcomes"),
        (_changed_shares, "shares"),
        (_changed_final, "hand-on"),
        (_changed_budget, "request"),
        (_changed_tokens, "tokens"),
        (_future_expiry, "left out"),
        (_threshold_not_requested, "left out"),
        (_duplicate_of_nothing, "left out"),
        (_never_recorded, "left out"),
        (_ranks_swapped, "order"),
        (_missing_previous_id, "chain"),
        (_unknown_heading, "fill"),
        (_raised_signal, "scores"),
        (_changed_weight, "scores"),
        (_signal_above_one, "scores"),
        (_candidate_removed, "hand-on"),
        (_candidate_twice, "order"),
        (_changed_used, "hand-on"),
        (_changed_shifted, "shares"),
        (_changed_request, "request"),
        (_changed_working_budget, "request"),
        (_another_clock, "request"),
        (_rank_removed, "left out"),
        (_another_type, "hand-on"),
        (_changed_wrapper, "hand-on"),
        (_unrequested_cap, "request"),
        (_hit_below_the_floor, "left out"),
        (_first_of_its_chain, "chain"),
        (_unknown_member, "form"),
    ],
)
def test_a_forged_receipt_fails_a_check(saved: bytes, change: Any, failed: str) -> None:
    """A receipt that was changed and hashed again fails a check, because its members contradict
    each other.
    """
    _, contents = read_receipt(saved)
    verdict = verify(resealed(saved, change), contents, COUNT)
    assert not verdict.valid
    assert failed in {check.name for check in verdict.checks if not check.ok}


async def test_a_receipt_stays_valid_when_its_memories_change() -> None:
    """A receipt stays valid after memories of its context were changed or removed.

    The check of tokens says how many of them it could not count again.
    """
    world = await shop()
    answer = await world.retrieve(QUERY, budget=300)
    assert answer.receipt_id is not None
    await world.store.delete(SCOPE, [answer.items[0].id])
    await world.store.patch(SCOPE, {answer.items[-1].id: {"content": "something else by now"}})
    verdict = await world.receipts.verify(SCOPE.tenant, answer.receipt_id)
    assert verdict.valid
    detail = {check.name: check.detail for check in verdict.checks}
    assert "2 changed or removed since" in str(detail["tokens"])
    assert detail["context"] == "not available"


async def test_a_receipt_stays_valid_when_an_omitted_candidate_changes() -> None:
    """A receipt stays valid after a candidate that did not fit the context was changed. The check
    of tokens says so.
    """
    world = await shop()
    answer = await world.retrieve(QUERY, budget=100)
    (row, *_) = (
        row
        for row in (await receipt_of(world, answer))["candidates"]
        if row["outcome"] == "over_total"
    )
    now = rfc3339(clock() + timedelta(seconds=1))
    await world.store.patch(
        SCOPE, {row["id"]: {"content": "something else by now", "updated_at": now}}
    )
    verdict = await world.receipts.verify(SCOPE.tenant, str(answer.receipt_id))
    assert [check.name for check in verdict.checks if not check.ok] == []
    assert "1 changed or removed since" in str(
        {check.name: check.detail for check in verdict.checks}["tokens"]
    )


async def test_another_previous_receipt_fails_the_chain_check() -> None:
    world = await shop(3)
    await world.retrieve(QUERY)
    previous = await receipt_of(world, await world.retrieve("something else"))
    receipt = await receipt_of(world, await world.retrieve(QUERY))
    assert verify(receipt, ReceiptContents(previous=previous), COUNT).valid
    forged = previous | {"embedder": "another"}
    verdict = verify(receipt, ReceiptContents(previous=forged), COUNT)
    assert [check.name for check in verdict.checks if not check.ok] == ["chain"]


def test_a_receipt_is_verified_without_contents_and_tokenizer(saved: bytes) -> None:
    """A receipt alone, without the memories' contents and the tokenizer, is valid.

    The check of tokens says that nothing was counted.
    """
    receipt, _ = read_receipt(saved)
    verdict = verify(receipt, ReceiptContents(), None)
    assert verdict.valid
    assert {check.name: check.detail for check in verdict.checks}["tokens"] == (
        "the tokenizer is not available: nothing recounted"
    )

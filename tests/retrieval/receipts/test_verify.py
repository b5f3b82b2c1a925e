"""A receipt holds when nothing was changed, and whatever was changed is found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtypes.model.errors import InvalidRequest
from memtypes.ports.receipts import canonical, receipt_hash
from retrieval.receipts.checks import Contents, verify
from retrieval.receipts.contents import counter_for
from retrieval.receipts.file import read_receipt, verify_file
from tests.fakes import FakeTokenizer
from tests.retrieval.builders import SCOPE, World
from tests.retrieval.receipts.shop import QUERY, receipt_of, shop

pytestmark = pytest.mark.anyio
COUNT = counter_for("markdown", FakeTokenizer())


async def saved_receipt(world: World, **asked: Any) -> bytes:
    """A receipt with its contents, as a file would have it."""
    answer = await world.retrieve(QUERY, **asked)
    assert answer.receipt_id is not None
    text = await world.receipts.text(SCOPE.tenant, answer.receipt_id)
    return await world.receipts.with_contents(SCOPE.tenant, text)


def faults(raw: bytes) -> list[str]:
    """The names of the checks that did not hold."""
    return [one.name for one in verify_file(raw, lambda _: COUNT).checks if not one.ok]


@pytest.fixture(scope="module")
def saved() -> bytes:
    """One saved receipt of a small shop."""

    async def make() -> bytes:
        return await saved_receipt(await shop(4), budget=200, filters={"importance": {"gte": 1.5e-5}})

    with start_blocking_portal() as portal:
        return portal.call(make)


@pytest.mark.parametrize(
    "asked",
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
        {"include_working": False},
        {"working_budget": 12},
        {"filters": {"importance": {"gte": 5}}},
    ],
)
async def test_an_unchanged_receipt_holds(asked: dict[str, Any]) -> None:
    """However the question was asked; and it says how much was recounted."""
    world = await shop()
    answer = await world.retrieve(QUERY, **asked)
    assert answer.receipt_id is not None
    verdict = await world.receipts.verify(SCOPE.tenant, answer.receipt_id)
    assert verdict.valid, verdict
    assert {one.name for one in verdict.checks} >= {
        "sha256",
        "chain",
        "scores",
        "order",
        "outcomes",
        "tokens",
        "context",
    }
    assert faults(await saved_receipt(world, **asked)) == []


async def test_working_memory_is_verified_in_the_order_of_the_context() -> None:
    """Working items are shown by priority, whatever their rank."""
    world = await shop(3)
    for priority in (1, 5, 3):
        await world.add("working", f"importer note of priority {priority}", priority=priority)
    answer = await world.retrieve(QUERY)
    verdict = await world.receipts.verify(SCOPE.tenant, str(answer.receipt_id))
    assert {check.name: (check.ok, check.detail) for check in verdict.checks}["context"] == (True, None)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_any_changed_byte_is_found(saved: bytes, place: int, flip: int) -> None:
    """One byte of the receipt, of the context or of an entry that it shows."""
    raw = bytearray(saved)
    raw[place % len(raw)] ^= flip
    try:
        assert faults(bytes(raw)), bytes(raw[place % len(raw) - 40 : place % len(raw) + 40])
    except InvalidRequest:
        return


@pytest.mark.parametrize("form", [{}, {"indent": 1}, {"ensure_ascii": False, "sort_keys": True}])
def test_a_file_that_another_program_wrote_again_holds(saved: bytes, form: dict[str, Any]) -> None:
    """Blanks, the order of keys, escapes and how a number is spelt are no content."""
    turned = dict(reversed(json.loads(saved).items()))
    assert faults(json.dumps(turned, **form).encode()) == []


def resealed(raw: bytes, change: Any) -> dict[str, Any]:
    """A receipt after `change`, with a hash that fits again: what only a forger who knows the seal could do."""
    receipt, _ = read_receipt(raw)
    change(receipt)
    return receipt | {"sha256": receipt_hash(receipt)}


def _raise_score(receipt: dict[str, Any]) -> None:
    receipt["candidates"][-3]["score"] += 0.5


def _swap_outcome(receipt: dict[str, Any]) -> None:
    shown = next(one for one in receipt["candidates"] if one["outcome"] == "included")
    shown["outcome"] = "over_total"


def _other_shares(receipt: dict[str, Any]) -> None:
    receipt["budgets"]["initial"]["semantic"] += 1


def _other_final(receipt: dict[str, Any]) -> None:
    receipt["budgets"]["final"]["semantic"] += 1


def _other_budget(receipt: dict[str, Any]) -> None:
    receipt["long_term"]["total"] += 1


def _other_tokens(receipt: dict[str, Any]) -> None:
    shown = next(one for one in receipt["candidates"] if one["outcome"] == "included")
    shown["tokens"] -= 1


def _still_current(receipt: dict[str, Any]) -> None:
    passed = next(one for one in receipt["candidates"] if one["outcome"] == "expired")
    passed["since"] = "2099-01-01T00:00:00Z"


def _no_threshold(receipt: dict[str, Any]) -> None:
    passed = next(one for one in receipt["candidates"] if one["outcome"] == "expired")
    passed["outcome"] = "below_threshold"


def _no_better(receipt: dict[str, Any]) -> None:
    passed = next(one for one in receipt["candidates"] if one["outcome"] == "expired")
    passed["outcome"] = "duplicate_of"


def _ranks_swapped(receipt: dict[str, Any]) -> None:
    one, other = receipt["candidates"][:2]
    one["rank"], other["rank"] = other["rank"], one["rank"]


def _false_start(receipt: dict[str, Any]) -> None:
    receipt["previous_sha256"] = "1" * 64


def _unknown_heading(receipt: dict[str, Any]) -> None:
    receipt["long_term"]["headings"].pop("semantic")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_raise_score, "scores"),
        (_swap_outcome, "outcomes"),
        (_other_shares, "shares"),
        (_other_final, "hand-on"),
        (_other_budget, "request"),
        (_other_tokens, "tokens"),
        (_still_current, "left out"),
        (_no_threshold, "left out"),
        (_no_better, "left out"),
        (_ranks_swapped, "order"),
        (_false_start, "chain"),
        (_unknown_heading, "fill"),
    ],
)
def test_a_forged_receipt_does_not_add_up(saved: bytes, change: Any, found: str) -> None:
    """Even with a hash that fits, what it tells does not follow from what it recorded."""
    _, contents = read_receipt(saved)
    verdict = verify(resealed(saved, change), contents, COUNT)
    assert not verdict.valid
    assert found in {one.name for one in verdict.checks if not one.ok}


async def test_a_memory_that_changed_since_is_told_and_not_held_against_the_receipt() -> None:
    """Changed and removed ones are not recounted."""
    world = await shop()
    answer = await world.retrieve(QUERY, budget=300)
    assert answer.receipt_id is not None
    await world.store.delete(SCOPE, [answer.items[0].id])
    await world.store.patch(SCOPE, {answer.items[-1].id: {"content": "something else by now"}})
    verdict = await world.receipts.verify(SCOPE.tenant, answer.receipt_id)
    assert verdict.valid
    detail = {one.name: one.detail for one in verdict.checks}
    assert "2 changed or removed since" in str(detail["tokens"])
    assert detail["context"] == "not at hand"


async def test_another_receipt_before_it_is_found() -> None:
    """The chain is checked against the receipt that it names."""
    world = await shop(3)
    await world.retrieve(QUERY)
    other = await receipt_of(world, await world.retrieve("something else"))
    receipt = await receipt_of(world, await world.retrieve(QUERY))
    assert verify(receipt, Contents(previous=other), COUNT).valid
    forged = other | {"embedder": "another"}
    assert [one.name for one in verify(receipt, Contents(previous=forged), COUNT).checks if not one.ok] == ["chain"]


def test_a_receipt_is_checked_without_contents_and_without_a_tokenizer(saved: bytes) -> None:
    """What can be derived is; what can't be is told."""
    receipt, _ = read_receipt(saved)
    verdict = verify(receipt, Contents(), None)
    assert verdict.valid
    assert {one.name: one.detail for one in verdict.checks}["tokens"] == (
        "the tokenizer is not at hand: nothing recounted"
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{",
        b'{"a": 1, "a": 2}',
        b'{"a": 1e5}',
        b'{"a": NaN}',
        b'{"a": "\\u001B"}',
        b"\xff",
        b'{"a": "\\ud800"}',
        b'{"contents": {"other": 1}}',
        b'{"contents": {"entries": {"a": 1}}}',
    ],
)
def test_what_is_no_receipt_is_refused(raw: bytes) -> None:
    """With a line that says why."""
    with pytest.raises(InvalidRequest):
        read_receipt(raw)


def test_what_lacks_a_member_is_no_receipt() -> None:
    """The verdict says which."""
    verdict = verify_file(canonical({"id": "a"}), lambda _: None)
    assert not verdict.valid
    assert "version" in json.dumps([one.detail for one in verdict.checks])

"""Reading the best hits together with the query: what it changes, what it leaves, and what an
answer says of it.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.model.times import rfc3339
from memtypes.ports.reader import Question, ReadStatement
from memtypes.ports.receipts import receipt_hash
from retrieval.dependencies import READ_HITS
from retrieval.reading import SMALL_BUDGET
from retrieval.receipts.checks import ReceiptContents, verify
from retrieval.receipts.model import ReplayAnswer
from tests.fakes_memories import InMemoryStore
from tests.fakes_reader import FakeReader
from tests.fakes_receipts import FakeReceipts
from tests.retrieval.builders import NOW, SCOPE, World

pytestmark = pytest.mark.anyio

QUERY = "where is the spare key"
NEAR = "The spare key: where is the spare key, where?"
TIGHT = 30
"""A budget in which one memory fits."""

ANSWER = "It hangs behind the door; the spare key, that is."

THINGS = [
    *["lamp", "rope", "saw", "bucket", "chair", "tyre", "pump", "bell", "helmet", "basket"],
    *["ladder", "hose", "rake", "shovel", "tent", "stove", "table", "mirror", "broom", "kettle"],
]


def knows(question: Question, memory: ReadStatement) -> float:
    """The reading of somebody who knows that the key hangs behind the door."""
    assert question.text == QUERY
    return 0.95 if "behind the door" in memory.text else 0.05


async def world_with(reader: FakeReader | None) -> World:
    """A world with a memory that looks like the query, one that answers it, and some others."""
    world = World(reader=reader, receipt_store=FakeReceipts())
    await world.add("semantic", NEAR)
    await world.add("semantic", ANSWER)
    await world.add_all("semantic", [f"A spare {thing} is in the shed." for thing in THINGS])
    return world


async def contents(world: World, **fields: Any) -> list[str]:
    """The texts of a context, best first."""
    answer = await world.retrieve(QUERY, **fields)
    return [item.content for item in sorted(answer.items, key=lambda item: item.rank)]


async def test_a_hit_that_answers_ranks_first_where_it_is_read() -> None:
    world = await world_with(FakeReader(answers=knows))
    assert NEAR in (await contents(world, reader="off"))[0]
    assert ANSWER in (await contents(world, reader="always"))[0]
    search = await world.search(QUERY, reader="always", explain=True)
    assert search.hits[0].memory["content"] == ANSWER
    assert search.hits[0].signals is not None
    assert search.hits[0].signals["reading"] == pytest.approx(0.95)
    assert search.degraded == []


async def test_without_the_reader_the_answer_is_that_of_before() -> None:
    """Whether there is a reader or not: where it is off, nothing is read and nothing changes."""
    reader = FakeReader(answers=knows)
    with_reader = await world_with(reader)
    without = await world_with(None)
    reader.available = False
    one = await with_reader.retrieve(QUERY, explain=True, reader="off")
    other = await without.retrieve(QUERY, explain=True)
    assert one.context == other.context
    assert one.metadata == other.metadata
    assert all(item.signals and item.signals["reading"] == 0 for item in one.items)


async def test_reading_changes_the_order_and_not_what_is_shown() -> None:
    world = await world_with(FakeReader(answers=knows))
    unread = await contents(world, budget=1_000, reader="off")
    read = await contents(world, budget=1_000, reader="always")
    assert read != unread
    assert sorted(read) == sorted(unread)


async def test_only_the_best_hits_are_read() -> None:
    asked: list[str] = []

    def note(_: Question, memory: ReadStatement) -> float:
        asked.append(memory.text)
        return 0.5

    world = await world_with(FakeReader(answers=note))
    before = [hit.id for hit in (await world.search(QUERY, top_k=40, reader="off")).hits]
    after = [hit.id for hit in (await world.search(QUERY, top_k=40, reader="always")).hits]
    assert len(asked) == READ_HITS
    assert set(after[:READ_HITS]) == set(before[:READ_HITS])
    assert after[READ_HITS:] == before[READ_HITS:]


async def test_after_the_deadline_the_order_of_before_stands_and_that_is_said() -> None:
    reader = FakeReader(answers=knows)
    reader.in_time = READ_HITS - 1
    world = await world_with(reader)
    plain = await world.retrieve(QUERY)
    late = await world.retrieve(QUERY, reader="always", reader_ms=5)
    assert late.context == plain.context
    assert late.metadata.degraded == ["reader"]
    assert (await world.search(QUERY, reader="always")).degraded == ["reader"]


async def test_a_reader_that_does_not_answer_is_said() -> None:
    reader = FakeReader(answers=knows)
    reader.available = False
    world = await world_with(reader)
    assert (await world.retrieve(QUERY, reader="always")).metadata.degraded == ["reader"]


async def test_a_reader_that_is_missing_is_said_to_those_who_ask_for_it() -> None:
    world = await world_with(None)
    assert (await world.retrieve(QUERY, reader="always")).metadata.degraded == ["reader"]
    assert (await world.retrieve(QUERY, reader="off")).metadata.degraded == []
    assert (await world.retrieve(QUERY)).metadata.degraded == []


@pytest.mark.parametrize(("budget", "first"), [(SMALL_BUDGET, ANSWER), (SMALL_BUDGET + 1, NEAR)])
async def test_auto_reads_where_the_budget_is_small(budget: int, first: str) -> None:
    world = await world_with(FakeReader(answers=knows))
    assert first in (await contents(world, reader="auto", budget=budget))[0]


@pytest.mark.slow
async def test_auto_does_not_read_for_an_overview(onnx_directory: Path) -> None:
    """A question for what is left to do has no answer that one memory gives."""
    asked: list[str] = []

    def note(question: Question, _: ReadStatement) -> float:
        asked.append(question.text)
        return 0.5

    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    world = World(
        reader=FakeReader(answers=note),
        embedder=embedder,
        writer=embedder,
        store=InMemoryStore(384),
    )
    await world.add_all("prospective", ["Call the dentist.", "Write to Ada."])
    await world.retrieve("what is left to do?", reader="auto", budget=300)
    assert asked == []
    await world.retrieve("who is to get a letter?", reader="auto", budget=300, floor=0.0)
    assert set(asked) == {"who is to get a letter?"}
    await embedder.aclose()


async def test_weights_of_a_request_decide_whether_hits_are_read() -> None:
    world = await world_with(FakeReader(answers=knows))
    weights = {"similarity": 1.0}
    assert NEAR in (await contents(world, reader="always", weights=weights))[0]
    assert ANSWER in (await contents(world, reader="always", weights=weights | {"reading": 5.0}))[0]


async def test_a_reading_does_not_lift_a_statement_above_a_newer_rival() -> None:
    """Of two statements that contradict each other the newer stays first, whatever is read."""

    def prefers_red(_: Question, memory: ReadStatement) -> float:
        return 0.95 if "red" in memory.text else 0.05

    world = World(reader=FakeReader(answers=prefers_red))
    old = rfc3339(NOW - timedelta(days=30))
    red = await world.add("semantic", "The spare key has a red tag.", created_at=old)
    blue = await world.add("semantic", "The spare key has a blue tag.")
    other = await world.add("semantic", "The spare room has a red lamp.")
    link = {"to": red, "type": "contradicts", "strength": 1.0}
    await world.store.patch(SCOPE, {blue: {"links": [link]}})
    hits = [hit.id for hit in (await world.search("spare key tag", reader="always")).hits]
    assert hits.index(blue) < hits.index(red)
    assert hits.index(red) < hits.index(other)


@pytest.mark.parametrize(
    ("older", "is_rival"),
    [("The office opens at eight on Mondays.", True), ("Lunch is at noon in the canteen.", False)],
)
async def test_a_newer_memory_in_nearly_the_same_words_stays_above_an_older_one(
    older: str, *, is_rival: bool
) -> None:
    """The reader does not know which of two such memories holds. Others are ordered by what it
    says.
    """

    def prefers_the_older(_: Question, memory: ReadStatement) -> float:
        return 0.95 if memory.text == older else 0.05

    world = World(reader=FakeReader(answers=prefers_the_older))
    query = "When on Mondays does the office open?"
    newer = "On Mondays the office opens at nine; when, at nine."
    await world.add("episodic", older, created_at=rfc3339(NOW - timedelta(days=30)))
    await world.add("episodic", newer, created_at=rfc3339(NOW - timedelta(days=1)))
    plain = await world.search(query, weights={"similarity": 1.0})
    assert plain.hits[0].memory["content"] == newer
    read = await world.search(query, reader="always", weights={"similarity": 1.0, "reading": 5.0})
    assert (read.hits[0].memory["content"] == newer) is is_rival


async def test_a_receipt_names_the_reader_and_can_be_verified_and_replayed() -> None:
    reader = FakeReader(answers=knows)
    world = await world_with(reader)
    answer = await world.retrieve(QUERY, reader="always", budget=300)
    receipt_id = answer.receipt_id or ""
    receipt = json.loads(await world.receipts.text(SCOPE.tenant, receipt_id))
    assert receipt["reader"] == reader.fingerprint
    assert receipt["candidates"][0]["signals"]["reading"] == pytest.approx(0.95)
    assert (await world.receipts.verify(SCOPE.tenant, receipt_id)).valid
    assert await world.receipts.replay(SCOPE.tenant, receipt_id) == ReplayAnswer(identical=True)


async def test_a_replay_does_without_the_reader_as_its_receipt_did() -> None:
    """The context that a deadline left in the order of before is the same in a replay, which has
    more time.
    """
    reader = FakeReader(answers=knows)
    reader.in_time = 1
    world = await world_with(reader)
    late = await world.retrieve(QUERY, reader="always", budget=300)
    reader.in_time = READ_HITS
    replay = await world.receipts.replay(SCOPE.tenant, late.receipt_id or "")
    assert replay.identical
    assert (await world.receipts.verify(SCOPE.tenant, late.receipt_id or "")).valid


async def test_a_replay_without_the_reader_says_why_it_differs() -> None:
    world = await world_with(FakeReader(answers=knows))
    answer = await world.retrieve(QUERY, reader="always", budget=TIGHT)
    assert [item.content for item in answer.items] == [ANSWER]
    without = World(store=world.store, receipt_store=world.receipt_store)
    replay = await without.receipts.replay(SCOPE.tenant, answer.receipt_id or "")
    assert not replay.identical
    assert {change.why for change in replay.changes} == {"the service has no reader now"}


@pytest.mark.parametrize(
    "forged",
    [
        {"reader": None},
        {"request": {"reader": "off"}},
    ],
)
async def test_readings_that_nobody_can_have_made_are_faults(forged: dict[str, Any]) -> None:
    world = await world_with(FakeReader(answers=knows))
    answer = await world.retrieve(QUERY, reader="always")
    receipt = json.loads(await world.receipts.text(SCOPE.tenant, answer.receipt_id or ""))
    for name, value in forged.items():
        receipt[name] = receipt[name] | value if isinstance(value, dict) else value
    receipt["sha256"] = receipt_hash(receipt)
    verdict = verify(receipt, ReceiptContents(), None)
    assert [check.name for check in verdict.checks if not check.ok] == ["request"]

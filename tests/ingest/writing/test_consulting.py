"""Texts are read together with the stored memories that they could mean, and change these."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.writing.pipeline import Ingestor
from memtypes.model.memory import Memory, State
from memtypes.model.prospective import Prospective, Status
from memtypes.ports.reader import Act, StatementPair
from tests.fakes import FakeEmbedder
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore
from tests.fakes_reader import FakeReader
from tests.ingest.doubles import SCOPE, draft

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TASK = "Send the lease back to the landlord."
DONE = "The lease went back to the landlord on Monday."


class Desk:
    """An ingestor with a reader that finds one act in each text of `acts`, and else nothing."""

    def __init__(self, acts: dict[str, Act]) -> None:
        self.acts = acts
        self.now = NOW
        self.store = InMemoryStore(FakeEmbedder().dimensions)
        self.reader = FakeReader(self._read)
        self.ingestor: Ingestor = plain_ingestor(self.store, self._clock, reader=self.reader)

    def _clock(self) -> datetime:
        return self.now

    def _read(self, pair: StatementPair) -> Act:
        return self.acts.get(pair.newer.text, Act.NOTHING)

    async def tell(self, content: str, **fields: Any) -> Memory:
        """Write a memory an hour after the one before; return it as stored."""
        self.now += timedelta(hours=1)
        outcome = await self.ingestor.write_one(SCOPE, draft(content, **fields))
        assert outcome.memory is not None
        return outcome.memory

    async def task(self, memory: Memory) -> Prospective:
        """The task as it is stored now."""
        stored = (await self.store.get(SCOPE, [memory.id]))[memory.id]
        assert isinstance(stored, Prospective)
        return stored


@pytest.mark.parametrize("kind", ["episodic", "semantic", "procedural"])
async def test_an_explicit_memory_of_any_type_ends_a_task(kind: str) -> None:
    desk = Desk({DONE: Act.DONE})
    task = await desk.tell(TASK, type="prospective")
    end = await desk.tell(DONE, type=kind)
    ended = await desk.task(task)
    assert (ended.status, ended.completed_at) == (Status.COMPLETED, end.created_at)
    assert ended.ended is not None
    assert ended.ended.by == end.id
    assert ended.ended.text is None


async def test_without_a_reader_or_while_it_is_away_a_text_ends_nothing() -> None:
    desk = Desk({DONE: Act.DONE})
    task = await desk.tell(TASK, type="prospective")
    desk.reader.available = False
    await desk.tell(DONE)
    assert (await desk.task(task)).status is Status.PENDING


async def test_a_task_told_with_a_new_time_takes_the_place_of_the_earlier_one() -> None:
    moved = "Send the lease back to the landlord by Friday instead."
    desk = Desk({moved: Act.MOVES})
    first = await desk.tell(TASK, type="prospective", due_at="2026-11-24T09:00:00Z")
    second = await desk.tell(moved, type="prospective", due_at="2026-11-27T09:00:00Z")
    earlier = await desk.task(first)
    assert (earlier.state, earlier.superseded_by) == (State.REPLACED, second.id)
    assert [(act.earlier, act.due_at) for act in (await desk.task(second)).history] == [
        (first.id, datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
    ]


async def test_a_task_that_a_remark_moves_gets_the_time_that_the_remark_names() -> None:
    remark = "The landlord wants the lease back on 30 November at 10:00."
    desk = Desk({remark: Act.MOVES})
    task = await desk.tell(TASK, type="prospective", due_at="2026-11-24T09:00:00Z")
    await desk.tell(remark)
    moved = await desk.task(task)
    assert moved.due_at == datetime(2026, 11, 30, 10, 0, tzinfo=UTC)
    assert (moved.state, moved.status) == (State.CURRENT, Status.PENDING)


async def test_a_fact_that_a_reader_sees_replaced_is_contested() -> None:
    old = "Ilse is our person at the bank."
    new = "Ilse left, so Bram at the bank is our person."
    desk = Desk({new: Act.REPLACES})
    before = await desk.tell(old, type="semantic")
    after = await desk.tell(new, type="semantic")
    older, newer = (await desk.store.get(SCOPE, [before.id, after.id])).values()
    assert (older.state, newer.state) == (State.CONTESTED, State.CONTESTED)
    assert older.superseded_by is None


async def test_a_note_of_work_in_progress_ends_no_task() -> None:
    desk = Desk({DONE: Act.DONE})
    task = await desk.tell(TASK, type="prospective")
    await desk.tell(DONE, type="working")
    assert (await desk.task(task)).status is Status.PENDING


async def test_a_text_is_read_with_what_was_told_before_it_only() -> None:
    desk = Desk({DONE: Act.DONE})
    task = await desk.tell(TASK, type="prospective")
    await desk.tell(DONE, created_at="2026-11-01T09:00:00Z")
    assert (await desk.task(task)).status is Status.PENDING


async def test_a_fact_that_never_was_true_is_wrong_and_held_at_no_time() -> None:
    retraction = "We never had 12 licences, that was wrong: it is 21."
    desk = Desk({retraction: Act.WRONG})
    fact = await desk.tell("We have 12 licences.", type="semantic")
    newer = await desk.tell(retraction, type="semantic")
    wrong = (await desk.store.get(SCOPE, [fact.id]))[fact.id]
    assert (wrong.state, wrong.superseded_by) == (State.WRONG, newer.id)
    assert wrong.valid_to == wrong.valid_from
    await desk.ingestor.editor.part(SCOPE, fact.id)
    back = (await desk.store.get(SCOPE, [fact.id]))[fact.id]
    assert (back.state, back.valid_to) == (State.CURRENT, None)

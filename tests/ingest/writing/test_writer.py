"""The writer: which memories are stored, merged or failed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.writing.outcome import WriteOutcome, WriteStatus, count_statuses
from ingest.writing.pipeline import PIECE
from memtypes.model.errors import Unavailable
from memtypes.model.memory import Memory
from memtypes.model.prospective import Prospective, Status
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Record
from tests.ingest.doubles import SCOPE, Bench, ObservedStore, draft

pytestmark = pytest.mark.anyio


def statuses(outcomes: Sequence[WriteOutcome]) -> list[WriteStatus]:
    """The status of each outcome."""
    return [outcome.status for outcome in outcomes]


async def test_a_new_memory_is_stored_and_read_back() -> None:
    bench = Bench()
    outcome = await bench.ingestor.write_one(SCOPE, draft("Stock is derived from movements."))
    assert (outcome.status, outcome.reason, outcome.merged_into) == (WriteStatus.STORED, None, None)
    assert outcome.memory == bench.store.memories()[outcome.id or ""]
    assert bench.store.vectors[outcome.id or ""].dense.shape == (4,)


async def test_a_repetition_is_merged_without_embedding_again() -> None:
    """If a stored text is written again, its memory gains evidence and the session. Its importance
    and vectors stay.
    """
    bench = Bench()
    first = await bench.ingestor.write_one(
        SCOPE, draft("Stock is derived.", session_id="s1", importance=9)
    )
    bench.clock.move(timedelta(hours=1))
    again = await bench.ingestor.write_one(SCOPE, draft("Stock  is derived.\n", session_id="s2"))
    assert (again.status, again.id, again.merged_into) == (WriteStatus.MERGED, first.id, first.id)
    assert again.memory is not None
    assert (again.memory.evidence_count, again.memory.source_sessions) == (2, ["s1", "s2"])
    assert (again.memory.importance, again.memory.updated_at) == (9, bench.clock.now)
    assert bench.embedder.calls == 1


async def test_repetitions_within_a_batch_are_merged() -> None:
    """Of equal texts in a batch the first is stored and the others are merged into it. The text is
    embedded once.
    """
    bench = Bench()
    outcomes = await bench.ingestor.write(
        SCOPE, [draft("same"), draft("other"), draft("same"), draft("same")]
    )
    assert statuses(outcomes) == [
        WriteStatus.STORED,
        WriteStatus.STORED,
        WriteStatus.MERGED,
        WriteStatus.MERGED,
    ]
    assert bench.store.memories()[outcomes[0].id or ""].evidence_count == 3
    assert len(bench.embedder.texts) == 2


async def test_repetitions_across_pieces_are_merged() -> None:
    """A batch is written in pieces. A text of the first piece that is repeated in a later piece is
    merged.
    """
    bench = Bench()
    drafts = [draft(f"memory {index % (PIECE + 10)}") for index in range(2 * PIECE + 20)]
    outcomes = await bench.ingestor.write(SCOPE, drafts)
    assert count_statuses(outcomes) == {
        WriteStatus.STORED: PIECE + 10,
        WriteStatus.MERGED: PIECE + 10,
        WriteStatus.REJECTED: 0,
        WriteStatus.FAILED: 0,
    }
    assert {memory.evidence_count for memory in bench.store.memories().values()} == {2}


@pytest.mark.parametrize(
    "sources",
    [
        [{"file": "a.jsonl", "line": 1}, {"file": "a.jsonl", "line": 2}],
        [{"thread_id": "t", "turns": [1]}, {"thread_id": "t", "turns": [2]}],
    ],
)
async def test_a_repeated_request_adds_no_evidence(sources: list[dict[str, Any]]) -> None:
    """A draft written again with the same source line or turns does not raise the memory's evidence
    count.
    """
    bench = Bench()
    drafts = [draft("same", source=source) for source in sources]
    await bench.ingestor.write(SCOPE, drafts)
    before = bench.store.memories()
    again = await bench.ingestor.write(SCOPE, drafts)
    assert statuses(again) == [WriteStatus.MERGED, WriteStatus.MERGED]
    assert bench.store.memories() == before


@pytest.mark.parametrize("source", [None, "chat", {"file": "a.md"}, {"thread_id": "t"}])
async def test_a_source_without_a_place_does_not_identify_a_request(source: object) -> None:
    """If a draft's source has no line or turns, writing the draft again raises the memory's
    evidence count.
    """
    bench = Bench()
    for _ in range(2):
        await bench.ingestor.write_one(SCOPE, draft("same", source=source))
    assert [memory.evidence_count for memory in bench.store.memories().values()] == [2]


@pytest.mark.parametrize(
    ("kind", "ended"),
    [
        ("semantic", {"expires_at": "2026-11-20T12:30:00Z"}),
        ("prospective", {"expires_at": "2026-11-20T12:30:00Z"}),
        ("working", {"cleared_at": "2026-11-20T12:30:00Z"}),
    ],
)
async def test_a_repetition_makes_an_ended_memory_current_again(
    kind: str, ended: dict[str, str]
) -> None:
    """Writing the text of an expired fact or task or a cleared item again makes the memory current
    again.

    Its evidence count (how often it was stated) rises to 2.
    """
    bench = Bench()
    await bench.ingestor.write_one(SCOPE, draft("Order labels.", kind, **ended))
    bench.clock.move(timedelta(hours=1))
    again = await bench.ingestor.write_one(SCOPE, draft("Order labels.", kind))
    assert (again.status, len(bench.store.memories())) == (WriteStatus.STORED, 1)
    assert again.memory is not None
    assert (again.memory.created_at, again.memory.evidence_count) == (bench.clock.now, 2)
    assert not set(ended) & {
        name for name, value in again.memory.to_payload().items() if value == ended.get(name)
    }


@pytest.mark.parametrize("stored_before", [False, True])
async def test_an_open_task_is_stored_beside_a_completed_one_of_the_same_batch(
    *, stored_before: bool
) -> None:
    """If a batch has a task first as completed and then as open, both are stored.

    This holds whether or not the completed task was stored before.
    """
    bench = Bench()
    done = draft("Order labels.", "prospective", status="completed")
    if stored_before:
        await bench.ingestor.write_one(SCOPE, done)
    outcomes = await bench.ingestor.write(SCOPE, [done, draft("Order labels.", "prospective")])
    assert outcomes[1].status is WriteStatus.STORED
    by_status = {
        memory.to_payload()["status"]: known for known, memory in bench.store.memories().items()
    }
    assert by_status.keys() == {"completed", "pending"}
    assert by_status["pending"] == outcomes[1].id
    assert set(by_status.values()) <= bench.store.vectors.keys()


async def test_the_old_text_of_a_revised_memory_is_a_new_memory() -> None:
    """A memory's text is changed, and the old text is written again. It becomes a second memory
    with another id.
    """
    bench = Bench()
    first = await bench.ingestor.write_one(SCOPE, draft("The sale is in May."))
    await bench.ingestor.editor.revise(SCOPE, first.id or "", {"content": "The sale is in June."})
    again = [await bench.ingestor.write_one(SCOPE, draft("The sale is in May.")) for _ in range(2)]
    assert statuses(again) == [WriteStatus.STORED, WriteStatus.MERGED]
    assert again[0].id == again[1].id != first.id
    assert {memory.content for memory in bench.store.memories().values()} == {
        "The sale is in May.",
        "The sale is in June.",
    }


async def test_a_postponed_task_and_a_task_for_the_old_day_are_two_memories() -> None:
    """A task is postponed by a revision, and then written again with its old due time. Both are
    stored.
    """
    bench = Bench()
    task = draft("Order labels.", "prospective", due_at="2026-12-01T08:00:00Z")
    first = await bench.ingestor.write_one(SCOPE, task)
    await bench.ingestor.editor.revise(SCOPE, first.id or "", {"due_at": "2026-12-08T08:00:00Z"})
    assert statuses([await bench.ingestor.write_one(SCOPE, task) for _ in range(2)]) == [
        WriteStatus.STORED,
        WriteStatus.MERGED,
    ]
    assert len(bench.store.memories()) == 2


async def test_namespaces_do_not_share_memories() -> None:
    """The same text in two namespaces gives two memories."""
    bench = Bench()
    other = Scope("acme", "other")
    outcomes = [await bench.ingestor.write_one(scope, draft("same")) for scope in (SCOPE, other)]
    assert statuses(outcomes) == [WriteStatus.STORED, WriteStatus.STORED]
    assert len(bench.store.memories()) == len(bench.store.memories(other)) == 1


class ForgetfulStore(ObservedStore):
    """A memory store that accepts writes and stores nothing."""

    async def write(
        self,
        scope: Scope,
        records: Sequence[Record],
        changes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Store nothing and raise no error."""


async def test_a_memory_that_is_not_read_back_has_failed() -> None:
    """If the store does not return a memory after it was written, its outcome in a batch is failed.

    A single write raises Unavailable.
    """
    bench = Bench(store=ForgetfulStore())
    outcomes = await bench.ingestor.write(SCOPE, [draft("m")])
    assert statuses(outcomes) == [WriteStatus.FAILED]
    with pytest.raises(Unavailable, match="was not stored"):
        await bench.ingestor.write_one(SCOPE, draft("m"))


async def test_a_memory_deleted_during_a_repetition_is_embedded_and_stored() -> None:
    """A text that is already stored is written again, which needs no embedding.

    If its memory is deleted during this write, the text is embedded and stored.
    """
    bench = Bench()
    first = await bench.ingestor.write_one(SCOPE, draft("m"))

    def vanish(call: str, nth: int) -> None:
        if (call, nth) == ("related", 2):
            bench.store.engine.clear()

    bench.store.trouble = vanish
    again = await bench.ingestor.write_one(SCOPE, draft("m"))
    assert (again.status, again.id) == (WriteStatus.STORED, first.id)
    assert len(bench.embedder.texts) == 2


async def test_concurrent_repetitions_are_all_counted() -> None:
    """If twenty concurrent calls write the same text, one memory is stored and its evidence count
    is 20.
    """
    bench = Bench()
    outcomes: list[WriteOutcome] = []

    async def write() -> None:
        outcomes.append(await bench.ingestor.write_one(SCOPE, draft("m")))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(write)
    assert count_statuses(outcomes)[WriteStatus.STORED] == 1
    assert [memory.evidence_count for memory in bench.store.memories().values()] == [20]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=40), st.integers(1, 3))
def test_repeating_a_batch_stores_nothing_new(numbers: list[int], times: int) -> None:
    """However often a batch is written, each distinct text is stored once, and all further copies
    are merged.
    """

    async def write() -> tuple[dict[str, Memory], list[list[WriteOutcome]]]:
        bench = Bench()
        batch = [draft(f"memory {number}") for number in numbers]
        outcomes = [await bench.ingestor.write(SCOPE, batch) for _ in range(times)]
        return bench.store.memories(), outcomes

    memories, rounds = asyncio.run(write())
    assert {memory.content for memory in memories.values()} == {
        f"memory {number}" for number in numbers
    }
    assert sum(memory.evidence_count for memory in memories.values()) == len(numbers) * times
    for index, outcomes in enumerate(rounds):
        counts = count_statuses(outcomes)
        assert sum(counts.values()) == len(numbers)
        assert counts[WriteStatus.STORED] == (len(set(numbers)) if index == 0 else 0)
        assert counts[WriteStatus.STORED] + counts[WriteStatus.MERGED] == len(numbers)


async def test_a_later_text_marks_appointments_whose_time_is_over_as_lapsed() -> None:
    bench = Bench()
    fields = {"type": "prospective", "due_at": "2026-11-20T14:00:00Z"}
    appointment = await bench.ingestor.write_one(
        SCOPE, draft("Dentist.", lapses_at="2026-11-20T16:00:00Z", **fields)
    )
    deadline = await bench.ingestor.write_one(SCOPE, draft("Pay the rent.", **fields))
    bench.clock.move(timedelta(hours=3))
    await bench.ingestor.write_one(SCOPE, draft("Stock is derived."))
    assert _status(bench, appointment.id) is Status.PENDING
    bench.clock.move(timedelta(hours=2))
    await bench.ingestor.write_one(SCOPE, draft("Stock is counted."))
    assert _status(bench, appointment.id) is Status.LAPSED
    assert _status(bench, deadline.id) is Status.PENDING


async def test_what_an_import_tells_of_the_past_makes_no_later_appointment_lapse() -> None:
    """The status follows the time at which the new text was said, whatever the clock says."""
    bench = Bench()
    said_at = "2026-03-01T09:00:00Z"
    lapses_at = "2026-03-09T16:00:00Z"
    task = draft("Dentist.", type="prospective", created_at=said_at, lapses_at=lapses_at)
    appointment = await bench.ingestor.write_one(SCOPE, task)
    for day, status in (("05", Status.PENDING), ("12", Status.LAPSED)):
        told = draft(f"Told on {day}.", created_at=f"2026-03-{day}T09:00:00Z")
        await bench.ingestor.write_one(SCOPE, told)
        assert _status(bench, appointment.id) is status


async def test_an_appointment_told_again_after_it_has_lapsed_is_a_new_one() -> None:
    bench = Bench()
    lapses_at = "2026-11-20T16:00:00Z"
    task = draft("Dentist.", type="prospective", lapses_at=lapses_at)
    first = await bench.ingestor.write_one(SCOPE, task)
    bench.clock.move(timedelta(days=2))
    again = await bench.ingestor.write_one(SCOPE, draft("Dentist.", type="prospective"))
    assert (again.status, again.id == first.id) == (WriteStatus.STORED, False)


def _status(bench: Bench, memory_id: str | None) -> Status:
    task = bench.store.memories()[memory_id or ""]
    assert isinstance(task, Prospective)
    return task.status

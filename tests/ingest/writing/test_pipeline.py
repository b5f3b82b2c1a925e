"""Writing: every draft ends as what it is said to have ended as."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.screening.gates import Rejection
from ingest.writing.drafts import Submission
from ingest.writing.outcome import WriteOutcome, WriteStatus, count_statuses
from ingest.writing.pipeline import PIECE
from memtypes.model.errors import InvalidRequest, Overloaded, Unavailable
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import Embedding
from tests.ingest.doubles import SCOPE, Bench, CountingEmbedder, ObservedStore, draft, failing

pytestmark = pytest.mark.anyio

AWAY = Unavailable("the store is away", retry_after_s=0)


def statuses(outcomes: Sequence[WriteOutcome]) -> list[WriteStatus]:
    """The statuses alone."""
    return [outcome.status for outcome in outcomes]


async def test_a_new_memory_is_stored_and_read_back() -> None:
    """The outcome carries the memory as the store gives it back, with both vectors kept."""
    bench = Bench()
    outcome = await bench.ingestor.write_one(SCOPE, draft("Stock is derived from movements."))
    assert (outcome.status, outcome.reason, outcome.merged_into) == (WriteStatus.STORED, None, None)
    assert outcome.memory == bench.store.memories()[outcome.id or ""]
    assert bench.store.vectors[outcome.id or ""].dense.shape == (4,)


async def test_a_repetition_is_merged_without_embedding_again() -> None:
    """The same content gives one memory with more evidence and both sessions; its vectors stay."""
    bench = Bench()
    first = await bench.ingestor.write_one(SCOPE, draft("Stock is derived.", session_id="s1", importance=9))
    bench.clock.move(timedelta(hours=1))
    again = await bench.ingestor.write_one(SCOPE, draft("Stock  is derived.\n", session_id="s2"))
    assert (again.status, again.id, again.merged_into) == (WriteStatus.MERGED, first.id, first.id)
    assert again.memory is not None
    assert (again.memory.evidence_count, again.memory.source_sessions) == (2, ["s1", "s2"])
    assert (again.memory.importance, again.memory.updated_at) == (9, bench.clock.now)
    assert bench.embedder.calls == 1


async def test_repetitions_within_a_batch_are_merged() -> None:
    """The first of a batch is stored, its repetitions are merged into it, and only one text is embedded."""
    bench = Bench()
    outcomes = await bench.ingestor.write(SCOPE, [draft("same"), draft("other"), draft("same"), draft("same")])
    assert statuses(outcomes) == [WriteStatus.STORED, WriteStatus.STORED, WriteStatus.MERGED, WriteStatus.MERGED]
    assert bench.store.memories()[outcomes[0].id or ""].evidence_count == 3
    assert len(bench.embedder.texts) == 2


async def test_repetitions_across_pieces_are_merged() -> None:
    """A repetition that is embedded before the first one is written is still merged when its turn comes."""
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
async def test_a_write_that_is_sent_again_adds_no_evidence(sources: list[dict[str, Any]]) -> None:
    """A source that names the same line or the same turns makes it the same write, not another witness."""
    bench = Bench()
    drafts = [draft("same", source=source) for source in sources]
    await bench.ingestor.write(SCOPE, drafts)
    before = bench.store.memories()
    again = await bench.ingestor.write(SCOPE, drafts)
    assert statuses(again) == [WriteStatus.MERGED, WriteStatus.MERGED]
    assert bench.store.memories() == before


@pytest.mark.parametrize("source", [None, "chat", {"file": "a.md"}, {"thread_id": "t"}])
async def test_a_source_without_a_place_is_no_proof_of_the_same_write(source: object) -> None:
    """What names no line and no turn counts as said again."""
    bench = Bench()
    for _ in range(2):
        await bench.ingestor.write_one(SCOPE, draft("same", source=source))
    assert [memory.evidence_count for memory in bench.store.memories().values()] == [2]


@pytest.mark.parametrize(
    ("kind", "ended"),
    [
        ("semantic", {"expires_at": "2026-11-20T12:30:00Z"}),
        ("prospective", {"status": "completed"}),
        ("prospective", {"status": "cancelled"}),
        ("working", {"cleared_at": "2026-11-20T12:30:00Z"}),
    ],
)
async def test_what_is_over_does_not_swallow_the_same_statement_made_anew(kind: str, ended: dict[str, str]) -> None:
    """An expired fact, a finished task or a cleared note that is written again is current again."""
    bench = Bench()
    await bench.ingestor.write_one(SCOPE, draft("Order labels.", kind, **ended))
    bench.clock.move(timedelta(hours=1))
    again = await bench.ingestor.write_one(SCOPE, draft("Order labels.", kind))
    assert (again.status, len(bench.store.memories())) == (WriteStatus.STORED, 1)
    assert again.memory is not None
    assert (again.memory.created_at, again.memory.evidence_count) == (bench.clock.now, 2)
    assert not set(ended) & {name for name, value in again.memory.to_payload().items() if value == ended.get(name)}


async def test_a_revised_memory_does_not_swallow_the_old_words() -> None:
    """A memory whose content was revised keeps its id; the old words, said again, are a memory of their own."""
    bench = Bench()
    first = await bench.ingestor.write_one(SCOPE, draft("The sale is in May."))
    await bench.ingestor.revise(SCOPE, first.id or "", {"content": "The sale is in June."})
    again = [await bench.ingestor.write_one(SCOPE, draft("The sale is in May.")) for _ in range(2)]
    assert statuses(again) == [WriteStatus.STORED, WriteStatus.MERGED]
    assert again[0].id == again[1].id != first.id
    assert {memory.content for memory in bench.store.memories().values()} == {
        "The sale is in May.",
        "The sale is in June.",
    }


async def test_a_postponed_task_does_not_swallow_the_one_for_the_old_day() -> None:
    """A task whose due time was revised keeps its id; the same task for the old day is a memory of its own."""
    bench = Bench()
    task = draft("Order labels.", "prospective", due_at="2026-12-01T08:00:00Z")
    first = await bench.ingestor.write_one(SCOPE, task)
    await bench.ingestor.revise(SCOPE, first.id or "", {"due_at": "2026-12-08T08:00:00Z"})
    assert statuses([await bench.ingestor.write_one(SCOPE, task) for _ in range(2)]) == [
        WriteStatus.STORED,
        WriteStatus.MERGED,
    ]
    assert len(bench.store.memories()) == 2


async def test_an_invalid_draft_stores_nothing_of_its_batch() -> None:
    """The error names the index and field, and the valid ones are not stored either."""
    bench = Bench()
    with pytest.raises(InvalidRequest) as refused:
        await bench.ingestor.write(SCOPE, [draft("good"), draft("bad", created_at="2027-01-01T00:00:00Z")])
    assert refused.value.path == "items[1].created_at"
    assert bench.store.memories() == {}


async def test_an_empty_batch_is_nothing() -> None:
    """No drafts, no outcomes, no calls."""
    bench = Bench()
    assert await bench.ingestor.write(SCOPE, []) == []
    assert (bench.store.calls, bench.embedder.calls) == ({}, 0)


async def test_another_namespace_keeps_its_own() -> None:
    """The same words in two namespaces are two memories."""
    bench = Bench()
    other = Scope("acme", "other")
    outcomes = [await bench.ingestor.write_one(scope, draft("same")) for scope in (SCOPE, other)]
    assert statuses(outcomes) == [WriteStatus.STORED, WriteStatus.STORED]
    assert len(bench.store.memories()) == len(bench.store.memories(other)) == 1


async def test_order_in_a_batch_is_kept() -> None:
    """The sequence number rises within a batch and from one batch to the next, even within one instant."""
    bench = Bench()
    first = await bench.ingestor.write(SCOPE, [draft(f"a{index}") for index in range(5)])
    second = await bench.ingestor.write(SCOPE, [draft(f"b{index}") for index in range(5)])
    numbers = [outcome.memory.seq for outcome in [*first, *second] if outcome.memory]
    assert numbers == sorted(set(numbers))


class Censor:
    """Rejects what holds `word`; else replaces it with stars; fails on "crash"."""

    def __init__(self, word: str) -> None:
        self.word = word

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """Reject, fail or change."""
        draft = submission.draft
        if "crash" in draft.content:
            raise Unavailable(f"the censor of {scope.namespace} is ill")
        if draft.content == self.word:
            return Rejection("nothing is left")
        return replace(submission, draft=draft.model_copy(update={"content": draft.content.replace(self.word, "***")}))


async def test_gates_change_reject_and_fail_single_drafts() -> None:
    """A gate's change is what is stored; its rejection has its reason; where it fails, nothing is stored."""
    bench = Bench(gates=(Censor("secret"), Censor("***")))
    outcomes = await bench.ingestor.write(
        SCOPE, [draft("my secret here"), draft("secret"), draft("crash"), draft("plain")]
    )
    assert statuses(outcomes) == [WriteStatus.STORED, WriteStatus.REJECTED, WriteStatus.FAILED, WriteStatus.STORED]
    assert [outcome.reason for outcome in outcomes[1:3]] == ["nothing is left", "the censor of shop is ill"]
    assert {memory.content for memory in bench.store.memories().values()} == {"my *** here", "plain"}
    assert bench.embedder.texts == ["my *** here", "plain"]


async def test_a_single_write_passes_a_rejection_on_and_a_failure_up() -> None:
    """A rejected single write is an answer; a gate that failed is an error."""
    bench = Bench(gates=(Censor("secret"),))
    assert (await bench.ingestor.write_one(SCOPE, draft("secret"))).reason == "nothing is left"
    with pytest.raises(Unavailable, match="is ill"):
        await bench.ingestor.write_one(SCOPE, draft("crash"))


@pytest.mark.parametrize("call", ["get", "upsert"])
async def test_a_failing_store_fails_only_the_piece_concerned(call: str) -> None:
    """Drafts of the piece that the store refused are failed with its reason; the others are stored."""
    bench = Bench(store=ObservedStore(failing(AWAY, call, 1)))
    outcomes = await bench.ingestor.write(SCOPE, [draft(f"m{index}") for index in range(2 * PIECE)])
    assert statuses(outcomes) == [WriteStatus.FAILED] * PIECE + [WriteStatus.STORED] * PIECE
    assert {outcome.reason for outcome in outcomes[:PIECE]} == {"the store is away"}
    assert len(bench.store.memories()) == PIECE


async def test_a_batch_waits_for_a_full_encoder() -> None:
    """A full queue is asked again a few times before a batch gives up."""
    full = Overloaded("the queue is full", retry_after_s=0)
    patient = Bench(embedder=CountingEmbedder(failing(full, "embed", 1, 2, 3, 4)))
    assert statuses(await patient.ingestor.write(SCOPE, [draft("m")])) == [WriteStatus.STORED]
    hopeless = Bench(embedder=CountingEmbedder(failing(full, "embed", 1, 2, 3, 4, 5)))
    assert statuses(await hopeless.ingestor.write(SCOPE, [draft("m")])) == [WriteStatus.FAILED]


@pytest.mark.parametrize("error", [Overloaded("the queue is full"), Unavailable("the engine is away")])
async def test_a_single_write_passes_errors_on(error: Overloaded | Unavailable) -> None:
    """A caller with one memory is told at once that it could not be stored, and nothing was."""
    bench = Bench(embedder=CountingEmbedder(failing(error, "embed", 1)))
    with pytest.raises(type(error)):
        await bench.ingestor.write_one(SCOPE, draft("m"))
    assert bench.store.memories() == {}
    assert (await bench.ingestor.write_one(SCOPE, draft("m"))).status is WriteStatus.STORED


class ForgetfulStore(ObservedStore):
    """Takes everything and keeps nothing."""

    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """Forget them."""


async def test_what_is_not_read_back_is_not_called_stored() -> None:
    """A store that takes a memory and does not have it afterwards makes it failed, or unavailable for a single one."""
    bench = Bench(store=ForgetfulStore())
    outcomes = await bench.ingestor.write(SCOPE, [draft("m")])
    assert statuses(outcomes) == [WriteStatus.FAILED]
    with pytest.raises(Unavailable, match="was not stored"):
        await bench.ingestor.write_one(SCOPE, draft("m"))


async def test_what_vanishes_between_look_up_and_write_is_embedded_after_all() -> None:
    """A memory that is deleted while its repetition is under way is stored anew, with its vector."""
    bench = Bench()
    first = await bench.ingestor.write_one(SCOPE, draft("m"))

    def vanish(call: str, nth: int) -> None:
        if (call, nth) == ("get", 5):
            bench.store.engine.clear()

    bench.store.trouble = vanish
    bench.store.calls["get"] = 3
    again = await bench.ingestor.write_one(SCOPE, draft("m"))
    assert (again.status, again.id) == (WriteStatus.STORED, first.id)
    assert len(bench.embedder.texts) == 2


async def test_simultaneous_repetitions_all_count() -> None:
    """Twenty writers with the same statement at once leave one memory with twenty times the evidence."""
    bench = Bench()
    outcomes: list[WriteOutcome] = []

    async def write() -> None:
        outcomes.append(await bench.ingestor.write_one(SCOPE, draft("m")))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(write)
    assert count_statuses(outcomes)[WriteStatus.STORED] == 1
    assert [memory.evidence_count for memory in bench.store.memories().values()] == [20]


class WatchedEmbedder(CountingEmbedder):
    """Notes whether a write was under way while it embedded."""

    def __init__(self, store: SlowStore) -> None:
        super().__init__()
        self.store = store
        self.overlaps = 0

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Embed slowly."""
        await anyio.sleep(0.01)
        self.overlaps += self.store.writing
        return await super().embed_documents(texts)


class SlowStore(ObservedStore):
    """Takes its time to write."""

    writing = False

    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """Write slowly."""
        self.writing = True
        await anyio.sleep(0.02)
        self.writing = False
        await super().upsert(scope, records)


async def test_the_next_piece_is_embedded_while_one_is_written() -> None:
    """The encoder does not wait for the store."""
    store = SlowStore()
    embedder = WatchedEmbedder(store)
    await Bench(store=store, embedder=embedder).ingestor.write(
        SCOPE, [draft(f"m{index}") for index in range(4 * PIECE)]
    )
    assert embedder.overlaps >= 2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=40), st.integers(1, 3))
def test_counts_add_up_and_repeating_a_batch_stores_nothing_new(numbers: list[int], times: int) -> None:
    """However often a batch is written, there is one memory a content, and each outcome is stored or merged."""

    async def write() -> tuple[dict[str, Memory], list[list[WriteOutcome]]]:
        bench = Bench()
        batch = [draft(f"memory {number}") for number in numbers]
        outcomes = [await bench.ingestor.write(SCOPE, batch) for _ in range(times)]
        return bench.store.memories(), outcomes

    memories, rounds = asyncio.run(write())
    assert {memory.content for memory in memories.values()} == {f"memory {number}" for number in numbers}
    assert sum(memory.evidence_count for memory in memories.values()) == len(numbers) * times
    for index, outcomes in enumerate(rounds):
        counts = count_statuses(outcomes)
        assert sum(counts.values()) == len(numbers)
        assert counts[WriteStatus.STORED] == (len(set(numbers)) if index == 0 else 0)
        assert counts[WriteStatus.STORED] + counts[WriteStatus.MERGED] == len(numbers)

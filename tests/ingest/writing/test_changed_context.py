"""Turns that are changed or deleted while the turns after them are written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
import anyio.lowlevel
import pytest

from ingest.writing.pipeline import PIECE
from ingest.writing.transfer import exported, read_exported
from memtypes.conversation_context import text_in_context
from memtypes.model.memory import Memory
from memtypes.search.vectors import Embedding, InContext
from tests.ingest.doubles import SCOPE, Bench, CountingEmbedder, draft, vector_of, write_turns

pytestmark = pytest.mark.anyio


class InterruptedEmbedder(CountingEmbedder):
    """An embedder that uses contexts.

    When it embeds a text that contains `at`, it calls `interrupt` before it returns.
    """

    def __init__(self) -> None:
        super().__init__()
        self.at = ""
        self.interrupt: Callable[[], Awaitable[object]] = anyio.lowlevel.checkpoint

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """The vectors of the texts with their contexts. Calls `interrupt` the first time that a
        text contains `at`.
        """
        vectors = [vector_of(f"{text.before} {text.text}") for text in texts]
        if self.at and any(self.at in text.text for text in texts):
            self.at = ""
            await self.interrupt()
        return vectors


def embedded(memory: Memory, *before: Memory) -> list[float]:
    """The dense vector that a turn gets if it is embedded with the turns `before` as context."""
    text = text_in_context(memory, before)
    dense: list[float] = vector_of(f"{text.before} {text.text}").dense.tolist()
    return dense


def vector(bench: Bench, memory: Memory) -> list[float]:
    """The stored dense vector of a memory."""
    dense: list[float] = bench.store.vectors[memory.id].dense.tolist()
    return dense


async def test_a_turn_deleted_while_the_next_one_is_embedded_is_not_in_its_vector() -> None:
    embedder = InterruptedEmbedder()
    bench = Bench(embedder=embedder)
    first, secret = await write_turns(bench, "Hello.", "My PIN is 1234.")
    embedder.at = "Noted."
    embedder.interrupt = lambda: bench.ingestor.editor.remove(SCOPE, [secret.id])
    (noted,) = await write_turns(bench, "Noted.")
    assert secret.id not in bench.store.vectors
    assert vector(bench, noted) == embedded(noted, first)


async def test_a_turn_changed_while_the_next_one_is_embedded_is_context_with_its_new_text() -> None:
    embedder = InterruptedEmbedder()
    bench = Bench(embedder=embedder)
    (secret,) = await write_turns(bench, "My PIN is 1234.")
    changed: list[Memory] = []

    async def change() -> None:
        changed.append(
            await bench.ingestor.editor.revise(SCOPE, secret.id, {"content": "My PIN is secret."})
        )

    embedder.at = "Noted."
    embedder.interrupt = change
    (noted,) = await write_turns(bench, "Noted.")
    assert vector(bench, noted) == embedded(noted, *changed)


async def test_turns_after_an_event_to_which_a_merge_adds_a_context_are_embedded_again() -> None:
    bench = Bench(embedder=InterruptedEmbedder())
    _, noted = await write_turns(bench, "It is red.", "Noted.")
    again = draft("It is red.", "episodic", session_id="s1", context="about the door")
    outcome = await bench.ingestor.write_one(SCOPE, again)
    assert outcome.memory is not None
    assert "about the door" in outcome.memory.embedding_text()
    assert vector(bench, noted) == embedded(noted, outcome.memory)


async def test_a_turn_deleted_while_the_rest_of_its_batch_waits_is_not_in_later_vectors() -> None:
    """A turn of a batch's first piece is deleted while the next piece is embedded.

    No later vector has it as context.
    """
    embedder = InterruptedEmbedder()
    bench = Bench(embedder=embedder)

    async def delete() -> None:
        # Writes tell nobody
        while "turn 31." not in (  # noqa: ASYNC110
            known := {memory.content: memory for memory in bench.store.memories().values()}
        ):
            await anyio.sleep(0.001)
        await bench.ingestor.editor.remove(SCOPE, [known["turn 31."].id])

    embedder.at = "turn 32."
    embedder.interrupt = delete
    drafts = [draft(f"turn {number}.", "episodic", session_id="s1") for number in range(PIECE + 1)]
    outcomes = await bench.ingestor.write(SCOPE, drafts)
    before = outcomes[PIECE - 2].memory
    last = outcomes[PIECE].memory
    assert before is not None
    assert last is not None
    assert vector(bench, last) == embedded(last, before)


async def test_a_turn_deleted_while_the_next_one_is_restored_is_not_in_its_vector() -> None:
    embedder = InterruptedEmbedder()
    bench = Bench(embedder=embedder)
    secret, noted = await write_turns(bench, "My PIN is 1234.", "Noted.")
    lines = [line async for line in exported(bench.store, SCOPE) if line["id"] == noted.id]
    async with anyio.create_task_group() as tasks:

        async def delete() -> None:
            tasks.start_soon(bench.ingestor.editor.remove, SCOPE, [secret.id])
            await anyio.wait_all_tasks_blocked()

        embedder.at = "Noted."
        embedder.interrupt = delete
        await bench.ingestor.restorer.restore(SCOPE, read_exported(SCOPE, lines))
    assert secret.id not in bench.store.vectors
    assert vector(bench, noted) == embedded(noted)

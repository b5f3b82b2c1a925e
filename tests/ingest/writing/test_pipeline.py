"""The write pipeline: batches, single writes, and failures of stores and encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio
import pytest

from ingest.screening.submission import Rejection, Submission
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.pipeline import PIECE
from memtypes.model.errors import InvalidRequest, Overloaded, Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import Embedding
from tests.ingest.doubles import SCOPE, Bench, CountingEmbedder, ObservedStore, draft, failing

pytestmark = pytest.mark.anyio


AWAY = Unavailable("the store is away", retry_after_s=0)


def statuses(outcomes: Sequence[WriteOutcome]) -> list[WriteStatus]:
    """The status of each outcome."""
    return [outcome.status for outcome in outcomes]


async def test_an_invalid_draft_stores_nothing_of_its_batch() -> None:
    bench = Bench()
    with pytest.raises(InvalidRequest) as refused:
        await bench.ingestor.write(
            SCOPE, [draft("good"), draft("bad", created_at="2027-01-01T00:00:00Z")]
        )
    assert refused.value.path == "items[1].created_at"
    assert bench.store.memories() == {}


async def test_an_empty_batch_makes_no_calls() -> None:
    """An empty batch returns no outcomes and calls neither the store nor the encoder."""
    bench = Bench()
    assert await bench.ingestor.write(SCOPE, []) == []
    assert (bench.store.calls, bench.embedder.calls) == ({}, 0)


async def test_sequence_numbers_follow_the_order_of_arrival() -> None:
    """The sequence numbers of memories rise in the order of their arrival, even if the clock stands
    still.
    """
    bench = Bench()
    first = await bench.ingestor.write(SCOPE, [draft(f"a{index}") for index in range(5)])
    second = await bench.ingestor.write(SCOPE, [draft(f"b{index}") for index in range(5)])
    numbers = [outcome.memory.seq for outcome in [*first, *second] if outcome.memory]
    assert numbers == sorted(set(numbers))


class Censor:
    """A gate that rejects the text `word`, replaces it by "***" in longer texts, and raises
    Unavailable on "crash".
    """

    def __init__(self, word: str) -> None:
        self.word = word

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission with `word` replaced by "***", or a rejection if its text is `word`."""
        draft = submission.draft
        if "crash" in draft.content:
            raise Unavailable(f"the censor of {scope.namespace} failed")
        if draft.content == self.word:
            return Rejection("nothing is left")
        return replace(
            submission,
            draft=draft.model_copy(update={"content": draft.content.replace(self.word, "***")}),
        )


async def test_gates_act_on_single_drafts() -> None:
    """Screening gates may change, reject or fail on one draft of a batch without effect on the
    others.

    The outcomes of rejected and failed drafts have the reason.
    """
    bench = Bench(gates=(Censor("secret"), Censor("***")))
    outcomes = await bench.ingestor.write(
        SCOPE, [draft("my secret here"), draft("secret"), draft("crash"), draft("plain")]
    )
    assert statuses(outcomes) == [
        WriteStatus.STORED,
        WriteStatus.REJECTED,
        WriteStatus.FAILED,
        WriteStatus.STORED,
    ]
    assert [outcome.reason for outcome in outcomes[1:3]] == [
        "nothing is left",
        "the censor of shop failed",
    ]
    assert {memory.content for memory in bench.store.memories().values()} == {
        "my *** here",
        "plain",
    }
    assert bench.embedder.texts == ["my *** here", "plain"]


async def test_a_single_write_returns_rejections_and_raises_failures() -> None:
    """In a single write, a rejection by a screening gate is the outcome, and an error of a gate is
    raised.
    """
    bench = Bench(gates=(Censor("secret"),))
    assert (await bench.ingestor.write_one(SCOPE, draft("secret"))).reason == "nothing is left"
    with pytest.raises(Unavailable, match="failed"):
        await bench.ingestor.write_one(SCOPE, draft("crash"))


@pytest.mark.parametrize("call", ["get", "related", "write"])
async def test_a_failing_store_affects_only_its_piece(call: str) -> None:
    bench = Bench(store=ObservedStore(failing(AWAY, call, 1)))
    outcomes = await bench.ingestor.write(SCOPE, [draft(f"m{index}") for index in range(2 * PIECE)])
    assert statuses(outcomes) == [WriteStatus.FAILED] * PIECE + [WriteStatus.STORED] * PIECE
    assert {outcome.reason for outcome in outcomes[:PIECE]} == {"the store is away"}
    assert len(bench.store.memories()) == PIECE


async def test_a_batch_retries_a_full_encoder() -> None:
    """While the encoder is overloaded, embedding a batch is tried up to five times. Then its drafts
    fail.
    """
    full = Overloaded("the queue is full", retry_after_s=0)
    patient = Bench(embedder=CountingEmbedder(failing(full, "embed", 1, 2, 3, 4)))
    assert statuses(await patient.ingestor.write(SCOPE, [draft("m")])) == [WriteStatus.STORED]
    hopeless = Bench(embedder=CountingEmbedder(failing(full, "embed", 1, 2, 3, 4, 5)))
    assert statuses(await hopeless.ingestor.write(SCOPE, [draft("m")])) == [WriteStatus.FAILED]


@pytest.mark.parametrize(
    "error", [Overloaded("the queue is full"), Unavailable("the engine is away")]
)
async def test_a_single_write_raises_encoder_errors_at_once(
    error: Overloaded | Unavailable,
) -> None:
    bench = Bench(embedder=CountingEmbedder(failing(error, "embed", 1)))
    with pytest.raises(type(error)):
        await bench.ingestor.write_one(SCOPE, draft("m"))
    assert bench.store.memories() == {}
    assert (await bench.ingestor.write_one(SCOPE, draft("m"))).status is WriteStatus.STORED


class AnnouncingEmbedder(CountingEmbedder):
    """An encoder that sets the event `fourth` when it is called for the fourth time."""

    def __init__(self) -> None:
        super().__init__()
        self.fourth = anyio.Event()

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """The vectors of the texts. The fourth call sets the event `fourth`."""
        if self.calls == 3:
            self.fourth.set()
        return await super().embed_documents(texts)


class WaitingStore(ObservedStore):
    """A memory store whose writes wait until `event` is set."""

    def __init__(self, event: anyio.Event) -> None:
        super().__init__()
        self.event = event

    async def write(
        self,
        scope: Scope,
        records: Sequence[Record],
        changes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Store the records after `event` is set."""
        await self.event.wait()
        await super().write(scope, records, changes)


async def test_the_next_piece_is_embedded_while_one_is_written() -> None:
    """A batch is written in pieces. The next pieces are embedded while the store still writes the
    first one.
    """
    embedder = AnnouncingEmbedder()
    bench = Bench(store=WaitingStore(embedder.fourth), embedder=embedder)
    with anyio.fail_after(20):
        outcomes = await bench.ingestor.write(
            SCOPE, [draft(f"m{index}") for index in range(4 * PIECE)]
        )
    assert [outcome.status for outcome in outcomes] == [WriteStatus.STORED] * 4 * PIECE

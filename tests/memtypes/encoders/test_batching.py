"""Batchers, which process inputs of several calls at once, and embedders that use them, without a
model.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest

from memtypes.encoders.batching import BatchedEmbedder, Batcher, BatchSettings, truncated
from memtypes.model.errors import Overloaded, Unavailable
from memtypes.search.vectors import Embedding, InContext

pytestmark = pytest.mark.anyio

WAIT_S = 5


class Doubler:
    """A batch function that doubles numbers. It records its batches, and waits until the event
    `open` is set.
    """

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        """Return the doubles once `open` is set."""
        self.batches.append(list(numbers))
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.open.wait(WAIT_S)
        return [number * 2 for number in numbers]


class CountingEmbedder(BatchedEmbedder):
    """An embedder that records the queries it embeds; it raises `error` if that is set."""

    def __init__(self, cached_queries: int) -> None:
        self.embedded: list[str] = []
        self.error: Exception | None = None
        self.open = threading.Event()
        self.open.set()
        settings = BatchSettings(
            batch_size=4, waiting_queries=9, waiting_documents=9, cached_queries=cached_queries
        )
        super().__init__("counting", 1, self._embed, settings)

    def _embed(self, texts: Sequence[InContext]) -> list[Embedding]:
        self.embedded.extend(text.text for text in texts)
        assert self.open.wait(WAIT_S)
        if self.error:
            raise self.error
        return [Embedding(np.ones(1, np.float32)) for _ in texts]


def start(
    work: Callable[[Sequence[int]], list[int]], *, batch_size: int = 4, waiting: int = 100
) -> Batcher[int, int]:
    """A running batcher that processes its batches with `work`."""
    return Batcher("test batcher", work, batch_size=batch_size, max_waiting=waiting)


@contextmanager
def blocked(work: Doubler) -> Iterator[None]:
    """Context manager: `work` finishes no batch until the context exits."""
    work.entered.clear()
    work.open.clear()
    try:
        yield
    finally:
        work.open.set()


async def occupy(batcher: Batcher[int, int], work: Doubler) -> asyncio.Task[list[int]]:
    """Start a call and return once its batch is running and blocked."""
    task = asyncio.create_task(batcher.run([0]))
    assert await asyncio.to_thread(work.entered.wait, WAIT_S)
    return task


async def test_outputs_are_in_the_order_of_the_inputs() -> None:
    """Outputs have the order of the inputs, even if a call needs several batches; all batches run
    in one thread.
    """
    work = Doubler()
    batcher = start(work, batch_size=3)
    assert await batcher.run(list(range(10))) == [number * 2 for number in range(10)]
    assert [len(batch) for batch in work.batches] == [3, 3, 3, 1]
    assert len(work.threads) == 1
    await batcher.aclose()


async def test_an_empty_call_needs_no_batch() -> None:
    """A call without inputs returns an empty list and runs no batch."""
    work = Doubler()
    batcher = start(work)
    assert await batcher.run([]) == []
    assert work.batches == []
    await batcher.aclose()


async def test_waiting_calls_share_a_batch() -> None:
    """Calls that were queued while a batch ran are processed together in the next batch."""
    work = Doubler()
    batcher = start(work)
    with blocked(work):
        first = await occupy(batcher, work)
        waiting = [asyncio.create_task(batcher.run([number])) for number in (1, 2, 3)]
        await asyncio.sleep(0)
    assert await asyncio.gather(first, *waiting) == [[0], [2], [4], [6]]
    assert work.batches == [[0], [1, 2, 3]]
    await batcher.aclose()


async def test_a_short_call_does_not_wait_for_all_of_a_long_one() -> None:
    work = Doubler()
    batcher = start(work, batch_size=2)
    with blocked(work):
        first = await occupy(batcher, work)
        long = asyncio.create_task(batcher.run([1, 2, 3, 4, 5, 6]))
        await asyncio.sleep(0)
        short = asyncio.create_task(batcher.run([9]))
        await asyncio.sleep(0)
    assert list(await asyncio.gather(first, long, short)) == [[0], [2, 4, 6, 8, 10, 12], [18]]
    assert work.batches == [[0], [1, 2], [9, 3], [4, 5], [6]]
    await batcher.aclose()


async def test_a_call_that_exceeds_the_queue_is_refused() -> None:
    """A call for whose inputs the queue has no room is refused; calls that already wait are still
    processed.
    """
    work = Doubler()
    batcher = start(work, waiting=3)
    with blocked(work):
        first = await occupy(batcher, work)
        second = asyncio.create_task(batcher.run([1, 2]))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="test batcher has 2 texts waiting"):
            await batcher.run([3, 4])
        third = asyncio.create_task(batcher.run([5]))
        await asyncio.sleep(0)
    assert list(await asyncio.gather(first, second, third)) == [[0], [2, 4], [10]]
    assert await batcher.run([7]) == [14]
    await batcher.aclose()


async def test_a_call_larger_than_the_queue_is_accepted_if_nothing_waits() -> None:
    """A call with more inputs than the queue holds is accepted if the queue is empty, as it could
    not run otherwise.
    """
    batcher = start(Doubler(), waiting=3)
    assert len(await batcher.run(list(range(50)))) == 50
    await batcher.aclose()


async def test_every_call_in_a_failing_batch_gets_the_error() -> None:
    """If a batch fails, all calls with inputs in it raise the error, and the rest of their inputs
    is not processed.

    Later calls succeed.
    """

    def work(numbers: Sequence[int]) -> list[int]:
        if 13 in numbers:
            raise ValueError("unlucky")
        return list(numbers)

    batcher = start(work, batch_size=2, waiting=8)
    with pytest.raises(ValueError, match="unlucky"):
        await batcher.run([13, 2, 3, 4, 5, 6, 7, 8])
    assert await batcher.run([1, 2, 3]) == [1, 2, 3]
    await batcher.aclose()


async def test_a_cancelled_call_leaves_the_queue() -> None:
    """The inputs of a cancelled call that waits are not processed, and take no room in the
    queue.
    """
    work = Doubler()
    batcher = start(work, waiting=2)
    with blocked(work):
        first = await occupy(batcher, work)
        cancelled = asyncio.create_task(batcher.run([1, 2]))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    assert await first == [0]
    assert await batcher.run([5]) == [10]
    assert work.batches == [[0], [5]]
    await batcher.aclose()


async def test_a_call_cancelled_between_batches_is_dropped() -> None:
    work = Doubler()
    batcher = start(work, batch_size=1)
    with blocked(work):
        long = asyncio.create_task(batcher.run([1, 2, 3]))
        assert await asyncio.to_thread(work.entered.wait, WAIT_S)
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
    assert await batcher.run([5]) == [10]
    assert work.batches == [[1], [5]]
    await batcher.aclose()


async def test_closing_finishes_the_current_batch_and_refuses_other_calls() -> None:
    """Once the batcher is closed, the running batch is finished; waiting and later calls raise
    Unavailable.
    """
    work = Doubler()
    batcher = start(work, batch_size=1)
    with blocked(work):
        first = await occupy(batcher, work)
        waiting = asyncio.create_task(batcher.run([1]))
        await asyncio.sleep(0)
        closing = asyncio.create_task(batcher.aclose())
        await asyncio.sleep(0)
    await closing
    assert await first == [0]
    with pytest.raises(Unavailable, match="test batcher is closed"):
        await waiting
    with pytest.raises(Unavailable, match="test batcher is closed"):
        await batcher.run([2])
    await batcher.aclose()


async def test_a_repeated_query_is_embedded_once() -> None:
    embedder = CountingEmbedder(8)
    first = await embedder.embed_query("a")
    assert await embedder.embed_query("a") is first
    assert await embedder.embed_query("b") is not first
    assert embedder.embedded == ["a", "b"]
    await embedder.aclose()


@pytest.mark.parametrize(("size", "embedded"), [(0, "abacab"), (2, "abcb")])
async def test_the_least_recently_used_query_is_dropped_from_the_cache(
    size: int, embedded: str
) -> None:
    """A full cache drops the query that was unused for longest; a cache of size 0 stores
    nothing.
    """
    embedder = CountingEmbedder(size)
    for text in "abacab":
        await embedder.embed_query(text)
    assert "".join(embedder.embedded) == embedded
    await embedder.aclose()


async def test_concurrent_calls_with_the_same_query_share_one_computation() -> None:
    """Concurrent calls with the same query embed it once; cancelling one call does not cancel the
    others.
    """
    embedder = CountingEmbedder(8)
    embedder.open.clear()
    calls = [asyncio.create_task(embedder.embed_query("a")) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    embedder.open.set()
    second, third = await asyncio.gather(*calls[1:])
    assert second is third
    assert calls[0].cancelled()
    assert embedder.embedded == ["a"]
    await embedder.aclose()


async def test_errors_are_not_cached() -> None:
    """All callers that wait for the embedding of a query get its error; a later call embeds the
    query again.
    """
    embedder = CountingEmbedder(8)
    embedder.error = Overloaded("full")
    answers = await asyncio.gather(
        embedder.embed_query("a"), embedder.embed_query("a"), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [Overloaded, Overloaded]
    embedder.error = None
    await embedder.embed_query("a")
    assert embedder.embedded == ["a", "a"]
    await embedder.aclose()


async def test_documents_and_pings_bypass_the_cache() -> None:
    """Documents, and the text that `ping()` embeds as a test, are embedded each time; only queries
    are cached.
    """
    embedder = CountingEmbedder(8)
    assert len(await embedder.embed_documents(["x", "x"])) == 2
    await embedder.ping()
    await embedder.ping()
    assert embedder.embedded == ["x", "x", "ping", "ping"]
    await embedder.aclose()


def test_a_long_text_is_truncated_without_tokenizing_it() -> None:
    """In a long text, each run of blanks becomes one blank, then the text is cut. A short text
    keeps its blanks.

    Lone surrogates become "?".
    """
    assert truncated("a  b", 1) == "a  b"
    assert truncated("a" + " " * 100 + "b", 1) == "a b"
    assert truncated("x" * 100, 1) == "x" * 64
    assert truncated("\ud800", 1) == "?"

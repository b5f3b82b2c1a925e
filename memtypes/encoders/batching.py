"""Base class of the embedders: batches in worker threads, a cache of queries, truncation of long
texts.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import Generic, TypeVar

import anyio
from anyio import to_thread
from cachetools import LRUCache

from memtypes.model.errors import Overloaded, Unavailable
from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import Embedding, InContext

In = TypeVar("In")
Out = TypeVar("Out")

CHARACTERS_PER_TOKEN = 64
"""Upper bound for the characters of a token; in BERT's vocabulary a token has 4 on average and at
most 18.
"""

_BLANKS = re.compile(r"[ \t\r\n]{2,}")


def truncated(text: str, max_tokens: int) -> str:
    """Cut a long `text` to a beginning that has at least `max_tokens` tokens. Lone surrogates
    become question marks.
    """
    limit = max_tokens * CHARACTERS_PER_TOKEN
    if len(text) > limit:
        text = _BLANKS.sub(" ", text)[:limit]
    return text.encode("utf-8", "replace").decode("utf-8")


@dataclass(slots=True, eq=False)
class _Call(Generic[In, Out]):
    inputs: Sequence[In]
    future: Future[list[Out]] = field(default_factory=Future)
    started: int = 0  # number of inputs that are in a batch or processed
    outputs: list[Out] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        return len(self.inputs) - self.started

    def fail(self, error: BaseException) -> None:
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Batcher(Generic[In, Out]):
    """A worker thread that processes inputs of many callers in batches. A long call is split into
    several batches.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[In]], Sequence[Out]],
        *,
        batch_size: int,
        max_waiting: int,
    ) -> None:
        """Start the thread. work: function that processes a batch. max_waiting: maximum of inputs
        in the queue.
        """
        self._name = name
        self._work = work
        self._batch_size = batch_size
        self._max_waiting = max_waiting
        self._queue: SimpleQueue[_Call[In, Out] | None] = SimpleQueue()
        self._unanswered: set[_Call[In, Out]] = set()  # used by the event loop alone
        self._closed = False
        # A daemon: a program that does not close its batcher can still exit.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def run(self, inputs: Sequence[In]) -> list[Out]:
        """Wait until the worker thread has processed `inputs`; return one output for each input, in
        order.

        Raises Overloaded if the queue is full, Unavailable if the batcher is closed, and any error
        of the function that processes a batch. A call with more inputs than the queue can hold is
        accepted if the queue is empty.
        """
        if not inputs:
            return []
        if self._closed:
            raise Unavailable(f"{self._name} is closed")
        waiting = sum(call.waiting for call in self._unanswered)
        if waiting and waiting + len(inputs) > self._max_waiting:
            raise Overloaded(f"{self._name} has {waiting} texts waiting; try again soon")
        call: _Call[In, Out] = _Call(inputs)
        self._unanswered.add(call)
        self._queue.put(call)
        try:
            return await asyncio.wrap_future(call.future)
        finally:
            self._unanswered.remove(call)

    async def aclose(self) -> None:
        """Finish the current batch and stop the thread. Calls that still wait raise Unavailable."""
        self._closed = True
        self._queue.put(None)
        await to_thread.run_sync(self._thread.join)
        for call in self._unanswered:
            call.fail(Unavailable(f"{self._name} is closed"))

    def _serve(self) -> None:
        while batch := self._next_batch():
            try:
                outputs = iter(self._work([value for _, inputs in batch for value in inputs]))
            except Exception as error:  # noqa: BLE001 - raised to the callers of this batch
                for call, _ in batch:
                    call.fail(error)
                continue
            for call, inputs in batch:
                call.outputs += islice(outputs, len(inputs))
                if (
                    len(call.outputs) == len(call.inputs)
                    and call.future.set_running_or_notify_cancel()
                ):
                    call.future.set_result(call.outputs)

    def _next_batch(self) -> list[tuple[_Call[In, Out], Sequence[In]]]:
        """Wait for inputs; return the oldest calls, each with its inputs in this batch. Returns []
        once closed.
        """
        batch: list[tuple[_Call[In, Out], Sequence[In]]] = []
        room = self._batch_size
        while room and not (batch and self._queue.empty()):
            call = self._queue.get()
            if self._closed or call is None:
                return []
            if not call.future.done():
                inputs = call.inputs[call.started : call.started + room]
                call.started += len(inputs)
                room -= len(inputs)
                batch.append((call, inputs))
        for call, _ in batch:
            if call.waiting:
                self._queue.put(call)
        return batch


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """Sizes of an embedder's batches, queues and cache.

    batch_size: maximum documents in a batch. query_batch_size: maximum queries in a batch.
    waiting_queries, waiting_documents: maximum texts in the queue of queries and in that of
    documents; further calls raise Overloaded. cached_queries: number of queries whose embeddings
    are cached; the least recently used query is dropped first.
    """

    batch_size: int = 8
    query_batch_size: int = 1
    waiting_queries: int = 256
    waiting_documents: int = 8_192
    cached_queries: int = 0


class BatchedEmbedder(Embedder):
    """An embedder with a batcher for queries and one for documents. Concurrent calls with one query
    embed it once.
    """

    ping_s = 5.0
    """Seconds within which `ping` must get an embedding."""

    def __init__(
        self,
        fingerprint: str,
        dimensions: int,
        embed: Callable[[Sequence[InContext]], Sequence[Embedding]],
        settings: BatchSettings,
    ) -> None:
        self.fingerprint = fingerprint
        self.dimensions = dimensions
        self._queries = Batcher(
            "query embedding",
            embed,
            batch_size=settings.query_batch_size,
            max_waiting=settings.waiting_queries,
        )
        self._documents = Batcher(
            "document embedding",
            embed,
            batch_size=settings.batch_size,
            max_waiting=settings.waiting_documents,
        )
        # Keyed by digest: a query of 20,000 characters takes no more room than a short one.
        self._cache: LRUCache[bytes, Embedding] = LRUCache(settings.cached_queries)
        self._pending: dict[bytes, asyncio.Task[list[Embedding]]] = {}

    async def embed_query(self, text: str) -> Embedding:
        """Return the embedding of a query, from the cache if it is there. Raises Overloaded if the
        queue is full.
        """
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        cached = self._cache.get(key)
        if cached is not None:
            return cached
        if key not in self._pending:
            task = self._pending[key] = asyncio.create_task(self._queries.run([InContext(text)]))
            task.add_done_callback(partial(self._remember, key))
        # Shielded: cancelling one caller must not cancel the others.
        return (await asyncio.shield(self._pending[key]))[0]

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Return one embedding for each text, in order."""
        return await self.embed_in_context([InContext(text) for text in texts])

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """Return one embedding for each text, in order. The model may take the turns before a text
        into account.
        """
        return await self._documents.run(texts)

    async def ping(self) -> None:
        """Embed a query as a test. Raises Unavailable if that takes more than `ping_s` seconds or
        the queue is full.
        """
        try:
            with anyio.fail_after(self.ping_s):
                await self._queries.run([InContext("ping")])
        except (TimeoutError, Overloaded) as error:
            raise Unavailable(f"the encoder did not answer in {self.ping_s:g} s") from error

    async def aclose(self) -> None:
        """Finish the batches that are being embedded, then stop the worker threads."""
        await self._queries.aclose()
        await self._documents.aclose()

    def _remember(self, key: bytes, task: asyncio.Task[list[Embedding]]) -> None:
        del self._pending[key]
        # exception() also marks it as retrieved, in case every caller was cancelled
        if not task.cancelled() and task.exception() is None and self._cache.maxsize:
            self._cache[key] = task.result()[0]

"""Records receipts in the background, so that answers do not wait for a disk.

An answer contains the id of its receipt, which is written later, in a batch with others. If the
store may be away, the answer waits for the write, and reports if it fails. Queued receipts are lost
if the process is killed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.receipts import ReceiptStore, SealedReceipt, UnsealedReceipt, receipt_id
from retrieval.answer import RetrieveAnswer
from retrieval.context.live_notes import LIVE_DEGRADED
from retrieval.receipts.build import receipt_body
from retrieval.result import Retrieval

MAX_WAITING = 64
"""Maximum number of queued receipts; each holds the candidates of its retrieval, some 300 kB."""

BATCH = 16
"""Maximum number of receipts in one write."""

ROOM_TIMEOUT_S = 5.0
"""Maximum seconds that an answer waits for room in the queue."""

ROOM_POLL_S = 0.1
"""Seconds after which an answer that waits for room checks again whether the store is away."""

UNSURE_TIMEOUT_S = 1.5
"""Maximum seconds that an answer waits for its receipt to be written if the store may be away."""

LINGER_S = 0.01
"""Seconds before a receipt is built, so that its answer is sent first and other receipts join the
batch.
"""

RETRY_S = 0.5
RETRIES = 20
"""Maximum attempts of a write, RETRY_S seconds apart: enough for a restart of the server or a
failover.
"""

RECEIPTS_DEGRADED = "receipts"
"""Entry of an answer's `degraded` if the answer has no receipt."""

BuildReceipt: TypeAlias = Callable[[], UnsealedReceipt]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _WaitingReceipt:
    """A queued receipt. promised: whether its id is sent before the write. written: whether the
    write succeeded.
    """

    tenant: str
    id: str
    build: BuildReceipt
    promised: bool
    written: asyncio.Future[bool] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    async def within(self, seconds: float) -> bool:
        """Wait at most `seconds` for the receipt to be written; return whether it was."""
        done, _ = await asyncio.wait({self.written}, timeout=seconds)
        return bool(done) and self.written.result()


class ReceiptQueue(ReceiptStore):
    """Queues receipts and writes them later. in_touch: whether the store responds. lost: how many
    were not written.
    """

    def __init__(
        self,
        store: ReceiptStore,
        in_touch: Callable[[], bool] = lambda: False,
        room_timeout_s: float = ROOM_TIMEOUT_S,
    ) -> None:
        self.lost = 0
        self._room_timeout_s = room_timeout_s
        self._store = store
        self._in_touch = in_touch
        self._queue: deque[_WaitingReceipt] = deque()
        self._pending: dict[tuple[str, str], _WaitingReceipt] = {}
        self._room = asyncio.Semaphore(MAX_WAITING)
        self._writer: asyncio.Task[None] | None = None
        self._away = False
        self._closing = False

    async def record(self, retrieval: Retrieval, now: datetime) -> RetrieveAnswer:
        """Queue the receipt of a retrieval; return its answer with the receipt's id, or degraded
        without a receipt.
        """
        scope = retrieval.scope
        answer = retrieval.answer
        new_id = receipt_id(now)
        # Receipts are in the same store, which is not asked twice
        if LIVE_DEGRADED in answer.metadata.degraded:
            return answer.degraded_by(RECEIPTS_DEGRADED)

        def build() -> UnsealedReceipt:
            return UnsealedReceipt.from_body(
                scope.namespace, receipt_body(retrieval, new_id, rfc3339(now))
            )

        try:
            await self.put(scope.tenant, new_id, build)
        except Unavailable as error:
            _log.warning("a receipt was not recorded: %s", error)
            return answer.degraded_by(RECEIPTS_DEGRADED)
        return answer.model_copy(update={"receipt_id": new_id})

    async def put(self, tenant: str, receipt_id: str, build: BuildReceipt) -> None:
        """Queue a receipt, which `build` makes later. Raises Unavailable if the queue stays full or
        the write fails.
        """
        await self._wait_for_room()
        queued = _WaitingReceipt(tenant, receipt_id, build, self._in_touch())
        self._queue.append(queued)
        self._pending[tenant, receipt_id] = queued
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        if not queued.promised and not await queued.within(UNSURE_TIMEOUT_S):
            raise Unavailable(f"the store of receipts did not write within {UNSURE_TIMEOUT_S} s")

    async def append(self, tenant: str, receipts: Sequence[UnsealedReceipt]) -> list[SealedReceipt]:
        """Write `receipts` after the tenant's queued ones; return them sealed, that is, hashed and
        chained.
        """
        await self._written_out(tenant)
        return await self._store.append(tenant, receipts)

    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """The JSON text of a receipt, once it is written; None if unknown. Raises Unavailable if
        its write failed.
        """
        waiting = self._pending.get((tenant, receipt_id))
        if waiting is not None and not await waiting.within(RETRY_S * RETRIES):
            raise Unavailable("the receipt could not be written")
        return await self._store.get(tenant, receipt_id)

    async def latest(self, scope: Scope, limit: int, before: str | None = None) -> list[bytes]:
        """JSON texts of the namespace's newest receipts, queued ones too; with `before`, those
        older than this id.
        """
        await self._written_out(scope.tenant)
        return await self._store.latest(scope, limit, before)

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Erase the namespace's receipts, queued ones too; return their number. With a `memory_id`,
        none is erased.
        """
        await self._written_out(scope.tenant)
        return await self._store.erase(scope, memory_id)

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """Number of receipts that `erase` has yet to remove from the namespace; 0 with a
        `memory_id`.
        """
        await self._written_out(scope.tenant)
        return await self._store.remaining(scope, memory_id)

    @property
    def waiting(self) -> int:
        """Number of receipts that are not written yet."""
        return len(self._pending)

    async def aclose(self) -> None:
        """Write the queued receipts, with one attempt each, and stop."""
        self._closing = True
        if self._writer is not None:
            await self._writer

    async def _wait_for_room(self) -> None:
        """Wait for room in the queue. Raises Unavailable after a timeout, or as soon as the store
        is away.
        """
        if not self._away and not self._room.locked():
            await self._room.acquire()
            return
        until = time.monotonic() + self._room_timeout_s
        while not self._away:
            with suppress(TimeoutError):
                async with asyncio.timeout(ROOM_POLL_S):
                    await self._room.acquire()
                    return
            if time.monotonic() >= until:
                raise Unavailable(f"{MAX_WAITING} receipts wait to be written already")
        raise Unavailable("the store of receipts is away")

    async def _written_out(self, tenant: str) -> None:
        """Wait until the tenant's receipts that are in the queue now are written or given up."""
        for waiting in [
            receipt for (owner, _), receipt in self._pending.items() if owner == tenant
        ]:
            await asyncio.wait({waiting.written})

    async def _write(self) -> None:
        while self._queue:
            if self._queue[0].promised and not self._closing:
                await asyncio.sleep(LINGER_S)
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            for tenant in dict.fromkeys(receipt.tenant for receipt in batch):
                await self._write_batch(
                    tenant, [receipt for receipt in batch if receipt.tenant == tenant]
                )

    async def _write_batch(self, tenant: str, batch: Sequence[_WaitingReceipt]) -> None:
        unwritten: list[tuple[_WaitingReceipt, UnsealedReceipt]] = []
        for receipt in batch:
            # Other calls run between two builds, which take about a millisecond each
            await asyncio.sleep(0)
            try:
                unwritten.append((receipt, receipt.build()))
            # A bug: the answer is sent, and other receipts must not suffer
            except Exception:  # noqa: BLE001
                _log.exception("a receipt could not be built")
                self._answer_writers([receipt], written=False)
        for _ in range(RETRIES if unwritten else 0):
            self._away = not await self._appended(tenant, [unsealed for _, unsealed in unwritten])
            finished = [
                receipt for receipt, _ in unwritten if not (self._away and receipt.promised)
            ]
            self._answer_writers(finished, written=not self._away)
            unwritten = [pair for pair in unwritten if self._away and pair[0].promised]
            if not unwritten or self._closing:
                break
            await asyncio.sleep(RETRY_S)
        self._answer_writers([receipt for receipt, _ in unwritten], written=False)
        self._away = False  # the next write finds out whether it still is

    async def _appended(self, tenant: str, receipts: Sequence[UnsealedReceipt]) -> bool:
        try:
            await self._store.append(tenant, receipts)
        except Unavailable as error:
            _log.warning("%d receipts could not be written: %s", len(receipts), error)
            return False
        # A bug: callers that wait for these, such as an erasure, must go on
        except Exception:  # noqa: BLE001
            _log.exception("%d receipts could not be written", len(receipts))
            return False
        return True

    def _answer_writers(self, batch: Sequence[_WaitingReceipt], *, written: bool) -> None:
        for receipt in batch:
            self.lost += receipt.promised and not written
            del self._pending[receipt.tenant, receipt.id]
            receipt.written.set_result(written)
            self._room.release()

"""Receipts on their way to where they are kept: no answer waits for a disk.

An answer goes out with its receipt's id; the receipt is made and written behind it, together with the others that have
come meanwhile: one round trip, one wait for the disk. Whoever reads here finds those that are on their way, too. What
has not been written when the process is killed is lost, and the chain holds without it. While nobody knows whether the
store is there, an answer does wait, so that it can say that it has no receipt.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.receipts import ReceiptStore, SealedReceipt, UnsealedReceipt

MOST = 64
"""Receipts on their way; each holds what its retrieval has found, some 300 kB."""

TOGETHER = 16
"""Receipts of one write."""

ROOM_S = 5.0
"""Seconds that an answer waits for room at most while others are written: more callers than cores slow each other."""

LOOK_S = 0.1
"""How often who waits for room looks whether the store is away."""

WAIT_S = 1.5
"""Seconds that an answer waits for its receipt at most where the store may be away."""

LINGER_S = 0.01
"""Seconds until a receipt is made: its answer is sent first, others come, and the next one waits for the engine."""

RETRY_S = 0.5
RETRIES = 20
"""The live server comes back within a second when it is ours; ten are for a failover."""

Make: TypeAlias = Callable[[], Awaitable[UnsealedReceipt]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """promised: whether the answer is out with its id."""

    tenant: str
    id: str
    make: Make
    promised: bool
    kept: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def within(self, seconds: float) -> bool:
        """Whether it was kept in this time."""
        done, _ = await asyncio.wait({self.kept}, timeout=seconds)
        return bool(done) and self.kept.result()


class ReceiptQueue(ReceiptStore):
    """A store of receipts that is written behind.

    in_touch: whether that store is known to be there. room_s: how long an answer waits for room. lost: receipts that
    were promised and could not be kept.
    """

    def __init__(
        self, store: ReceiptStore, in_touch: Callable[[], bool] = lambda: False, room_s: float = ROOM_S
    ) -> None:
        self.lost = 0
        self._room_s = room_s
        self._store = store
        self._in_touch = in_touch
        self._queue: deque[_Waiting] = deque()
        self._pending: dict[tuple[str, str], _Waiting] = {}
        self._room = asyncio.Semaphore(MOST)
        self._writing: asyncio.Task[None] | None = None
        self._away = False
        self._closing = False

    async def put(self, tenant: str, receipt_id: str, make: Make) -> None:
        """Return when the receipt that `make` makes is on its way. Raises Unavailable when it can't be kept."""
        await self._for_room()
        waiting = _Waiting(tenant, receipt_id, make, self._in_touch())
        self._queue.append(waiting)
        self._pending[tenant, receipt_id] = waiting
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        if not waiting.promised and not await waiting.within(WAIT_S):
            raise Unavailable("the store of receipts does not answer")

    async def append(self, tenant: str, receipts: Sequence[UnsealedReceipt]) -> list[SealedReceipt]:
        """`receipts` sealed and kept, after those that are on their way."""
        await self._settled(tenant)
        return await self._store.append(tenant, receipts)

    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """The text of a receipt; of one that is on its way once it is kept."""
        waiting = self._pending.get((tenant, receipt_id))
        if waiting is not None and not await waiting.within(RETRY_S * RETRIES):
            raise Unavailable("the receipt could not be kept")
        return await self._store.get(tenant, receipt_id)

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Remove every receipt of the scope's namespace, also those that are on their way."""
        await self._settled(scope.tenant)
        return await self._store.erase(scope, memory_id)

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """How many receipts of the scope's namespace are kept or on their way."""
        await self._settled(scope.tenant)
        return await self._store.remaining(scope, memory_id)

    @property
    def waiting(self) -> int:
        """Receipts that are not written yet."""
        return len(self._pending)

    async def aclose(self) -> None:
        """Return when everything is written, or was tried once more."""
        self._closing = True
        if self._writing is not None:
            await self._writing

    async def _for_room(self) -> None:
        """Return when there is room. A queue that moves is waited for, a store that is away is not."""
        until = time.monotonic() + self._room_s
        while not self._away:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._room.acquire()
                    return
            if time.monotonic() >= until:
                raise Unavailable("too many receipts wait to be written")
        raise Unavailable("receipts can't be kept at the moment")

    async def _settled(self, tenant: str) -> None:
        """Return when all of the tenant's that are on their way now have been kept or given up."""
        for waiting in [one for (owner, _), one in self._pending.items() if owner == tenant]:
            await asyncio.wait({waiting.kept})

    async def _write(self) -> None:
        while self._queue:
            if self._queue[0].promised and not self._closing:
                await asyncio.sleep(LINGER_S)
            batch = [self._queue.popleft() for _ in range(min(TOGETHER, len(self._queue)))]
            for tenant in dict.fromkeys(one.tenant for one in batch):
                await self._write_of(tenant, [one for one in batch if one.tenant == tenant])

    async def _write_of(self, tenant: str, batch: Sequence[_Waiting]) -> None:
        made = [(one, await self._made(one)) for one in batch]
        self._settle([one for one, receipt in made if receipt is None], kept=False)
        left = [(one, receipt) for one, receipt in made if receipt is not None]
        for _ in range(RETRIES if left else 0):
            self._away = not await self._kept(tenant, [receipt for _, receipt in left])
            self._settle([one for one, _ in left if not (self._away and one.promised)], kept=not self._away)
            left = [pair for pair in left if self._away and pair[0].promised]
            if not left or self._closing:
                break
            await asyncio.sleep(RETRY_S)
        self._settle([one for one, _ in left], kept=False)
        self._away = False  # where it still is, the next one finds out

    async def _made(self, one: _Waiting) -> UnsealedReceipt | None:
        try:
            return await one.make()
        except Exception:  # noqa: BLE001 - a fault of ours: the answer is out, and other receipts must not suffer
            _log.exception("a receipt could not be made")
            return None

    async def _kept(self, tenant: str, receipts: Sequence[UnsealedReceipt]) -> bool:
        try:
            await self._store.append(tenant, receipts)
        except Unavailable as error:
            _log.warning("%d receipts could not be written: %s", len(receipts), error)
            return False
        except Exception:  # noqa: BLE001 - a fault of ours: whoever waits for these, an erasure too, must be told
            _log.exception("%d receipts could not be written by a fault", len(receipts))
            return False
        return True

    def _settle(self, batch: Sequence[_Waiting], *, kept: bool) -> None:
        for one in batch:
            self.lost += one.promised and not kept
            del self._pending[one.tenant, one.id]
            one.kept.set_result(kept)
            self._room.release()

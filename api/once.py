"""Answers that are given again: a batch sent twice with one idempotency key is written once.

Kept in this process's memory, bounded and for 24 hours. After a restart the same batch is written again, which is
harmless: ids follow from the content, so it merges.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio

from memtypes.errors import Conflict
from memtypes.times import Clock, system_clock

KEPT_FOR = timedelta(hours=24)
MAX_BYTES = 64 * 1024 * 1024
MAX_ANSWERS = 10_000


@dataclass(slots=True)
class _Entry:
    digest: bytes
    at: datetime
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    answer: bytes | None = None


class RecentAnswers:
    """The answers of the last 24 hours, by tenant and key."""

    def __init__(self, clock: Clock = system_clock, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    async def once(self, key: tuple[str, str], digest: bytes, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """What `make` gave for `key` the first time; `make` runs once, also when two ask at the same moment.

        digest: of the body. Raises Conflict when the key came with another one. A call that fails leaves no trace.
        """
        self._forget_old()
        entry = self._entries.setdefault(key, _Entry(digest, self._clock()))
        if entry.digest != digest:
            raise Conflict("this Idempotency-Key came with another body in the last 24 hours; use a new key")
        async with entry.lock:
            if entry.answer is None:
                entry.answer = await self._made(key, make)
            return entry.answer

    def forget(self, tenant: str) -> int:
        """How many finished answers of `tenant` were dropped."""
        finished = [key for key, entry in self._entries.items() if key[0] == tenant and entry.answer is not None]
        for key in finished:
            self._bytes -= len(self._entries.pop(key).answer or b"")
        return len(finished)

    def count(self, tenant: str) -> int:
        """How many finished answers of `tenant` there are."""
        return sum(key[0] == tenant and entry.answer is not None for key, entry in self._entries.items())

    async def _made(self, key: tuple[str, str], make: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            answer = await make()
        except BaseException:
            self._entries.pop(key, None)
            raise
        self._bytes += len(answer)
        return answer

    def _forget_old(self) -> None:
        """Drop answers from the oldest on, until the rest is young and small enough; a call under way stays."""
        oldest_kept = self._clock() - KEPT_FOR
        while self._is_due(oldest_kept):
            key, entry = next(iter(self._entries.items()))
            if entry.answer is None:
                return
            self._bytes -= len(entry.answer)
            del self._entries[key]

    def _is_due(self, oldest_kept: datetime) -> bool:
        first = next(iter(self._entries.values()), None)
        return first is not None and (first.at < oldest_kept or not self._fits())

    def _fits(self) -> bool:
        return self._bytes <= self._max_bytes and len(self._entries) < MAX_ANSWERS

"""Calls that are made once: what comes again with the same idempotency key gets the answer of the first time.

Knows neither what is asked nor what is answered. The answers are kept by a store that the processes of a service share;
two calls at the same moment wait for each other within one process, and in two the first to have finished is right.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from memtypes.model.errors import Conflict
from memtypes.model.scope import Scope
from memtypes.ports.answers import AnswerStore, StoredAnswer


@dataclass(slots=True)
class _Turn:
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    waiting: int = 0


class Once:
    """Makes each call once."""

    def __init__(self, answers: AnswerStore) -> None:
        self._answers = answers
        self._turns: dict[tuple[str, str], _Turn] = {}

    async def answer(self, scope: Scope, key: str, digest: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """What `make` gave for `key` of the scope's tenant the first time.

        digest: of what is asked. Raises Conflict when the key came with another one, and Unavailable when nobody can
        say whether it came. A call that fails leaves no trace.
        """
        async with self._turn((scope.tenant, key)):
            known = await self._answers.get(scope, key)
            if known is None:
                made = StoredAnswer(digest, (await make()).decode())
                known = await self._answers.put_if_absent(scope, key, made)
        if known.digest != digest:
            raise Conflict("this Idempotency-Key came with another body in the last 24 hours; use a new key")
        return known.answer.encode()

    @asynccontextmanager
    async def _turn(self, key: tuple[str, str]) -> AsyncIterator[None]:
        turn = self._turns.setdefault(key, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[key]

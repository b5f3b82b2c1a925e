"""Idempotent calls: a call that is repeated with its idempotency key gets the first answer.

Answers are kept in a store that all processes of a service share. Two calls at the same time wait for each other within
a process; of two processes, the first to finish wins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

import anyio

from memtypes.model.errors import Conflict
from memtypes.model.scope import Scope
from memtypes.ports.answers import AnswerStore, StoredAnswer


class IdempotentCalls:
    """Runs each call once."""

    def __init__(self, answers: AnswerStore) -> None:
        self._answers = answers
        self._locks: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    async def answer(self, scope: Scope, key: str, digest: str, call: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer of the first `call` with this `key` of the tenant.

        digest: of the request. Raises Conflict when the key came with another digest, and Unavailable when the store
        is away. A call that fails stores nothing.
        """
        async with self._locks.setdefault((scope.tenant, key), anyio.Lock()):
            stored = await self._answers.get(scope, key)
            if stored is None:
                answer = StoredAnswer(digest, (await call()).decode())
                stored = await self._answers.put_if_absent(scope, key, answer)
        if stored.digest != digest:
            raise Conflict("this Idempotency-Key came with another body in the last 24 hours; use a new key")
        return stored.answer.encode()

"""Idempotency keys: a call that is repeated with the same key gets the answer of the first call.

Answers are kept in a store that all processes of a service share. If two calls with the same key
come at once to one process, the second waits for the first. If they come to two processes, both run
and return the answer stored first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

import anyio

from api.http.problems import InvalidInput
from api.http.request import ApiRequest
from memtypes.model.errors import Conflict
from memtypes.model.scope import Scope
from memtypes.ports.answers import AnswerStore, StoredAnswer

MAX_KEY = 256


def idempotency_key(request: ApiRequest) -> str | None:
    """The request's Idempotency-Key header; None if it has none. Raises InvalidInput if the key is
    malformed.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= MAX_KEY and key.isprintable()):
        raise InvalidInput.at("Idempotency-Key", f"must have 1 to {MAX_KEY} printable characters")
    return key


class IdempotentCalls:
    """Runs a call once for each idempotency key and stores its answer."""

    def __init__(self, answers: AnswerStore) -> None:
        self._answers = answers
        self._locks: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    async def answer(
        self, scope: Scope, key: str, digest: str, call: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """The stored answer for the tenant's `key`, or the answer of `call`, which is then stored.

        digest: hash of the request. Raises Conflict if the key was used with another digest, and
        Unavailable when the store of answers does not respond. If `call` raises, nothing is stored.
        """
        async with self._locks.setdefault((scope.tenant, key), anyio.Lock()):
            stored = await self._answers.get(scope, key)
            if stored is None:
                answer = StoredAnswer(digest, (await call()).decode())
                stored = await self._answers.put_if_absent(scope, key, answer)
        if stored.digest != digest:
            raise Conflict(
                "this Idempotency-Key came with another body in the last 24 hours; use a new key"
            )
        return stored.answer.encode()

"""Answers to API calls by idempotency key, on Redis: for each tenant a hash, and a sorted set of
their times.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from memtypes.model.scope import Scope
from memtypes.model.times import Clock, milliseconds
from memtypes.ports.answers import ANSWER_TTL, AnswerStore, StoredAnswer
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import tenant_key
from memtypes.stores.redis.scripts import Script

MAX_BYTES = 64 * 1024 * 1024
"""Maximum size of a tenant's stored answers in bytes. The answer to a batch of 1,000 memories has
about 100 KiB.
"""

_TTL_MS = int(ANSWER_TTL.total_seconds() * 1_000)

_GET, _PUT, _NAMESPACE = (
    Script.load("answer_common", f"answer_{name}") for name in ("get", "put", "namespace")
)


class RedisAnswers(AnswerStore):
    """Implements `AnswerStore` on Redis: stores answers to API calls. A tenant's answers are in one
    cluster slot.
    """

    def __init__(self, live: LiveClient, clock: Clock, max_bytes: int = MAX_BYTES) -> None:
        self._live = live
        self._clock = clock
        self._max_bytes = max_bytes

    async def get(self, scope: Scope, key: str) -> StoredAnswer | None:
        """Return the API answer stored under an idempotency key; None if there is none. See
        `AnswerStore`.
        """
        arguments = (key, milliseconds(self._clock()) - _TTL_MS)
        record = await self._live.script(_GET, _keys(scope), arguments, idempotent=True)
        return _answer(record) if record else None

    async def put_if_absent(self, scope: Scope, key: str, answer: StoredAnswer) -> StoredAnswer:
        """Store an API answer, unless its idempotency key has one already. Returns the stored
        answer, new or old.
        """
        record = f"{_prefix(scope)}{answer.digest}/{answer.answer}"
        arguments = (key, record, milliseconds(self._clock()), _TTL_MS, self._max_bytes)
        return _answer(await self._live.script(_PUT, _keys(scope), arguments, idempotent=True))

    # Answers are not stored by memory
    async def erase(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002
        """Remove all API answers of the namespace, as any may contain the memory; return how many
        were removed.
        """
        return await self._count(scope, "drop")

    # Answers are not stored by memory
    async def remaining(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002
        """The number of API answers stored for the namespace. `memory_id` is ignored: any may
        contain the memory.
        """
        return await self._count(scope, "count")

    async def _count(self, scope: Scope, mode: str) -> int:
        return int(
            await self._live.script(
                _NAMESPACE, _keys(scope), [_prefix(scope), mode], idempotent=True
            )
        )


def _keys(scope: Scope) -> tuple[str, str]:
    return tenant_key(scope.tenant, "answers"), tenant_key(scope.tenant, "answer-times")


def _prefix(scope: Scope) -> str:
    return quote(scope.namespace, safe="") + "/"


def _answer(record: Any) -> StoredAnswer:
    _, digest, answer = str(record).split("/", 2)
    return StoredAnswer(digest, answer)

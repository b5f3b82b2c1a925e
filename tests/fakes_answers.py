"""An in-memory store of answers by idempotency key."""

from __future__ import annotations

from datetime import datetime

from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.answers import ANSWER_TTL, AnswerStore, StoredAnswer


class FakeAnswers(AnswerStore):
    """Answers with their namespaces and times in a dictionary by idempotency key, oldest first."""

    def __init__(self, clock: Clock, max_bytes: int = 1_000_000) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._answers: dict[tuple[str, str], tuple[str, datetime, StoredAnswer]] = {}

    async def get(self, scope: Scope, key: str) -> StoredAnswer | None:
        """Return the stored answer of a key; None if there is none or it has expired."""
        stored = self._answers.get((scope.tenant, key))
        return stored[2] if stored and stored[1] > self._clock() - ANSWER_TTL else None

    async def put_if_absent(self, scope: Scope, key: str, answer: StoredAnswer) -> StoredAnswer:
        """Return the answer that is already stored under the key; otherwise store `answer` and
        return it.

        If all answers together then have more than `max_bytes` bytes, the oldest are removed.
        """
        stored = await self.get(scope, key)
        if stored is not None:
            return stored
        self._answers[scope.tenant, key] = (scope.namespace, self._clock(), answer)
        while sum(len(one.answer) for _, _, one in self._answers.values()) > self._max_bytes:
            del self._answers[next(iter(self._answers))]
        return answer

    # Answers are not stored by memory
    async def erase(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002
        """Remove the answers to calls in the namespace and return their number. `memory_id` is
        ignored.
        """
        keys = self._keys(scope)
        for key in keys:
            del self._answers[key]
        return len(keys)

    # As above
    async def remaining(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002
        """Return the number of stored answers to calls in the namespace. `memory_id` is ignored."""
        return len(self._keys(scope))

    def _keys(self, scope: Scope) -> list[tuple[str, str]]:
        return [
            key
            for key, stored in self._answers.items()
            if (key[0], stored[0]) == (scope.tenant, scope.namespace)
        ]

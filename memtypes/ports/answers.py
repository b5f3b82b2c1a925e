"""Port of the store of answers by idempotency key, so that a repeated call gets the answer of the first call."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from datetime import timedelta

from memtypes.model.scope import Scope
from memtypes.ports.erasure import Erasable

ANSWER_TTL = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer of the API, and the digest of the request that it answers."""

    digest: str
    answer: str


class AnswerStore(Erasable):
    """Stores the answer to each call under its tenant and idempotency key for ANSWER_TTL; if full, drops the oldest.

    A tenant uses a key for one call, whatever the namespace; `erase` removes the answers to calls about one namespace.
    Raises Unavailable when the store can't be reached.
    """

    @abstractmethod
    async def get(self, scope: Scope, key: str) -> StoredAnswer | None:
        """Return the answer stored under the tenant's `key`; None if there is none."""

    @abstractmethod
    async def put_if_absent(self, scope: Scope, key: str, answer: StoredAnswer) -> StoredAnswer:
        """Store `answer` unless there is one under `key`; return the stored one."""

"""Port of the store of API answers by idempotency key: a repeated call gets the answer of the first
call.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from memtypes.model.scope import Scope
from memtypes.ports.erasure import Erasable

ANSWER_TTL = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A stored API answer. digest: hash of the request; one with the same key and another hash is
    refused.
    """

    digest: str
    answer: str


class AnswerStore(Erasable, Protocol):
    """Stores the answers to API calls by tenant and idempotency key for ANSWER_TTL. A full store
    drops the oldest.

    A key identifies one call of a tenant, across its namespaces. `erase` removes all answers to
    calls in the scope's namespace. Every method raises Unavailable when the store can't be reached.
    """

    async def get(self, scope: Scope, key: str) -> StoredAnswer | None:
        """Return the answer stored under the tenant's idempotency `key`; None if there is no
        answer.
        """

    async def put_if_absent(self, scope: Scope, key: str, answer: StoredAnswer) -> StoredAnswer:
        """Store `answer` unless the tenant's idempotency `key` has an answer already; return the
        stored answer.
        """

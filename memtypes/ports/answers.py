"""The port for answers that are given again: a call that comes twice with one idempotency key is made once."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from datetime import timedelta

from memtypes.model.scope import Scope
from memtypes.ports.erasure import Erasable

KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Given:
    """An answer, and the digest of what was asked."""

    digest: str
    answer: str


class AnswerStore(Erasable):
    """Answers by tenant and key for 24 hours, bounded: beyond its size a store lets the oldest go.

    A key stands for one call in the whole tenant. What is erased is what was answered about the scope's namespace.
    Raises Unavailable when the store is away.
    """

    @abstractmethod
    async def get(self, scope: Scope, key: str) -> Given | None:
        """What was answered under `key` in the scope's tenant."""

    @abstractmethod
    async def keep(self, scope: Scope, key: str, given: Given) -> Given:
        """What is kept under `key`: `given`, or what was there before it, which stays."""

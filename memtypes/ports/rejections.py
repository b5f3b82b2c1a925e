"""Port of the store of rejected texts, which the service did not store as memories. Callers can
store them later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from memtypes.model.scope import Scope

REJECTED_TTL = timedelta(days=30)
MAX_REJECTED = 1_000
"""Maximum number of rejected texts that are kept for a namespace; beyond it the oldest are
dropped.
"""


@dataclass(frozen=True, slots=True)
class RejectedText:
    """A text that was not stored as a memory. reason: why. fields: those of the draft, as JSON
    without secrets.
    """

    id: str
    at: datetime
    reason: str
    fields: Mapping[str, Any]


class RejectionStore(Protocol):
    """Stores rejected texts for REJECTED_TTL. Every method raises Unavailable when the store can't
    be reached.
    """

    async def add(self, scope: Scope, rejected: Sequence[RejectedText]) -> None:
        """Store rejected texts, replacing texts with the same ids; drop the namespace's oldest
        beyond MAX_REJECTED.
        """

    async def latest(self, scope: Scope, limit: int) -> list[RejectedText]:
        """Return the `limit` newest rejected texts of the namespace, newest first; at equal times
        in order of ids.
        """

    async def get(self, scope: Scope, rejected_id: str) -> RejectedText | None:
        """Return the namespace's rejected text with this id; None if it does not exist."""

    async def matching(self, scope: Scope, matches: Callable[[RejectedText], bool]) -> list[str]:
        """Return the ids of the namespace's rejected texts, expired ones included, for which
        `matches` returns true.
        """

    async def remove(self, scope: Scope, rejected_ids: Collection[str]) -> None:
        """Remove the rejected texts with these ids, as far as they exist."""

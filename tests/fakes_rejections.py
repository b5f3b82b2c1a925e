"""An in-memory store of rejected texts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.rejections import MAX_REJECTED, REJECTED_TTL, RejectedText, RejectionStore


class FakeRejections(RejectionStore):
    """Rejected texts in a dictionary for each namespace."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._texts: dict[tuple[str, str], dict[str, RejectedText]] = {}

    async def add(self, scope: Scope, rejected: Sequence[RejectedText]) -> None:
        """Store rejected texts of the namespace. Beyond MAX_REJECTED texts, the oldest are
        removed.
        """
        texts = self._of(scope)
        texts.update({text.id: text for text in rejected})
        for text in self._newest_first(scope)[MAX_REJECTED:]:
            del texts[text.id]

    async def latest(self, scope: Scope, limit: int) -> list[RejectedText]:
        """Return the newest rejected texts, newest first."""
        since = self._clock() - REJECTED_TTL
        return [text for text in self._newest_first(scope) if text.at >= since][:limit]

    async def get(self, scope: Scope, rejected_id: str) -> RejectedText | None:
        """Return the rejected text with this id; None if there is none."""
        return self._of(scope).get(rejected_id)

    async def matching(self, scope: Scope, matches: Callable[[RejectedText], bool]) -> list[str]:
        """Return the ids of the rejected texts for which `matches` is true."""
        return [text.id for text in self._of(scope).values() if matches(text)]

    async def remove(self, scope: Scope, rejected_ids: Collection[str]) -> None:
        """Remove the rejected texts with these ids, as far as they exist."""
        for rejected_id in rejected_ids:
            self._of(scope).pop(rejected_id, None)

    def _of(self, scope: Scope) -> dict[str, RejectedText]:
        return self._texts.setdefault((scope.tenant, scope.namespace), {})

    def _newest_first(self, scope: Scope) -> list[RejectedText]:
        return sorted(self._of(scope).values(), key=lambda text: (-text.at.timestamp(), text.id))

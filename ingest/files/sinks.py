"""Where an import's items go: a port with one call, and its implementation over an ingestor in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ingest.writing.drafts import submission_from
from ingest.writing.outcome import WriteOutcome
from ingest.writing.pipeline import Ingestor
from memtypes.model.scope import Scope


class Sink(Protocol):
    """Takes items in the shape of POST /v1/memories/batch, all valid."""

    async def write(self, items: list[dict[str, Any]]) -> Sequence[WriteOutcome]:
        """One outcome an item, in order. Raises a RemembrancerError when none of them could be handed over."""
        ...


@dataclass(frozen=True, slots=True)
class LocalSink:
    """Hands items to an ingestor."""

    ingestor: Ingestor
    scope: Scope

    async def write(self, items: list[dict[str, Any]]) -> Sequence[WriteOutcome]:
        """One outcome an item, in order."""
        return await self.ingestor.write(self.scope, [submission_from(item) for item in items])

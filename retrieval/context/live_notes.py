"""Adds a session's working memory (live notes in Redis) to the hits of a retrieval, whatever the
query.

Each note is a hit with score 0 and no signals. If Redis does not respond, the answer has no such
notes and reports that it is degraded. Working memories in the memory store are ordinary candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from memtypes.model.errors import Unavailable
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.ports.working import LiveItemStore
from memtypes.search.candidates import Candidates
from retrieval.query.request import RetrieveRequest
from retrieval.ranking.ranked import RankedCandidates

LIVE_DEGRADED = "live"
"""The entry in `degraded` which says that the live store (Redis) did not answer."""


@dataclass(frozen=True, slots=True)
class LiveView:
    """A session's working items from Redis, by id. away: whether it did not answer."""

    memories: Mapping[str, Memory] = field(default_factory=dict)
    away: bool = False


async def read_live(
    items: LiveItemStore | None, scope: Scope, request: RetrieveRequest, as_of: datetime
) -> LiveView:
    """Read a session's working items to show at `as_of` from Redis; none without a session or if
    none are wanted.
    """
    is_wanted = request.include_working and request.working_budget > 0
    if items is None or not is_wanted or scope.session_id is None:
        return LiveView()
    try:
        entries = await items.items(scope, optional=True)
    except Unavailable:
        return LiveView(away=True)
    begun = [
        entry for entry in entries if request.as_of is None or entry.memory.created_at <= as_of
    ]
    return LiveView({entry.memory.id: entry.memory for entry in begun if not entry.is_over(as_of)})


def with_live(ranked: RankedCandidates, view: LiveView) -> RankedCandidates:
    """Add the items in `view` as hits."""
    if not view.memories:
        return ranked
    added = Candidates.from_memories(list(view.memories.values()), ranked.candidates.columns.kinds)
    return ranked.with_unscored_hits(added)

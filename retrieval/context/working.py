"""Adds a session's working memory (live notes in Redis) to the hits of a retrieval, whatever the
query.

Each note is a hit with score 0 and no signals. Its copy in the memory store is removed from the
hits. If Redis does not respond, the answer has no working memory and reports that it is degraded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from memtypes.model.errors import Unavailable
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.working import LiveItemStore
from memtypes.search.candidates import TYPES, Candidates
from retrieval.query.request import RetrieveRequest
from retrieval.ranking.ranked import RankedCandidates

LIVE_DEGRADED = "live"
"""The entry in `degraded` which says that the live store (Redis) did not answer."""


@dataclass(frozen=True, slots=True)
class LiveView:
    """A session's working items from Redis, by id. exists: whether Redis is used. away: whether it
    did not answer.
    """

    memories: Mapping[str, Memory] = field(default_factory=dict)
    exists: bool = False
    away: bool = False


async def read_live(
    items: LiveItemStore | None, scope: Scope, request: RetrieveRequest, as_of: datetime
) -> LiveView:
    """Read a session's working items to show at `as_of` from Redis; none without a session or if
    none are wanted.
    """
    if items is None:
        return LiveView()
    if not request.include_working or request.working_budget == 0 or scope.session_id is None:
        return LiveView(exists=True)
    try:
        entries = await items.items(scope, optional=True)
    except Unavailable:
        return LiveView(exists=True, away=True)
    begun = [
        entry for entry in entries if request.as_of is None or entry.memory.created_at <= as_of
    ]
    return LiveView(
        {entry.memory.id: entry.memory for entry in begun if entry.is_shown(as_of)}, exists=True
    )


def with_live(ranked: RankedCandidates, view: LiveView) -> RankedCandidates:
    """Add the items in `view` as hits and remove their copies, or all working memory if Redis did
    not respond.
    """
    if not view.exists:
        return ranked
    live_ids = np.array([memory_id.encode() for memory_id in view.memories], dtype=np.bytes_)
    is_working = ranked.candidates.kinds == TYPES.index(MemoryType.WORKING)
    ranked = ranked.where(~(is_working if view.away else np.isin(ranked.candidates.ids, live_ids)))
    if not view.memories:
        return ranked
    added = Candidates.of(list(view.memories.values()), ranked.candidates.columns.kinds)
    return ranked.with_unscored_hits(added)

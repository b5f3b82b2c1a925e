"""Live working memory in a retrieval: read beside the candidates, shown whatever the query, used when it was shown.

Live items are not searched for: every one of the session is a hit, with no signals and so with score 0. Their embedded
copies, which a search may find, are left out. Without the place where they live the answer has no working memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from memtypes.model.errors import Unavailable
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.working import LiveItemStore
from memtypes.search.candidates import TYPES, Candidate, Candidates
from memtypes.search.columns import COLUMN_FIELDS
from memtypes.search.passage import Passage
from retrieval.query.profiles import SIGNALS
from retrieval.query.request import RetrieveRequest
from retrieval.ranking.ranked import Hits, Lefts, Ranking, Scored

_log = logging.getLogger(__name__)

AWAY = "live"
"""What an answer says is degraded when live state did not answer."""


@dataclass(frozen=True, slots=True)
class LiveView:
    """What lives in the session of a request. asked: whether there is a place for it at all. away: no answer came."""

    memories: Mapping[str, Memory] = field(default_factory=dict)
    asked: bool = False
    away: bool = False

    @property
    def degraded(self) -> tuple[str, ...]:
        """What the answer has to say about it."""
        return (AWAY,) if self.away else ()


async def read_live(items: LiveItemStore | None, scope: Scope, request: RetrieveRequest, as_of: datetime) -> LiveView:
    """The items that lived at `as_of`, as far as they are known."""
    if items is None:
        return LiveView()
    if not request.include_working or request.working_budget == 0 or scope.session_id is None:
        return LiveView(asked=True)
    try:
        entries = await items.items(scope, optional=True)
    except Unavailable:
        return LiveView(asked=True, away=True)
    begun = [one for one in entries if request.as_of is None or one.memory.created_at <= as_of]
    return LiveView({one.memory.id: one.memory for one in begun if not one.is_over(as_of)}, asked=True)


def with_live(ranking: Ranking, view: LiveView) -> Ranking:
    """`ranking` with every live item, and without their copies; without working memory where that is away."""
    if not view.asked:
        return ranking
    found = _staying(ranking.hits.scored, view)
    live = Candidates.of([_candidate(memory) for memory in view.memories.values()])
    if len(live):
        nothing = Scored(live, np.zeros(len(live)), np.zeros((len(SIGNALS), len(live))))
        found = Scored.joined(found, nothing).best_first()
    left = ranking.left
    repeats = _stays(left.scored.found, view)
    of = [one for one, stays in zip(left.of, repeats.tolist(), strict=False) if stays]
    return Ranking(Hits(found), Lefts(_staying(left.scored, view), of))


def _staying(scored: Scored, view: LiveView) -> Scored:
    stays = _stays(scored.found, view)
    return scored if stays.all() else scored.take(np.flatnonzero(stays))


def _stays(found: Candidates, view: LiveView) -> NDArray[np.bool_]:
    """Which are no copies of live items; no working memory is when that is away."""
    working: NDArray[np.bool_] = found.kinds == TYPES.index(MemoryType.WORKING)
    stays = np.logical_not(working)
    if view.away or stays.all():
        return stays
    places = np.flatnonzero(working)  # few, and looking for an id takes its time
    copies = found.columns.take(places).column("live") == 1
    if view.memories:
        copies |= np.isin(found.ids[places], np.array([one.encode() for one in view.memories], dtype=np.bytes_))
    stays[places] = ~copies
    return stays


class Uses:
    """Begins the time limits of live items again beside the answer: the write that it takes is synced to the disk.

    lost: uses that could not be noted.
    """

    def __init__(self, items: LiveItemStore | None) -> None:
        self.lost = 0
        self._items = items
        self._under_way: set[asyncio.Task[None]] = set()

    def note(self, scope: Scope, shown: Sequence[Passage], at: datetime) -> None:
        """Note that the live items among `shown` were used at `at`; returns at once."""
        used = [one.id for one in shown if one.live]
        if self._items is not None and used:
            task = asyncio.create_task(self._touch(self._items, scope, used, at))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def noted(self) -> None:
        """Return when all that is under way is done."""
        await asyncio.gather(*self._under_way)

    async def _touch(self, items: LiveItemStore, scope: Scope, ids: Sequence[str], at: datetime) -> None:
        try:
            await items.touch(scope, ids, at)
        except Unavailable as error:
            self.lost += len(ids)
            _log.warning("%d uses of live items could not be noted: %s", len(ids), error)


def _candidate(memory: Memory) -> Candidate:
    payload = memory.to_payload()
    light = {name: payload[name] for name in COLUMN_FIELDS if name in payload}
    return Candidate(memory.id, memory.type, None, None, light)

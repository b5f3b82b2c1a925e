"""Carries out a job in a namespace: reads the memories, asks the planner, writes what it says. Knows the ports only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ingest.upkeep import planners
from ingest.upkeep.plan import Job, JobRequest, Plan
from ingest.writing.pipeline import Ingestor
from ingest.writing.writer import ScopeLocks
from memtypes.conversation_context import ConversationContext
from memtypes.model.filters import Compare, Filter, Op
from memtypes.model.memory import Memory
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore

MAX_READ = 200_000
"""Memories of a namespace and type that a job looks at: the newest."""

_PAGE = 500
_LIKE = 8
"""Nearest neighbours that compaction looks at for each memory."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a job did, or would do. ids: the memories that it is about."""

    job: Job
    dry_run: bool
    ids: tuple[str, ...]
    counts: Mapping[str, int]


class _Planner(Protocol):
    def __call__(self, memories: Sequence[Memory], request: JobRequest, now: datetime) -> Plan: ...


_PLANNERS: Mapping[Job, _Planner] = {
    Job.PROMOTE: planners.promotions,
    Job.FORGET: planners.forgettings,
    Job.EXPIRE: planners.expiries,
}
_TYPES: Mapping[Job, tuple[MemoryType, ...]] = {
    Job.PROMOTE: (MemoryType.EPISODIC, MemoryType.SEMANTIC, MemoryType.PROSPECTIVE),
    Job.FORGET: LONG_TERM,
    Job.EXPIRE: tuple(MemoryType),
    Job.COMPACT: (MemoryType.EPISODIC, MemoryType.SEMANTIC, MemoryType.PROCEDURAL),
}


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Runs jobs. locks: the ingestor's."""

    store: MemoryStore
    embedder: Embedder
    ingestor: Ingestor
    locks: ScopeLocks
    clock: Clock

    async def run_all(self, tenant: str, job: Job, request: JobRequest) -> Report:
        """What `job` did in the request's namespace, or in one after the other of all that the tenant has."""
        names = await self.store.namespaces(tenant) if request.namespace is None else [request.namespace]
        reports = [await self.run(Scope(tenant, name), job, request) for name in names]
        ids = tuple(one for report in reports for one in report.ids)
        counts = {name: sum(report.counts[name] for report in reports) for name in Plan().counts}
        return Report(job, request.dry_run, ids, counts)

    async def run(self, scope: Scope, job: Job, request: JobRequest) -> Report:
        """What `job` did in the namespace of `scope`; what it would do, when it is a dry run."""
        memories = await self._memories(scope, job, request)
        plan = await self._plan(scope, job, request, memories)
        if not request.dry_run:
            await self._carry_out(scope, plan)
        return Report(job, request.dry_run, tuple(plan.ids), plan.counts)

    async def _plan(self, scope: Scope, job: Job, request: JobRequest, memories: Sequence[Memory]) -> Plan:
        if job is not Job.COMPACT:
            return _PLANNERS[job](memories, request, self.clock())
        return planners.compactions(memories, await self._likeness(scope, memories), request, self.clock())

    async def _carry_out(self, scope: Scope, plan: Plan) -> None:
        """New memories first, then what becomes of the old ones: a fault in between loses nothing."""
        if plan.made:
            await self.ingestor.write(scope, [promotion.draft for promotion in plan.made])
        async with self.locks.of(scope):
            if plan.changed:
                await self.store.patch(scope, plan.changed)
        if plan.removed:
            await self.ingestor.remove(scope, plan.removed)

    async def _memories(self, scope: Scope, job: Job, request: JobRequest) -> list[Memory]:
        where = (
            Compare("expires_at", Op.LTE, planners.last_expiry(request, self.clock())) if job is Job.EXPIRE else None
        )
        found: list[Memory] = []
        for kind in _TYPES[job]:
            if request.types is None or kind in request.types:
                found += await self._of_type(scope, kind, where)
        return found

    async def _of_type(self, scope: Scope, kind: MemoryType, where: Filter | None) -> list[Memory]:
        found: list[Memory] = []
        cursor: str | None = None
        while len(found) < MAX_READ:
            page = await self.store.page(scope, Listing((kind,), where, _PAGE, cursor))
            found += page.memories
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    async def _likeness(self, scope: Scope, memories: Sequence[Memory]) -> dict[str, list[tuple[str, float]]]:
        """For each memory its nearest neighbours of the same type, by the cosine of their embeddings."""
        found: dict[str, list[tuple[str, float]]] = {}
        for start in range(0, len(memories), _PAGE):
            some = memories[start : start + _PAGE]
            given = await ConversationContext(self.store).in_context(scope, some)
            embedded = await self.embedder.embed_in_context(given)
            searches = [
                CandidateSearch(one.type, made.dense, None, _LIKE, light=False)
                for one, made in zip(some, embedded, strict=True)
            ]
            for one, near in zip(some, await self.store.candidates(scope, searches), strict=True):
                found[one.id] = [(other.id, other.dense) for other in near if other.dense is not None]
        return found

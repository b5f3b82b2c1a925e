"""Run upkeep jobs: read the memories, ask the planner, and write what it plans. Knows no schedule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from ingest.upkeep.planners import (
    JobRequest,
    UpkeepJob,
    UpkeepPlan,
    compactions,
    expiries,
    expiry_limit,
    forgettings,
    promotions,
)
from ingest.writing.pipeline import Ingestor
from memtypes.conversation_context import ConversationContext
from memtypes.model.filters import Compare, Op
from memtypes.model.memory import Memory
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore

MAX_READ = 200_000
"""Memories that a job reads per namespace and type: the newest."""

_PAGE = 500
_NEIGHBOURS = 8
"""Nearest neighbours that compaction compares with each memory."""

_Planner: TypeAlias = Callable[[Sequence[Memory], JobRequest, datetime], UpkeepPlan]
_PLANNERS: Mapping[UpkeepJob, _Planner] = {
    UpkeepJob.PROMOTE: promotions,
    UpkeepJob.FORGET: forgettings,
    UpkeepJob.EXPIRE: expiries,
}
_TYPES: Mapping[UpkeepJob, tuple[MemoryType, ...]] = {
    UpkeepJob.PROMOTE: (MemoryType.EPISODIC, MemoryType.SEMANTIC, MemoryType.PROSPECTIVE),
    UpkeepJob.FORGET: LONG_TERM,
    UpkeepJob.EXPIRE: tuple(MemoryType),
    UpkeepJob.COMPACT: (MemoryType.EPISODIC, MemoryType.SEMANTIC, MemoryType.PROCEDURAL),
}


@dataclass(frozen=True, slots=True)
class JobReport:
    """What a job did, or would do in a dry run. ids: the memories that it removed, changed or promoted."""

    job: UpkeepJob
    dry_run: bool
    ids: tuple[str, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Runs upkeep jobs (promote, forget, expire, compact) on the memories of a namespace or tenant."""

    store: MemoryStore
    embedder: Embedder
    ingestor: Ingestor
    clock: Clock

    async def run_all(self, tenant: str, job: UpkeepJob, request: JobRequest) -> JobReport:
        """Run `job` in the request's namespace, or in all of the tenant's, one after the other."""
        names = await self.store.namespaces(tenant) if request.namespace is None else [request.namespace]
        reports = [await self.run(Scope(tenant, name), job, request) for name in names]
        ids = tuple(memory_id for report in reports for memory_id in report.ids)
        counts = {name: sum(report.counts[name] for report in reports) for name in UpkeepPlan().counts}
        return JobReport(job, request.dry_run, ids, counts)

    async def run_round(self, tenants: Collection[str], requests: Mapping[UpkeepJob, JobRequest]) -> int:
        """Run each job of `requests` for each tenant; return how many memories were affected. Raises Unavailable.

        An interrupted round is completed by the next one, which runs all jobs again.
        """
        affected = 0
        for tenant in sorted(tenants):
            for job, request in requests.items():
                affected += len((await self.run_all(tenant, job, request)).ids)
        return affected

    async def run(self, scope: Scope, job: UpkeepJob, request: JobRequest) -> JobReport:
        """Run `job` on the memories of one namespace; a dry run only reports what would be done."""
        memories = await self._read(scope, job, request)
        if job is UpkeepJob.COMPACT:
            neighbours = await self._neighbours(scope, memories)
            plan = compactions(memories, neighbours, request, self.clock())
        else:
            plan = _PLANNERS[job](memories, request, self.clock())
        if not request.dry_run:
            await self._apply(scope, plan)
        return JobReport(job, request.dry_run, tuple(plan.ids), plan.counts)

    async def _apply(self, scope: Scope, plan: UpkeepPlan) -> None:
        """Carry out `plan`: create, then change, then remove, so a failure in between loses nothing."""
        if plan.created:
            await self.ingestor.write(scope, [promotion.draft for promotion in plan.created])
        async with self.ingestor.locks.of(scope):
            if plan.changed:
                await self.store.patch(scope, plan.changed)
        if plan.removed:
            await self.ingestor.remove(scope, plan.removed)

    async def _read(self, scope: Scope, job: UpkeepJob, request: JobRequest) -> list[Memory]:
        expired = Compare("expires_at", Op.LTE, expiry_limit(request, self.clock()))
        where = expired if job is UpkeepJob.EXPIRE else None
        memories: list[Memory] = []
        for kind in _TYPES[job]:
            if request.types is None or kind in request.types:
                listing = Listing((kind,), where, _PAGE)
                memories += [memory async for memory in self.store.list_all(scope, listing, most=MAX_READ)]
        return memories

    async def _neighbours(self, scope: Scope, memories: Sequence[Memory]) -> dict[str, list[tuple[str, float]]]:
        """For each memory the ids of its nearest neighbours of the same type, with their cosines."""
        neighbours: dict[str, list[tuple[str, float]]] = {}
        for start in range(0, len(memories), _PAGE):
            page = memories[start : start + _PAGE]
            texts = await ConversationContext(self.store).in_context(scope, page)
            embeddings = await self.embedder.embed_in_context(texts)
            searches = [
                CandidateSearch({memory.type: None}, embedding.dense, None, _NEIGHBOURS, columns=False)
                for memory, embedding in zip(page, embeddings, strict=True)
            ]
            for memory, hits in zip(page, await self.store.candidates(scope, searches), strict=True):
                neighbours[memory.id] = [(hit.id, hit.dense) for hit in hits if hit.dense is not None]
        return neighbours


def round_requests(
    *, expired_days: int, forget_days: int | None = None, promote: bool = False, compact: bool = False
) -> Mapping[UpkeepJob, JobRequest]:
    """Jobs of a regular round: expiry, and others if switched on. forget_days: without use, then forgotten."""
    requests = {UpkeepJob.EXPIRE: JobRequest(dry_run=False, expired_days=expired_days)}
    if promote:
        requests[UpkeepJob.PROMOTE] = JobRequest(dry_run=False)
    if forget_days is not None:
        requests[UpkeepJob.FORGET] = JobRequest(dry_run=False, inactive_days=forget_days)
    if compact:
        requests[UpkeepJob.COMPACT] = JobRequest(dry_run=False)
    return requests

"""Runs upkeep jobs: reads the memories, has `planners` plan the changes, and writes these. It has
no schedule.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from ingest.identity.paraphrases import SAME_MEANING
from ingest.identity.spelling import IsWord
from ingest.upkeep import planners
from ingest.upkeep.planners import JobRequest, Nearest, UpkeepJob, UpkeepPlan
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.conversation_context import ConversationContext
from memtypes.model.filters import Absent, AnyOf, Compare, Filter, Not, Op
from memtypes.model.memory import Memory
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore
from memtypes.search.vectors import DenseVector

MAX_READ = 200_000
"""Maximum number of memories, the newest, that a job reads per namespace and type."""

_PAGE = 500
_NEIGHBOURS = 8
"""Number of nearest neighbours with which compaction compares each memory."""

MAX_COMPARED = 20_000
"""Maximum number of memories, the newest, that promotion compares by meaning."""

_BLOCK = 500
"""Number of memories whose similarities to all others are computed at once: 40 MB for MAX_COMPARED
memories.
"""

_TYPES: Mapping[UpkeepJob, tuple[MemoryType, ...]] = {
    UpkeepJob.PROMOTE: (MemoryType.EPISODIC, MemoryType.SEMANTIC),
    UpkeepJob.FORGET: LONG_TERM,
    UpkeepJob.EXPIRE: tuple(MemoryType),
    UpkeepJob.COMPACT: (MemoryType.EPISODIC, MemoryType.SEMANTIC, MemoryType.PROCEDURAL),
}


@dataclass(frozen=True, slots=True)
class JobReport:
    """Changes that a job made, or would make in a dry run. counts: memories removed, changed, made.
    reasons: by id.
    """

    job: UpkeepJob
    dry_run: bool
    ids: tuple[str, ...]
    counts: Mapping[str, int]
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Runs upkeep jobs (promote, forget, expire, compact) on the memories of a namespace or tenant.

    expired_days: days for which expired memories are kept if a request does not say. is_word: tells
    slips of spelling from words; None to take none for a slip.
    """

    store: MemoryStore
    embedder: Embedder
    ingestor: Ingestor
    clock: Clock
    expired_days: int
    is_word: IsWord | None = None

    async def run_all(self, tenant: str, job: UpkeepJob, request: JobRequest) -> JobReport:
        """Run `job` in the namespace that `request` names, or in every namespace of the tenant if
        it names none.

        Raises InvalidRequest if `request` has an option of another job.
        """
        request.check_for(job)
        names = (
            await self.store.namespaces(tenant)
            if request.namespace is None
            else [request.namespace]
        )
        reports = [await self.run(Scope(tenant, name), job, request) for name in names]
        ids = tuple(memory_id for report in reports for memory_id in report.ids)
        counts = {
            name: sum(report.counts[name] for report in reports) for name in UpkeepPlan().counts
        }
        reasons = {
            memory_id: reason for report in reports for memory_id, reason in report.reasons.items()
        }
        return JobReport(job, request.dry_run, ids, counts, reasons)

    async def run_round(
        self, tenants: Collection[str], requests: Mapping[UpkeepJob, JobRequest]
    ) -> int:
        """Run each job of `requests` for each tenant; return how many memories were affected.
        Raises Unavailable.
        """
        runs = [
            (tenant, job, request)
            for tenant in sorted(tenants)
            for job, request in requests.items()
        ]
        return sum([len((await self.run_all(*run)).ids) for run in runs])

    async def run(self, scope: Scope, job: UpkeepJob, request: JobRequest) -> JobReport:
        """Run `job` on the memories of one namespace; a dry run only reports what would be done."""
        if request.expired_days is None:
            request = request.model_copy(update={"expired_days": self.expired_days})
        memories = await self._read(scope, job, request)
        plan = await self._plan(scope, job, request, memories)
        if not request.dry_run:
            plan = await self._apply(scope, plan, memories)
            if job is UpkeepJob.EXPIRE:
                async with self.ingestor.locks.lock(scope):
                    await self.ingestor.editor.state_writer.mend(scope, self.clock())
        return JobReport(job, request.dry_run, tuple(plan.reasons), plan.counts, plan.reasons)

    async def _plan(
        self, scope: Scope, job: UpkeepJob, request: JobRequest, memories: Sequence[Memory]
    ) -> UpkeepPlan:
        now = self.clock()
        match job:
            case UpkeepJob.PROMOTE:
                newest = sorted(memories, key=lambda memory: -memory.created_at.timestamp())
                newest = newest[:MAX_COMPARED]
                plan = partial(
                    planners.promotions, memories, await self._by_meaning(newest), request, now
                )
            case UpkeepJob.COMPACT:
                plan = partial(
                    planners.compactions,
                    memories,
                    await self._neighbours(scope, memories),
                    request,
                    now,
                    self.is_word,
                )
            case UpkeepJob.FORGET:
                plan = partial(planners.forgettings, memories, request, now)
            case UpkeepJob.EXPIRE:
                plan = partial(planners.expiries, memories, request, now)
        return await anyio.to_thread.run_sync(plan)

    async def _apply(
        self, scope: Scope, plan: UpkeepPlan, memories: Sequence[Memory]
    ) -> UpkeepPlan:
        """Carry out `plan`: create facts, then change, then remove memories, so a failure in
        between loses nothing.

        Returns the part of the plan that was carried out. It leaves out memories that were changed
        or deleted since the plan was made from `memories`; a new fact that was made of such an
        event is removed again.
        """
        outcomes = await self.ingestor.write(scope, [promotion.draft for promotion in plan.created])
        promoted = [
            (promotion, outcome.memory)
            for promotion, outcome in zip(plan.created, outcomes, strict=True)
            if outcome.status is WriteStatus.STORED and outcome.memory is not None
        ]
        planned = {memory.id: memory for memory in memories}
        async with self.ingestor.locks.lock(scope):
            facts = {fact.id: fact.type for _, fact in promoted}
            types = {memory_id: planned[memory_id].type for memory_id in plan.concerned}
            stored = await self.store.get(scope, types | facts)
            plan = plan.still_valid(planned, stored)
            now = self.clock()
            changed = {
                fact.id: planners.mark("promote", now, promotion.reason)
                for promotion, fact in promoted
                if promotion in plan.created
                and fact.id in stored
                and stored[fact.id].upkeep is None
            } | dict(plan.changed)
            if changed:
                changed_memories = {memory_id: stored[memory_id] for memory_id in changed}
                await self.ingestor.editor.state_writer.update(
                    scope, changed_memories, now, changed
                )
                await self.ingestor.editor.embed_changed(scope, changed_memories)
            withdrawn = [
                fact.id
                for promotion, fact in promoted
                if promotion not in plan.created
                and fact.id in stored
                and stored[fact.id].updated_at == fact.updated_at  # the fact was not written again
                and promotion.draft.evidence_count == fact.evidence_count  # and is not older
            ]
            if plan.removed or withdrawn:
                await self.ingestor.editor.remove_locked(scope, [*plan.removed, *withdrawn])
        return plan

    async def _read(self, scope: Scope, job: UpkeepJob, request: JobRequest) -> list[Memory]:
        now = self.clock()
        types = [type_ for type_ in _TYPES[job] if request.types is None or type_ in request.types]
        listings = [Listing((type_,), _relevant(job, request, now), _PAGE) for type_ in types]
        lists = [self.store.list_all(scope, listing, most=MAX_READ) for listing in listings]
        return [memory.at(now) for memories in lists async for memory in memories]

    async def _neighbours(
        self, scope: Scope, memories: Sequence[Memory]
    ) -> dict[str, list[tuple[str, float]]]:
        neighbours: dict[str, list[tuple[str, float]]] = {}
        for start in range(0, len(memories), _PAGE):
            page = memories[start : start + _PAGE]
            texts = await ConversationContext(self.store).in_context(scope, page)
            embeddings = await self.embedder.embed_in_context(texts)
            searches = [
                CandidateSearch(
                    {memory.type: None}, embedding.dense, None, _NEIGHBOURS, columns=False
                )
                for memory, embedding in zip(page, embeddings, strict=True)
            ]
            for memory, hits in zip(
                page, await self.store.candidates(scope, searches), strict=True
            ):
                neighbours[memory.id] = [
                    (hit.id, hit.dense) for hit in hits if hit.dense is not None
                ]
        return neighbours

    async def _by_meaning(self, memories: Sequence[Memory]) -> Nearest:
        """For each memory id, the other memories with a cosine of at least SAME_MEANING: their ids
        and cosines.
        """
        vectors: list[DenseVector] = []
        for start in range(0, len(memories), _PAGE):
            contents = [memory.content for memory in memories[start : start + _PAGE]]
            vectors += [
                embedding.dense for embedding in await self.embedder.embed_documents(contents)
            ]
        return await anyio.to_thread.run_sync(
            _nearest, np.array(vectors), [memory.id for memory in memories]
        )


def _relevant(job: UpkeepJob, request: JobRequest, now: datetime) -> Filter | None:
    """Filter for the memories that `job` must read; None if it must read all of its types."""
    match job:
        case UpkeepJob.EXPIRE:
            limit = now - timedelta(days=request.expired_days or 0)
            return AnyOf((Compare("expires_at", Op.LTE, limit), Not(Absent("upkeep.job"))))
        case UpkeepJob.FORGET if request.keep_top is None:
            days = min(
                request.max_age_days or planners.MAX_DAYS,
                request.inactive_days or planners.MAX_DAYS,
            )
            return AnyOf(
                (
                    Compare("created_at", Op.LT, now - timedelta(days=days)),
                    Not(Absent("superseded_by")),
                )
            )
        case _:
            return None


def _nearest(matrix: NDArray[np.float32], ids: Sequence[str]) -> Nearest:
    neighbours: dict[str, list[tuple[str, float]]] = {}
    for start in range(0, len(ids), _BLOCK):
        cosines = matrix[start : start + _BLOCK] @ matrix.T
        for row, column in np.argwhere(cosines >= SAME_MEANING).tolist():
            if start + row != column:
                neighbours.setdefault(ids[start + row], []).append(
                    (ids[column], float(cosines[row, column]))
                )
    return neighbours


def round_requests(
    *,
    expired_days: int,
    forget_days: int | None = None,
    promote: bool = False,
    compact: bool = False,
) -> Mapping[UpkeepJob, JobRequest]:
    """The upkeep jobs that the service runs regularly, with their options: expiry, and the jobs
    that are switched on.

    expired_days: days for which expired memories are kept. forget_days: forget memories unused for
    this many days; None to forget nothing. promote, compact: whether these jobs run.
    """
    requests = {UpkeepJob.EXPIRE: JobRequest(dry_run=False, expired_days=expired_days)}
    if promote:
        requests[UpkeepJob.PROMOTE] = JobRequest(dry_run=False)
    if forget_days is not None:
        requests[UpkeepJob.FORGET] = JobRequest(dry_run=False, inactive_days=forget_days)
    if compact:
        requests[UpkeepJob.COMPACT] = JobRequest(dry_run=False)
    return requests

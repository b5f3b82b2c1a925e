"""Running upkeep jobs against a store."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from ingest.upkeep.jobs import Upkeep, round_requests
from ingest.upkeep.planners import JobRequest, UpkeepJob
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing, Page
from tests.ingest.doubles import SCOPE, Bench, ObservedStore, draft

pytestmark = pytest.mark.anyio


def upkeep_of(bench: Bench) -> Upkeep:
    """The upkeep service over the bench's store and ingestor."""
    return Upkeep(bench.store, bench.embedder, bench.ingestor, bench.clock, 0)


async def write_expiring(bench: Bench, scope: Scope = SCOPE) -> str:
    """Write a memory that expires within an hour, and return its id."""
    outcome = await bench.ingestor.write_one(
        scope, draft("The sale ends.", expires_at="2026-11-20T13:00:00Z")
    )
    return outcome.id or ""


async def test_a_dry_run_reports_what_a_run_removes() -> None:
    """A dry run lists the id of an expired memory and removes nothing.

    The run then reports the same id and removes the memory.
    """
    bench = Bench()
    expired = await write_expiring(bench)
    await bench.ingestor.write_one(SCOPE, draft("The shop opens at nine."))
    bench.clock.move(timedelta(hours=2))
    planned = await upkeep_of(bench).run(SCOPE, UpkeepJob.EXPIRE, JobRequest())
    assert (planned.dry_run, planned.ids, len(bench.store.memories())) == (True, (expired,), 2)
    done = await upkeep_of(bench).run(SCOPE, UpkeepJob.EXPIRE, JobRequest(dry_run=False))
    assert (done.ids, done.counts) == (planned.ids, {"removed": 1, "changed": 0, "made": 0})
    assert expired not in bench.store.memories()


async def test_an_expire_job_for_events_leaves_out_an_expired_fact() -> None:
    bench = Bench()
    await write_expiring(bench)
    bench.clock.move(timedelta(hours=2))
    request = JobRequest.model_validate({"types": ["episodic"]})
    assert (await upkeep_of(bench).run(SCOPE, UpkeepJob.EXPIRE, request)).ids == ()


async def test_promotion_creates_a_fact_from_events_of_three_sessions() -> None:
    bench = Bench()
    for session in ("a", "b", "c"):
        await bench.ingestor.write_one(
            SCOPE, draft("Ann prefers tea.", "episodic", session_id=session)
        )
        bench.clock.move(timedelta(days=1))
    report = await upkeep_of(bench).run(SCOPE, UpkeepJob.PROMOTE, JobRequest(dry_run=False))
    assert report.counts["made"] == 1
    facts = [memory for memory in bench.store.memories().values() if memory.type == "semantic"]
    assert [fact.content for fact in facts] == ["Ann prefers tea."]


async def test_a_round_covers_all_namespaces_of_all_tenants() -> None:
    """An upkeep round runs its jobs in all namespaces of the given tenants and counts the memories
    that they affect.
    """
    bench = Bench()
    for scope in (SCOPE, Scope("acme", "other"), Scope("globex", "shop")):
        await write_expiring(bench, scope)
    bench.clock.move(timedelta(hours=2))
    requests = round_requests(expired_days=0)
    assert await upkeep_of(bench).run_round({"acme", "globex"}, requests) == 3
    assert bench.store.engine.points == []


def test_an_upkeep_round_runs_only_the_expire_job_by_default() -> None:
    assert set(round_requests(expired_days=30)) == {UpkeepJob.EXPIRE}
    assert set(round_requests(expired_days=30, forget_days=90, promote=True, compact=True)) == set(
        UpkeepJob
    )


class Watched(JobRequest):
    """A job request that records the threads in which a planner reads its field `min_sessions`."""

    threads: ClassVar[set[threading.Thread]] = set()

    def __getattribute__(self, name: str) -> Any:
        if name == "min_sessions":
            Watched.threads.add(threading.current_thread())
        return super().__getattribute__(name)


async def test_plans_are_made_in_a_worker_thread() -> None:
    """Plans are made in a worker thread, so the event loop serves requests during a plan over a
    whole namespace.
    """
    bench = Bench()
    await bench.ingestor.write_one(SCOPE, draft("Ann prefers tea.", "episodic", session_id="s1"))
    Watched.threads.clear()
    await upkeep_of(bench).run(SCOPE, UpkeepJob.PROMOTE, Watched())
    assert Watched.threads
    assert threading.current_thread() not in Watched.threads


class ReadCounter(ObservedStore):
    """A memory store that counts the memories that its `page` method returned."""

    read = 0

    async def page(self, scope: Scope, listing: Listing) -> Page:
        """One page of memories, whose number is added to `read`."""
        page = await super().page(scope, listing)
        self.read += len(page.memories)
        return page


@pytest.mark.parametrize(
    ("options", "read"),
    [({}, 0), ({"max_age_days": 10}, 2), ({"inactive_days": 2}, 3), ({"keep_top": 0}, 4)],
)
async def test_forgetting_reads_only_memories_old_enough_to_be_forgotten(
    options: dict[str, int], read: int
) -> None:
    """A forget job reads memories that are younger than its age limits only if it must keep the
    best of each type.

    An old memory that was used recently is read and kept.
    """
    store = ReadCounter()
    bench = Bench(store=store)
    for day in (20, 15, 5, 0):
        created = (bench.clock() - timedelta(days=day)).isoformat()
        outcome = await bench.ingestor.write_one(
            SCOPE, draft(f"Tea number {day} is green.", created_at=created)
        )
        if day == 15:
            await store.patch(SCOPE, {outcome.id or "": {"accessed_at": bench.clock().isoformat()}})
    store.read = 0
    report = await upkeep_of(bench).run(SCOPE, UpkeepJob.FORGET, JobRequest.model_validate(options))
    assert (store.read, len(report.ids)) == (read, read - ("inactive_days" in options))

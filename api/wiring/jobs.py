"""Background jobs: each at its interval, in one process at a time, counted, and stopped cleanly.

A job runs under a lock of its name. Where another process holds the lock, that process does the work.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from memtypes.model.errors import Overloaded, RemembrancerError
from memtypes.ports.locks import LockRequest, Locks

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackgroundJob:
    """Work that is repeated at an interval.

    work: called with the fence of the lock; returns how much was done. limit_s: when a run is cancelled, which may be
    at any point, as when the process is killed. first_s: delay before the first run.
    """

    name: str
    every_s: float
    work: Callable[[int], Awaitable[int]]
    limit_s: float = 60.0
    first_s: float = 0.0


@dataclass(slots=True)
class JobTally:
    """Counts of one job in this process.

    busy: runs left to another process. ended: Unix time of the end of the last good run. failing: the last reason of
    failure; the same reason is logged once.
    """

    runs: int = 0
    failures: int = 0
    busy: int = 0
    done: int = 0
    seconds: float = 0.0
    ended: float = 0.0
    failing: str = ""


@dataclass(slots=True)
class BackgroundJobs(Collector):
    """The jobs of a service."""

    locks: Locks
    jobs: Sequence[BackgroundJob]
    tallies: dict[str, JobTally] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[BackgroundJobs]:
        """Run every job at its interval within the context; at its end running work is cancelled and awaited."""
        stopping = asyncio.Event()
        tasks = [asyncio.create_task(self._repeat(job, stopping), name=f"job {job.name}") for job in self.jobs]
        try:
            yield self
        finally:
            stopping.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def run_once(self, job: BackgroundJob) -> None:
        """Run the job unless another process runs it. Failures are counted and logged; the next run tries again."""
        tally = self.tallies.setdefault(job.name, JobTally())
        started = time.monotonic()
        try:
            with anyio.fail_after(job.limit_s):
                async with self.locks.held(LockRequest(f"job {job.name}", wait_s=0.0)) as lease:
                    done = await job.work(lease.fence)
                    tally.done, tally.runs = tally.done + done, tally.runs + 1
            tally.ended = time.time()
            tally.failing = ""
        except Overloaded:
            tally.busy += 1
        except (RemembrancerError, TimeoutError) as error:
            tally.failures += 1
            reason = str(error) or f"not done after {job.limit_s:g} s"
            if reason != tally.failing:
                _log.warning("the job %s failed: %s", job.name, reason)
            tally.failing = reason
        except Exception:  # noqa: BLE001 - a bug in one run must not end all later ones; it is counted and logged
            tally.failures += 1
            _log.exception("the job %s failed unexpectedly", job.name)
        tally.seconds += time.monotonic() - started

    async def _repeat(self, job: BackgroundJob, stopping: asyncio.Event) -> None:
        """Run the job until `stopping` is set.

        The event is needed besides cancellation, because the Redis client sometimes loses one when an answer arrives
        at that moment; a sleep of an hour would then follow.
        """
        pause = job.first_s
        while not await _is_set(stopping, pause):
            await self.run_once(job)
            pause = job.every_s

    def collect(self) -> Iterator[Metric]:
        """The tallies as Prometheus metrics."""
        tallies = sorted(self.tallies.items())
        for name in ("runs", "failures", "busy", "done", "seconds"):
            counter = CounterMetricFamily(
                f"remembrancer_job_{name}", "Background work in this process.", labels=("job",)
            )
            for job, tally in tallies:
                counter.add_metric((job,), getattr(tally, name))
            yield counter
        ended = GaugeMetricFamily("remembrancer_job_ended_seconds", "When the last good run ended.", labels=("job",))
        for job, tally in tallies:
            ended.add_metric((job,), tally.ended)
        yield ended


async def _is_set(event: asyncio.Event, within_s: float) -> bool:
    """Whether `event` is set within `within_s` seconds."""
    with anyio.move_on_after(within_s):
        await event.wait()
    return event.is_set()

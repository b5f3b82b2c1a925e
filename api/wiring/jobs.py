"""Runs background jobs at intervals and counts the runs. A run is skipped while another process
holds its lock.
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

CANCEL_AGAIN_S = 0.5
"""Seconds after which a job that has been cancelled but did not end is cancelled again."""


@dataclass(frozen=True, slots=True)
class BackgroundJob:
    """A background job that is repeated `every_s` seconds after its last run.

    work: does one run and returns how many items it handled. limit_s: seconds after which a run is
    cancelled, at any point, as if the process were killed. first_s: seconds before the first run.
    """

    name: str
    every_s: float
    work: Callable[[], Awaitable[int]]
    limit_s: float = 60.0
    first_s: float = 0.0


@dataclass(slots=True)
class JobTally:
    """Statistics of one background job in this process.

    runs: successful runs. busy: runs that were skipped because another process held the lock. done:
    items handled. ended: Unix time at which the last successful run ended. failing: why the last
    run failed, so that a repeated reason is logged once only; empty after a success.
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
    """Runs the background jobs of a service and exports their statistics to Prometheus."""

    locks: Locks
    jobs: Sequence[BackgroundJob]
    tallies: dict[str, JobTally] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Context manager that runs every job at its interval; at its end, running work is
        cancelled and awaited.
        """
        pending = {
            asyncio.create_task(self._repeat(job), name=f"job {job.name}") for job in self.jobs
        }
        try:
            yield
        finally:
            # The Redis client sometimes loses a cancellation that coincides with an answer
            while pending:
                for task in pending:
                    task.cancel()
                _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)

    async def run_once(self, job: BackgroundJob) -> None:
        """Run the job once, unless another process is running it. A failure is counted and logged,
        not raised.
        """
        tally = self.tallies.setdefault(job.name, JobTally())
        started = time.monotonic()
        try:
            with anyio.fail_after(job.limit_s):
                async with self.locks.held(LockRequest(f"job {job.name}", wait_s=0.0)):
                    count = await job.work()
                    tally.done = tally.done + count
                    tally.runs = tally.runs + 1
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
        # A bug in one run must not end all later ones; it is counted and logged
        except Exception:  # noqa: BLE001
            tally.failures += 1
            _log.exception("the job %s failed unexpectedly", job.name)
        tally.seconds += time.monotonic() - started

    async def _repeat(self, job: BackgroundJob) -> None:
        await asyncio.sleep(job.first_s)
        while True:
            await self.run_once(job)
            await asyncio.sleep(job.every_s)

    def collect(self) -> Iterator[Metric]:
        """Yield the statistics of all jobs as Prometheus metrics."""
        tallies = sorted(self.tallies.items())
        for name in ("runs", "failures", "busy", "done", "seconds"):
            counter = CounterMetricFamily(
                f"remembrancer_job_{name}", "Background work in this process.", labels=("job",)
            )
            for job, tally in tallies:
                counter.add_metric((job,), getattr(tally, name))
            yield counter
        ended = GaugeMetricFamily(
            "remembrancer_job_ended_seconds", "When the last good run ended.", labels=("job",)
        )
        for job, tally in tallies:
            ended.add_metric((job,), tally.ended)
        yield ended

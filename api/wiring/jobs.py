"""Background work: each job at its own pace, in one process at a time, counted, and stopped cleanly.

Knows no work of its own. A job runs under a lock of its name; where another process holds it, that one does the work.
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
class Job:
    """Work that is done again and again.

    work: gets the fence of the lock and gives how much was done. limit_s: it is cut off after that; whatever it does
    must bear being cut off anywhere, as a killed process would. first_s: how long it waits before it runs first.
    """

    name: str
    every_s: float
    work: Callable[[int], Awaitable[int]]
    limit_s: float = 60.0
    first_s: float = 0.0


@dataclass(slots=True)
class Tally:
    """What a job has come to in this process.

    busy: times that another process was at it. ended: when the last run that went well ended, as Unix time.
    failing: why the last run failed; the same reason is logged once.
    """

    runs: int = 0
    failures: int = 0
    busy: int = 0
    done: int = 0
    seconds: float = 0.0
    ended: float = 0.0
    failing: str = ""

    def failed(self, job: str, reason: str) -> None:
        """Count a failure; log it if it is news."""
        self.failures += 1
        if reason != self.failing:
            _log.warning("the job %s failed: %s", job, reason)
        self.failing = reason


@dataclass(slots=True)
class Jobs(Collector):
    """The jobs of a service."""

    locks: Locks
    jobs: Sequence[Job]
    tallies: dict[str, Tally] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Jobs]:
        """Within the context every job runs at its pace; at the end what is under way is cut off and waited for."""
        stopping = asyncio.Event()
        tasks = [asyncio.create_task(self._repeat(job, stopping), name=f"job {job.name}") for job in self.jobs]
        try:
            yield self
        finally:
            stopping.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def run_once(self, job: Job) -> None:
        """Do the job now if nobody else is at it; what goes wrong is counted and logged, and tried again next time."""
        tally = self.tallies.setdefault(job.name, Tally())
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
            tally.failed(job.name, str(error) or f"not done after {job.limit_s:g} s")
        except Exception:  # noqa: BLE001 - a fault in one run must not end all later ones; it is counted and logged
            tally.failures += 1
            _log.exception("the job %s failed by a fault", job.name)
        tally.seconds += time.monotonic() - started

    async def _repeat(self, job: Job, stopping: asyncio.Event) -> None:
        """Not the cancellation alone ends it: the Redis client loses one now and then as an answer comes in.

        So it never merely sleeps: a pause of an hour would begin after the only cancellation was lost.
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
    """Whether `event` is set, or gets set within so many seconds."""
    with anyio.move_on_after(within_s):
        await event.wait()
    return event.is_set()

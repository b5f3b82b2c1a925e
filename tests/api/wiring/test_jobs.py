"""Background jobs: repeated, run under a lock, counted in metrics, and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable

import anyio
import pytest
from prometheus_client import generate_latest

from api.wiring.jobs import BackgroundJob, BackgroundJobs
from memtypes.model.errors import LockLost, Unavailable
from memtypes.ports.locks import LockRequest
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.locks import RedisLocks

pytestmark = pytest.mark.anyio


def job(work: Callable[[], Awaitable[int]], limit_s: float = 30.0) -> BackgroundJob:
    """A background job with a unique name, repeated every 0.01 s. limit_s: time limit of a run."""
    return BackgroundJob(f"test {uuid.uuid4()}", 0.01, work, limit_s)


async def test_job_repeats_and_is_counted(live: LiveClient) -> None:
    """A job runs repeatedly until it is stopped. Its runs and the items that its work reports are
    counted.
    """
    runs = 0
    thrice = anyio.Event()

    async def work() -> int:
        nonlocal runs
        runs += 1
        if runs == 3:
            thrice.set()
        return 2

    item = job(work)
    jobs = BackgroundJobs(RedisLocks(live), [item])
    with anyio.fail_after(30):
        async with jobs.running():
            await thrice.wait()
    stopped_at = runs
    await anyio.sleep(0.05)
    assert runs == stopped_at
    tally = jobs.tallies[item.name]
    assert tally.done == 2 * tally.runs >= 4
    assert (
        f'remembrancer_job_runs_total{{job="{item.name}"}} {tally.runs:.1f}'
        in generate_latest(jobs).decode()
    )


async def test_job_of_another_process_counts_as_busy(live: LiveClient) -> None:
    """If another process holds a job's lock, a run in this process does no work and is counted as
    busy, not failed.
    """

    async def work() -> int:
        raise AssertionError

    item = job(work)
    jobs = BackgroundJobs(RedisLocks(live), [item])
    async with RedisLocks(live).held(LockRequest(f"job {item.name}")):
        await jobs.run_once(item)
    assert (jobs.tallies[item.name].busy, jobs.tallies[item.name].failures) == (1, 0)


@pytest.mark.parametrize("error", [Unavailable("away"), LockLost("lost"), ValueError("a fault")])
async def test_failed_job_releases_its_lock(live: LiveClient, error: Exception) -> None:
    """A run that raises an error is counted as failed and releases its lock, so the next run can
    start.
    """

    async def work() -> int:
        raise error

    item = job(work)
    jobs = BackgroundJobs(RedisLocks(live), [item])
    await jobs.run_once(item)
    await jobs.run_once(item)
    assert (jobs.tallies[item.name].failures, jobs.tallies[item.name].busy) == (2, 0)


async def test_job_is_cancelled_at_its_limit(live: LiveClient) -> None:
    """A run that exceeds its time limit is cancelled and counted as failed."""

    async def work() -> int:
        await anyio.sleep_forever()
        return 0

    item = job(work, limit_s=0.05)
    jobs = BackgroundJobs(RedisLocks(live), [item])
    with anyio.fail_after(30):
        await jobs.run_once(item)
    assert jobs.tallies[item.name].failures == 1


async def test_lost_cancellation_does_not_delay_the_end(live: LiveClient) -> None:
    """If a job suppresses its cancellation at shutdown, the service does not wait for the job's
    next run.
    """
    started = anyio.Event()

    async def work() -> int:
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await anyio.sleep_forever()
        return 0

    jobs = BackgroundJobs(RedisLocks(live), [BackgroundJob(f"test {uuid.uuid4()}", 3_600.0, work)])
    with anyio.fail_after(30):
        async with jobs.running():
            await started.wait()
    assert sum(tally.runs for tally in jobs.tallies.values()) == 1


async def test_work_that_ignores_a_cancellation_is_cancelled_again(live: LiveClient) -> None:
    """If a job ignores its cancellation at shutdown and works on, it is cancelled a second time.

    The service does not wait until the work is done.
    """
    begun = anyio.Event()

    async def work() -> int:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3_600)
        await asyncio.sleep(3_600)
        return 1

    with anyio.fail_after(10):
        async with BackgroundJobs(RedisLocks(live), [job(work)]).running():
            await begun.wait()

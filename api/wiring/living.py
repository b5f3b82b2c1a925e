"""Puts together what is live: working memory, threads, workflows, and the background work that they need."""

from __future__ import annotations

from dataclasses import dataclass

from api.jobs import Job, Jobs
from api.wiring.resources import Resources
from ingest.completions import Completions, Endpoint
from ingest.copies import Copies
from ingest.pipeline import Ingestor
from ingest.summarising import TIME_LIMIT_S, EndpointSummariser
from ingest.threads import DepartureKeeper
from ingest.workflows import WorkflowRecorder
from ingest.working import WorkingMemory
from memtypes.redaction import Screen
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.thread_departures import RedisDepartures
from memtypes.stores.redis.threads import RedisThreads
from memtypes.stores.redis.workflows import RedisWorkflows
from memtypes.stores.redis.working import RedisWorking
from memtypes.threads.engine import ThreadParts, Threads
from memtypes.threads.summary import RuleSummariser, Summariser
from memtypes.times import system_clock
from memtypes.workflows.engine import Workflows

RECORDING_S = 120.0
"""Seconds between two looks for ended workflows and thread departures whose record was missed."""

SWEEP_S = 1.0
"""Seconds between two sweeps of working memory; one that finds nothing due costs three round trips."""


@dataclass(frozen=True, slots=True)
class Living:
    """items: the live items as retrieval reads them."""

    items: RedisWorking
    working: WorkingMemory
    threads: Threads
    workflows: Workflows
    jobs: Jobs


def living(resources: Resources, ingestor: Ingestor, screen: Screen) -> Living:
    """Everything live over one client, looked through by `screen`; what leaves it is kept by `ingestor`.

    The jobs are not running yet.
    """
    locks, items = RedisLocks(resources.live), RedisWorking(resources.live)
    copies = Copies(items, resources.store, system_clock)
    kept, recorder = RedisWorkflows(resources.live), WorkflowRecorder(ingestor)
    workflows = Workflows(kept, resources.tokenizer, system_clock, recorder, screen)
    threads = threads_of(resources, ingestor, locks, screen)
    jobs = (
        Job("working", SWEEP_S, copies.sweep),
        Job("workflow records", RECORDING_S, lambda _: workflows.record_ended()),
        Job("thread departures", RECORDING_S, lambda _: threads.outbox.drain_all()),
    )
    working = WorkingMemory(items, copies, ingestor, resources.store, system_clock)
    return Living(items, working, threads, workflows, Jobs(locks, jobs))


def threads_of(resources: Resources, ingestor: Ingestor, locks: RedisLocks, screen: Screen) -> Threads:
    """Threads under the configured policies."""
    return Threads(
        ThreadParts(
            RedisThreads(resources.live),
            RedisDepartures(resources.live),
            DepartureKeeper(ingestor, system_clock),
            resources.tokenizer,
            summariser_of(resources),
            locks,
            system_clock,
            resources.models,
            screen,
            resources.policies,
            resources.tokenizers,
        )
    )


def summariser_of(resources: Resources) -> Summariser:
    """The configured endpoint, or the rules."""
    settings = resources.settings
    if settings.summariser_url is None:
        return RuleSummariser(resources.tokenizer)
    key = settings.summariser_key.get_secret_value() if settings.summariser_key else None
    endpoint = Endpoint(settings.summariser_url, settings.summariser_model, key)
    return EndpointSummariser(Completions(resources.http, endpoint, TIME_LIMIT_S), resources.tokenizer)

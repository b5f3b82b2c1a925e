"""Puts together what is live: working memory, threads, workflows, and the background work that they need."""

from __future__ import annotations

from dataclasses import dataclass

from api.wiring.jobs import Job, Jobs
from api.wiring.resources import Resources
from ingest.conversations.summary import TIME_LIMIT_S, EndpointSummariser, RuleSummariser, Summariser
from ingest.conversations.threads import ThreadParts, Threads
from ingest.screening.completions import CompletionClient, CompletionEndpoint
from ingest.screening.redaction.redactor import Redactor
from ingest.workflows.engine import Workflows
from ingest.working.sync import Copies
from ingest.working.todos import WorkingMemory
from ingest.writing.pipeline import Ingestor
from memtypes.model.times import system_clock
from memtypes.stores.redis.evicted_turns import RedisEvictedTurns
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.threads import RedisThreads
from memtypes.stores.redis.workflows import RedisWorkflows
from memtypes.stores.redis.working import RedisWorking

RECORDING_S = 120.0
"""Seconds between two looks for ended workflows and evicted turns that are not stored yet."""

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


def living(resources: Resources, ingestor: Ingestor, redactor: Redactor) -> Living:
    """Everything live over one client, looked through by `redactor`; what leaves it is kept by `ingestor`.

    The jobs are not running yet.
    """
    locks, items = RedisLocks(resources.live), RedisWorking(resources.live)
    copies = Copies(items, resources.store, system_clock)
    workflows = Workflows(RedisWorkflows(resources.live), ingestor, resources.tokenizer, system_clock, redactor)
    threads = threads_of(resources, ingestor, locks, redactor)
    jobs = (
        Job("working", SWEEP_S, copies.sweep),
        Job("workflow records", RECORDING_S, lambda _: workflows.record_ended()),
        Job("thread departures", RECORDING_S, lambda _: threads.evicted_turns.persist_all()),
    )
    working = WorkingMemory(items, copies, ingestor, resources.store, system_clock)
    return Living(items, working, threads, workflows, Jobs(locks, jobs))


def threads_of(resources: Resources, ingestor: Ingestor, locks: RedisLocks, redactor: Redactor) -> Threads:
    """Threads under the configured policies."""
    return Threads(
        ThreadParts(
            RedisThreads(resources.live),
            RedisEvictedTurns(resources.live),
            ingestor,
            resources.tokenizer,
            summariser_of(resources),
            locks,
            system_clock,
            resources.models,
            redactor,
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
    endpoint = CompletionEndpoint(settings.summariser_url, settings.summariser_model, key)
    return EndpointSummariser(CompletionClient(resources.http, endpoint, TIME_LIMIT_S), resources.tokenizer)

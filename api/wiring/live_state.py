"""Builds the services that keep live state in Redis: working memory, threads, workflows, and their
background jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from api.wiring.jobs import BackgroundJob
from api.wiring.resources import Resources
from ingest.conversations.evicted_turns import CapturedTurnWriter, EvictedTurnWriter
from ingest.conversations.flushing import Flusher
from ingest.conversations.incoming import TurnScreen
from ingest.conversations.policies import PolicyLookup
from ingest.conversations.summary import EndpointSummariser, Summariser, summary_by_rule
from ingest.conversations.threads import Threads
from ingest.screening.completions import CompletionClient
from ingest.screening.recall_guard import RecallGuard
from ingest.screening.redaction.redactor import Redactor
from ingest.workflows.ended_workflows import EndedWorkflows
from ingest.workflows.workflows import Workflows
from ingest.working.working_memory import WorkingMemory
from ingest.writing.pipeline import Ingestor
from memtypes.model.times import system_clock
from memtypes.ports.workflows import WorkflowStore
from memtypes.stores.redis.client_sessions import RedisClientSessions, captured_turns
from memtypes.stores.redis.evicted_turns import RedisEvictedTurns
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.threads import RedisThreads
from memtypes.stores.redis.workflows import Lifetimes, RedisWorkflows
from memtypes.stores.redis.working import RedisWorking

EXPIRY_S = 60.0
"""Seconds between two runs of the job that ends workflows whose time is over."""

RECORDING_S = 120.0
"""Seconds between two runs of the jobs that store ended workflows and evicted turns as memories."""

CAPTURING_S = 10.0
"""Seconds between two runs of the job that stores captured turns which no event of their client has
begun to store.
"""

SWEEP_S = 1.0
"""Seconds between two sweeps, which copy or delete due working items; a sweep without any costs 3
round trips.
"""


@dataclass(frozen=True, slots=True)
class LiveServices:
    """The services that keep state in Redis for a limited time. items: the store of working
    memory.
    """

    items: RedisWorking
    working: WorkingMemory
    threads: Threads
    workflows: Workflows
    client_sessions: RedisClientSessions
    captures: CapturedTurnWriter
    locks: RedisLocks
    jobs: tuple[BackgroundJob, ...]


def live_services(
    resources: Resources,
    ingestor: Ingestor,
    redactor: Redactor,
    guard: RecallGuard,
    summariser: CompletionClient | None,
) -> LiveServices:
    """Build working memory, threads, workflows and client sessions on `resources.live`, without
    starting their jobs.

    ingestor: stores turns that left threads, turns captured from coding agents, and ended workflows
    as memories. redactor: removes secrets from texts that are written. guard: removes memories that
    were shown from captured turns. summariser: the language model that summarises flushed turns, if
    there is one.
    """
    settings = resources.settings
    hours = (settings.workflow_ttl_hours, settings.ended_log_hours)
    logs = RedisWorkflows(
        resources.live, Lifetimes(*(max(1, round(duration * 3_600)) for duration in hours))
    )
    locks = RedisLocks(resources.live)
    items = RedisWorking(resources.live)
    todo_life = timedelta(hours=settings.todo_hours)
    working = WorkingMemory(items, ingestor, resources.store, system_clock, logs, locks, todo_life)
    threads = threads_of(resources, ingestor, locks, redactor, logs, summariser)
    ended = EndedWorkflows(logs, ingestor, threads, working)
    workflows = Workflows(
        logs, ended, resources.tokenizer, system_clock, redactor, settings.workflow_snapshot_events
    )
    sessions = RedisClientSessions(resources.live)
    captures = CapturedTurnWriter(
        captured_turns(resources.live), ingestor, system_clock, sessions, guard
    )
    jobs = (
        BackgroundJob("captured turns", CAPTURING_S, captures.persist_all),
        BackgroundJob("working", SWEEP_S, working.sweep),
        BackgroundJob("workflow expiry", EXPIRY_S, workflows.expire),
        BackgroundJob("workflow records", RECORDING_S, workflows.ended.record_all),
        BackgroundJob("thread departures", RECORDING_S, threads.expire),
    )
    return LiveServices(items, working, threads, workflows, sessions, captures, locks, jobs)


def threads_of(
    resources: Resources,
    ingestor: Ingestor,
    locks: RedisLocks,
    redactor: Redactor,
    workflows: WorkflowStore,
    summariser: CompletionClient | None,
) -> Threads:
    """Build the service for threads, with the policies of the policy file. summariser: the language
    model that writes summaries; None for summaries by rule.
    """
    settings = resources.settings
    tokenizer = resources.tokenizer
    clock = system_clock
    ttl_s = settings.thread_ttl_hours * 3_600
    policies = PolicyLookup(resources.models, resources.policies, resources.tokenizers, ttl_s)
    screen = TurnScreen(redactor, policies, tokenizer, clock)
    summarise: Summariser = summary_by_rule
    if summariser is not None:
        summarise = EndpointSummariser(summariser).summary
    store = RedisThreads(resources.live)
    flusher = Flusher(store, policies, summarise, tokenizer, locks, clock)
    evicted_turns = EvictedTurnWriter(RedisEvictedTurns(resources.live), ingestor, clock)
    return Threads(store, policies, screen, flusher, evicted_turns, clock, workflows)

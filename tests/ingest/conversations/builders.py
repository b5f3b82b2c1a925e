"""Builders for tests: threads on a real live server that write evicted turns to an in-memory store,
and a slow gate.
"""

from __future__ import annotations

from datetime import UTC, datetime

import anyio

from ingest.conversations.evicted_turns import EvictedTurnWriter
from ingest.conversations.flushing import Flusher
from ingest.conversations.incoming import TurnScreen
from ingest.conversations.policies import PolicyLookup
from ingest.conversations.summary import summary_by_rule
from ingest.conversations.threads import Threads
from ingest.screening.redaction.redactor import Redactor
from ingest.screening.submission import ScreeningGate, Submission
from ingest.workflows.ended_workflows import EndedWorkflows
from ingest.working.working_memory import WorkingMemory
from ingest.writing.pipeline import Ingestor
from memtypes.live.thread_policy import parse_policies
from memtypes.llms.registry import Models, Registry
from memtypes.model.scope import Scope
from memtypes.ports.workflows import WorkflowStore
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.evicted_turns import RedisEvictedTurns
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.threads import RedisThreads
from memtypes.stores.redis.workflows import RedisWorkflows
from tests.fakes import FakeTokenizer
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_locks import FakeLocks
from tests.fakes_memories import InMemoryStore
from tests.fakes_threads import FakeThreads
from tests.fakes_working import FakeItems

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class SlowGate:
    """A screening gate that holds every draft until `opened` is set. The event `reached` is set
    when a draft waits.
    """

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self.opened = anyio.Event()

    async def examine(self, _scope: Scope, submission: Submission) -> Submission:
        """Wait until `opened` is set, and return the submission unchanged."""
        self.reached.set()
        await self.opened.wait()
        return submission


def ingestor_over(store: InMemoryStore, *gates: ScreeningGate) -> Ingestor:
    """An ingestor that screens drafts (memories to be written) by `gates` and writes accepted
    drafts to `store`.
    """
    return plain_ingestor(store, lambda: NOW, gates=gates)


def threads_over(
    live: LiveClient,
    policies: str = "",
    ingestor: Ingestor | None = None,
    redactor: Redactor | None = None,
    models: Models = Registry,
) -> Threads:
    """The threads service over a live server. policies: a policy file as YAML text."""
    store = RedisThreads(live)
    tokenizer = FakeTokenizer()
    lookup = PolicyLookup(models, parse_policies(policies, "test.yaml"))
    screen = TurnScreen(redactor or Redactor(), lookup, tokenizer, lambda: NOW)
    flusher = Flusher(store, lookup, summary_by_rule, tokenizer, RedisLocks(live), lambda: NOW)
    ingestor = ingestor or ingestor_over(InMemoryStore())
    evicted_turns = EvictedTurnWriter(RedisEvictedTurns(live), ingestor, lambda: NOW)
    return Threads(store, lookup, screen, flusher, evicted_turns, lambda: NOW, RedisWorkflows(live))


def ended_over(workflows: WorkflowStore, memories: InMemoryStore) -> EndedWorkflows:
    """The service that records ended workflows as memories and cleans up after them, over in-memory
    stores.
    """
    threads = FakeThreads()
    ingestor = ingestor_over(memories)
    tokenizer = FakeTokenizer()
    lookup = PolicyLookup(Registry)
    screen = TurnScreen(Redactor(), lookup, tokenizer, lambda: NOW)
    flusher = Flusher(threads, lookup, summary_by_rule, tokenizer, FakeLocks(), lambda: NOW)
    evicted_turns = EvictedTurnWriter(threads, ingestor, lambda: NOW)
    conversations = Threads(threads, lookup, screen, flusher, evicted_turns, lambda: NOW, workflows)
    working = WorkingMemory(FakeItems(), ingestor, memories, lambda: NOW, workflows, FakeLocks())
    return EndedWorkflows(workflows, ingestor, conversations, working)

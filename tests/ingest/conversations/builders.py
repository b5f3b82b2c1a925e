"""Threads over a real server, with ingestion over a store in memory."""

from __future__ import annotations

from datetime import UTC, datetime

from ingest.conversations.summary import RuleSummariser
from ingest.conversations.threads import ThreadParts, Threads
from ingest.screening.redaction.redactor import Redactor
from ingest.screening.submission import ScreeningGate
from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.config import parse_policies
from memtypes.llms.registry import Registry
from memtypes.stores.memory import InMemoryStore
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.evicted_turns import RedisEvictedTurns
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.threads import RedisThreads
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ingestor_over(store: InMemoryStore, *gates: ScreeningGate) -> Ingestor:
    """An ingestor that writes to `store` what passes `gates`."""
    return Ingestor(IngestorParts(store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: NOW, gates))


def threads_over(
    live: LiveClient, policies: str = "", ingestor: Ingestor | None = None, redactor: Redactor | None = None
) -> Threads:
    """Threads with the policies of a YAML text."""
    tokenizer = FakeTokenizer()
    return Threads(
        ThreadParts(
            store=RedisThreads(live),
            evicted=RedisEvictedTurns(live),
            ingestor=ingestor or ingestor_over(InMemoryStore()),
            tokenizer=tokenizer,
            summariser=RuleSummariser(tokenizer),
            locks=RedisLocks(live),
            clock=lambda: NOW,
            models=Registry,
            redactor=redactor or Redactor(),
            policies=parse_policies(policies, "test.yaml"),
        )
    )

"""Threads over a real server, with ingestion over a store in memory."""

from __future__ import annotations

from datetime import UTC, datetime

from ingest.pipeline import Ingestor, IngestorParts
from ingest.redaction.gate import Redactor
from ingest.threads import DepartureKeeper
from memtypes.models.registry import Registry
from memtypes.redaction import Screen
from memtypes.stores.redis.client import LiveClient
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.thread_departures import RedisDepartures
from memtypes.stores.redis.threads import RedisThreads
from memtypes.threads.departures import ThreadKeeper
from memtypes.threads.engine import ThreadParts, Threads
from memtypes.threads.policy_file import parse
from memtypes.threads.summary import RuleSummariser
from tests.fakes import FakeEmbedder, FakeSparse, FakeStore, FakeTokenizer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def keeper_over(store: FakeStore) -> DepartureKeeper:
    """Keeps what left in `store`."""
    return DepartureKeeper(
        Ingestor(IngestorParts(store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: NOW)), lambda: NOW
    )


def threads_over(
    live: LiveClient, policies: str = "", keeper: ThreadKeeper | None = None, screen: Screen | None = None
) -> Threads:
    """Threads by the policies of a YAML text."""
    tokenizer = FakeTokenizer()
    return Threads(
        ThreadParts(
            RedisThreads(live),
            RedisDepartures(live),
            keeper or keeper_over(FakeStore()),
            tokenizer,
            RuleSummariser(tokenizer),
            RedisLocks(live),
            lambda: NOW,
            Registry,
            screen or Redactor(),
            parse(policies, "test.yaml"),
        )
    )

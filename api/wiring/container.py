"""`Services`: the container of all objects that HTTP handlers and commands use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from litestar.di import NamedDependency

from api.auth.keys import KeyBook
from api.auth.rate_limit import RateLimit
from api.http.idempotency import IdempotentCalls
from api.http.metrics import Metrics
from api.wiring.jobs import BackgroundJobs
from api.wiring.resources import Reembedding
from ingest.conversations.evicted_turns import CapturedTurnWriter
from ingest.conversations.threads import Threads
from ingest.keyed_items import KeyedItems
from ingest.screening.classifier import Examiner
from ingest.screening.recall_guard import RecallGuard
from ingest.upkeep.decisions import Decisions
from ingest.upkeep.jobs import Upkeep
from ingest.workflows.workflows import Workflows
from ingest.working.intentions import Intentions
from ingest.working.working_memory import WorkingMemory
from ingest.writing.pipeline import Ingestor
from memtypes.circuit_breaker import BreakerState
from memtypes.llms.counting import ProviderCounter
from memtypes.llms.registry import Models, Registry
from memtypes.model.times import Clock, system_clock
from memtypes.ports.client_sessions import ClientSessionStore
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.erasure import Erasable
from memtypes.ports.memory_store import MemoryStore
from retrieval.receipts.service import Receipts
from retrieval.retriever import Retriever

Ping: TypeAlias = Callable[[], Awaitable[str | None]]
"""Checks that a resource works, and returns what an operator should know although it does."""


@dataclass(frozen=True, slots=True)
class Services:
    """All objects that an HTTP handler or a command may need.

    models: the registry of language models. client_sessions: running sessions of clients such as
    Claude Code. captures: writes the turns of these sessions as memories. pings: a health check for
    each resource, by name. erasable: the stores from which data is erased, by name. counter: counts
    tokens at a model's provider. breakers: returns the state of each circuit breaker, by server and
    workload. config_problems: what is wrong with each configuration file that is read again when it
    changes, by its setting; None for a file in use. jobs: background jobs.
    """

    store: MemoryStore
    ingestor: Ingestor
    retriever: Retriever
    intentions: Intentions
    upkeep: Upkeep
    decisions: Decisions
    recall_guard: RecallGuard
    idempotency: IdempotentCalls
    pings: Mapping[str, Ping]
    workflows: Workflows
    working: WorkingMemory
    threads: Threads
    client_sessions: ClientSessionStore
    captures: CapturedTurnWriter
    tokenizers: Mapping[str, Tokenizer]
    jobs: BackgroundJobs
    reembedding: Reembedding
    erasable: Mapping[str, Erasable]
    receipts: Receipts
    items: KeyedItems
    examiner: Examiner
    keys: KeyBook = field(default_factory=KeyBook)
    rate: RateLimit = field(default_factory=RateLimit)
    metrics: Metrics = field(default_factory=Metrics)
    clock: Clock = system_clock
    models: Models = Registry
    counter: ProviderCounter | None = None
    breakers: Callable[[], Mapping[tuple[str, str], BreakerState]] = dict
    config_problems: Callable[[], Mapping[str, str | None]] = dict


AppServices: TypeAlias = NamedDependency[Services]
"""Type of the parameter `services` of an HTTP handler."""

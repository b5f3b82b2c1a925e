"""What the HTTP layer works with, handed to it ready-made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from api.jobs import Jobs
from api.keybook import KeyBook
from api.keys import KeyRing
from api.metrics import Metrics
from api.once import Once
from api.rate import RateLimit
from api.reembedding import Reembedding
from ingest.examine import Examiner
from ingest.intentions import Intentions
from ingest.pipeline import Ingestor
from ingest.recalled import RecallGuard
from ingest.upkeep.executor import Upkeep
from ingest.working import WorkingMemory
from memtypes.erasure import Erasable
from memtypes.models.counting import TokenCounter
from memtypes.models.registry import Models, Registry
from memtypes.ports import MemoryStore, Tokenizer
from memtypes.threads.engine import Threads
from memtypes.times import Clock, system_clock
from memtypes.workflows.engine import Workflows
from retrieval.receipts.service import Receipts
from retrieval.retriever import Retriever

Ping: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a call may need.

    once: makes a call that has an idempotency key once. models: what the names of models mean.
    pings: of every opened resource, by the name that readiness shows.
    places: everything that erasure must empty, by name.
    counter: asks a provider for its count of a context, where the registry names its endpoint.
    jobs: the background work.
    """

    store: MemoryStore
    ingestor: Ingestor
    retriever: Retriever
    intentions: Intentions
    upkeep: Upkeep
    recall_guard: RecallGuard
    once: Once
    pings: Mapping[str, Ping]
    keys: KeyBook = field(default_factory=lambda: KeyBook(KeyRing()))
    rate: RateLimit = field(default_factory=RateLimit)
    metrics: Metrics = field(default_factory=Metrics)
    clock: Clock = system_clock
    models: Models = Registry
    counter: TokenCounter | None = None
    workflows: Workflows | None = None
    working: WorkingMemory | None = None
    threads: Threads | None = None
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)
    jobs: Jobs | None = None
    reembedding: Reembedding | None = None
    places: Mapping[str, Erasable] = field(default_factory=dict)
    receipts: Receipts | None = None
    examiner: Examiner | None = None

"""Services over fakes, and stores and embedders that fail on purpose."""

from __future__ import annotations

from dataclasses import replace

from api.erasure import Memories, Remembered
from api.once import Once
from api.services import Services
from api.wiring.screening import local_panel, screening_of
from ingest.copies import Copies
from ingest.due.gate import DueTimes
from ingest.intentions import IntentionParts, Intentions
from ingest.pipeline import Ingestor, IngestorParts
from ingest.recalled import RecallGuard
from ingest.redaction.policy import RuleBook
from ingest.threads import DepartureKeeper
from ingest.upkeep.executor import Upkeep
from ingest.workflows import WorkflowRecorder
from ingest.working import WorkingMemory
from memtypes.errors import Unavailable
from memtypes.memory import Memory
from memtypes.models.registry import Registry
from memtypes.policy import MemoryType
from memtypes.ports import Listing, MemoryStore, Page, TypeStats
from memtypes.receipts import ErasableReceipts
from memtypes.scope import Scope
from memtypes.threads.engine import ThreadParts, Threads
from memtypes.threads.summary import RuleSummariser
from memtypes.times import Clock
from memtypes.workflows.engine import Workflows
from retrieval.freshness import Freshness
from retrieval.receipts.queue import ReceiptQueue
from retrieval.receipts.recorder import Past, ReceiptRecorder
from retrieval.receipts.service import Receipts
from retrieval.retriever import Retriever, RetrieverParts
from tests.fakes import FakeEmbedder, FakeSparse, FakeStore, FakeTokenizer
from tests.fakes_answers import FakeAnswers
from tests.fakes_receipts import FakeReceipts
from tests.fakes_threads import FakeThreads, FreeLocks
from tests.fakes_workflows import FakeWorkflows
from tests.fakes_working import FakeItems


class AwayStore(FakeStore):
    """A store that is not there."""

    async def get(self, _scope: Scope, _ids: object) -> dict[str, Memory]:
        """Nothing: it is away."""
        raise Unavailable("the store is away", retry_after_s=3)

    async def page(self, _scope: Scope, _listing: Listing) -> Page:
        """Nothing: it is away."""
        raise Unavailable("the store is away", retry_after_s=3)

    async def stats(self, _scope: Scope) -> dict[MemoryType, TypeStats]:
        """Nothing: it is away."""
        raise Unavailable("the store is away", retry_after_s=3)

    async def ping(self) -> None:
        """Nothing: it is away."""
        raise Unavailable("the store is away", retry_after_s=3)


def fake_services(clock: Clock, store: MemoryStore | None = None, book: RuleBook | None = None) -> Services:
    """Real ingestion and retrieval over `store`, or over an empty one in memory, by the redaction rules of `book`."""
    kept, embedder, sparse, tokenizer = store or FakeStore(), FakeEmbedder(), FakeSparse(), FakeTokenizer()
    answers = FakeAnswers(clock)
    items = FakeItems()
    chain = ReceiptQueue(FakeReceipts())
    recorder = ReceiptRecorder(chain, Past(kept, embedder), clock)
    freshness = Freshness(kept)
    retrieving = RetrieverParts(
        kept,
        embedder,
        sparse,
        {"cl100k_base": tokenizer},
        clock,
        on_shown=freshness.note,
        live=items,
        receipts=recorder,
    )
    screened = screening_of(book or RuleBook(), local_panel(kept), embedder)
    gates = (*screened.gates, DueTimes(clock))
    parts = IngestorParts(kept, screened.embedder, sparse, tokenizer, clock, gates)
    parts = replace(parts, redactor=screened.redactor, panel=screened.panel, recent=screened.recent)
    ingestor = Ingestor(parts)
    kept_live = FakeThreads()
    threads = ThreadParts(
        kept_live,
        kept_live,
        DepartureKeeper(ingestor, clock),
        tokenizer,
        RuleSummariser(tokenizer),
        FreeLocks(),
        clock,
        Registry,
        screened.redactor,
    )
    return Services(
        store=kept,
        ingestor=ingestor,
        upkeep=Upkeep(kept, embedder, ingestor, parts.locks, clock),
        intentions=Intentions(IntentionParts(kept, embedder, ingestor, parts.locks, clock)),
        retriever=Retriever(retrieving),
        recall_guard=RecallGuard(kept, sparse, freshness.write),
        pings={"store": kept.ping, "embedder": embedder.ping},
        clock=clock,
        threads=Threads(threads),
        tokenizers=dict.fromkeys(("cl100k_base", "o200k_base"), tokenizer),
        working=WorkingMemory(items, Copies(items, kept, clock), ingestor, kept, clock),
        once=Once(answers),
        places={
            "memories": Memories(kept, ingestor),
            "answers": answers,
            "receipts": ErasableReceipts(chain),
            "recent": Remembered(screened.recent, screened.documents),
        },
        workflows=Workflows(FakeWorkflows(), tokenizer, clock, WorkflowRecorder(ingestor), screened.redactor),
        receipts=Receipts(chain, retrieving),
        examiner=screened.examiner,
    )

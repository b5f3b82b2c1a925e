"""Services over an in-memory store and fake encoders, and a memory store that is unavailable."""

from __future__ import annotations

from api.http.idempotency import IdempotentCalls
from api.settings import Settings
from api.wiring.container import Services
from api.wiring.erasure import ErasableItems, ErasableMemories, ErasableWorking
from api.wiring.jobs import BackgroundJobs
from api.wiring.resources import Reembedding
from api.wiring.services import local_panel, screening_of
from ingest.conversations.evicted_turns import CapturedTurnWriter, EvictedTurnWriter
from ingest.conversations.flushing import Flusher
from ingest.conversations.incoming import TurnScreen
from ingest.conversations.policies import PolicyLookup
from ingest.conversations.summary import summary_by_rule
from ingest.conversations.threads import Threads
from ingest.keyed_items import KeyedItems
from ingest.screening.due.reading import DueTimes
from ingest.screening.judge import Judge
from ingest.screening.recall_guard import RecallGuard
from ingest.screening.redaction.redactor import RuleBook
from ingest.upkeep.decisions import Decisions
from ingest.upkeep.jobs import Upkeep
from ingest.workflows.ended_workflows import EndedWorkflows
from ingest.workflows.workflows import Workflows
from ingest.working.intentions import Intentions
from ingest.working.working_memory import WorkingMemory
from ingest.writing.pipeline import Ingestor
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.llms.registry import Registry
from memtypes.model.errors import Unavailable
from memtypes.model.filters import Filter
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.encoders import Embedder, SparseEncoder
from memtypes.ports.memory_store import Listing, Page, TypeStats
from memtypes.ports.reader import Reader
from memtypes.stores.operations.engine_store import EngineStore
from memtypes.stores.operations.item_store import EngineItems
from retrieval.context.entries import EntryCounter
from retrieval.dependencies import RetrieverParts
from retrieval.receipts.recorder import ReceiptQueue
from retrieval.receipts.service import Receipts
from retrieval.retriever import Retriever
from retrieval.use_counts import UseCounts
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer
from tests.fakes_answers import FakeAnswers
from tests.fakes_client_sessions import FakeClientSessions
from tests.fakes_locks import FakeLocks
from tests.fakes_memories import InMemoryStore
from tests.fakes_receipts import FakeReceipts
from tests.fakes_rejections import FakeRejections
from tests.fakes_threads import FakeThreads
from tests.fakes_workflows import FakeWorkflows
from tests.fakes_working import FakeItems


class AwayStore(InMemoryStore):
    """A memory store that is unavailable."""

    async def get(self, _scope: Scope, _ids: object) -> dict[str, Memory]:
        """Raise Unavailable."""
        raise Unavailable("the store is away", retry_after_s=3)

    async def page(self, _scope: Scope, _listing: Listing) -> Page:
        """Raise Unavailable."""
        raise Unavailable("the store is away", retry_after_s=3)

    async def stats(
        self, _scope: Scope, _where: Filter | None = None
    ) -> dict[MemoryType, TypeStats]:
        """Raise Unavailable."""
        raise Unavailable("the store is away", retry_after_s=3)

    async def ping(self) -> None:
        """Raise Unavailable."""
        raise Unavailable("the store is away", retry_after_s=3)


def fake_services(
    clock: Clock,
    store: EngineStore | None = None,
    book: RuleBook | None = None,
    encoders: tuple[Embedder, SparseEncoder] | None = None,
    reader: Reader | None = None,
) -> Services:
    """Services over `store` (default: empty), with real ingestion and retrieval and the redaction
    rules of `book`. reader: reads texts together.
    """
    embedder, sparse = encoders or (FakeEmbedder(), FakeSparse())
    stored = store or InMemoryStore(embedder.dimensions)
    tokenizer = FakeTokenizer()
    answers = FakeAnswers(clock)
    keyed = EngineItems(stored)
    items = FakeItems()
    chain = ReceiptQueue(FakeReceipts())
    use_counts = UseCounts(stored)
    retrieving = RetrieverParts(
        stored,
        embedder,
        sparse,
        {"cl100k_base": tokenizer},
        clock,
        use_counts=use_counts,
        live=items,
        receipts=chain,
        reader=reader,
    )
    guard = RecallGuard(stored, sparse, use_counts.write, retrieving.entries.text_of)
    panel = local_panel(stored, Judge.shipped())
    screened = screening_of(book or RuleBook(), panel, embedder, guard, clock)
    gates = (*screened.gates, DueTimes(clock))
    rejections = FakeRejections(clock)
    ingestor = Ingestor(
        stored,
        embedder,
        sparse,
        EntryCounter(tokenizer, retrieving.entries),
        clock,
        gates,
        screened.redactor,
        screened.panel,
        rejections,
        reader,
        recent=screened.recent,
    )
    live = FakeThreads()
    logs = FakeWorkflows()
    policies = PolicyLookup(Registry)
    screen = TurnScreen(screened.redactor, policies, tokenizer, clock)
    locks = FakeLocks()
    flusher = Flusher(live, policies, summary_by_rule, tokenizer, locks, clock)
    threads = Threads(
        live, policies, screen, flusher, EvictedTurnWriter(live, ingestor, clock), clock, logs
    )
    working = WorkingMemory(items, ingestor, stored, clock, logs, locks)
    ended = EndedWorkflows(logs, ingestor, threads, working)
    sessions = FakeClientSessions()
    return Services(
        store=stored,
        ingestor=ingestor,
        upkeep=Upkeep(stored, embedder, ingestor, clock, 0),
        decisions=Decisions(stored, ingestor, clock),
        intentions=Intentions(stored, embedder, ingestor, ingestor.locks, clock, locks),
        retriever=Retriever(retrieving),
        recall_guard=guard,
        client_sessions=sessions,
        captures=CapturedTurnWriter(sessions.captures, ingestor, clock, sessions, guard),
        pings={"store": stored.ping, "embedder": embedder.ping},
        clock=clock,
        threads=threads,
        tokenizers=dict.fromkeys(("cl100k_base", "o200k_base"), tokenizer),
        working=working,
        idempotency=IdempotentCalls(answers),
        erasable={
            "working": ErasableWorking(working),
            "memories": ErasableMemories(ingestor),
            "items": ErasableItems(keyed),
            "answers": answers,
            "receipts": chain,
            "recent": screened.recent,
        },
        workflows=Workflows(logs, ended, tokenizer, clock, screened.redactor),
        receipts=Receipts(chain, retrieving),
        examiner=screened.examiner,
        items=KeyedItems(keyed, embedder, clock),
        jobs=BackgroundJobs(locks, ()),
        reembedding=Reembedding(Settings(), embedder, Bm25Encoder()),
    )

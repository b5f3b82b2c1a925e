"""Opens the resources (encoders and stores) that the settings name, and builds all services on
them.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from api.auth.keys import HashedKey, KeyBook
from api.auth.rate_limit import RateLimit
from api.http.idempotency import IdempotentCalls
from api.settings import BadSettings, Settings, secret
from api.wiring.container import Services
from api.wiring.data_folder import DataFolder
from api.wiring.endpoints import Endpoints, endpoints_of
from api.wiring.erasure import ErasableItems, ErasableMemories, ErasableWorking
from api.wiring.jobs import BackgroundJob, BackgroundJobs
from api.wiring.live_state import live_services
from api.wiring.resources import (
    Reembedding,
    Resources,
    left_out,
    open_resources,
)
from ingest.keyed_items import KeyedItems
from ingest.screening.classifier import ClassificationGate, Classifier, Examiner
from ingest.screening.completions import CompletionClient
from ingest.screening.due.reading import DueTimes
from ingest.screening.judge import Judge
from ingest.screening.prefilter import Prefilter, RecentTexts
from ingest.screening.recall_guard import RecallGate, RecallGuard
from ingest.screening.redaction.redactor import (
    RedactionGate,
    Redactor,
    RuleBook,
    Treatment,
    read_rules,
)
from ingest.screening.review.panel import IMPORTANCE, RELEVANCE, Panel, Reviewer
from ingest.screening.review.reviewers import (
    EndpointReviewer,
    ImportanceReviewer,
    NoveltyReviewer,
    RelevanceReviewer,
)
from ingest.screening.submission import ScreeningGate
from ingest.upkeep.decisions import Decisions
from ingest.upkeep.jobs import Upkeep, round_requests
from ingest.working.intentions import Intentions
from ingest.working.working_memory import WorkingMemory
from ingest.writing.pipeline import Ingestor
from memtypes.circuit_breaker import BreakerState
from memtypes.llms.counting import ProviderCounter
from memtypes.model.scope import DEFAULT_TENANT
from memtypes.model.times import Clock, system_clock
from memtypes.ports.encoders import Embedder, Tokenizer
from memtypes.ports.erasure import Erasable
from memtypes.ports.memory_store import MemoryStore
from memtypes.ports.reader import Reader
from memtypes.ports.working import LiveItemStore
from memtypes.stores.edge import EdgeFiles, EdgeStore
from memtypes.stores.operations.item_store import EngineItems
from memtypes.stores.redis.answers import RedisAnswers
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.erasure import LiveLog, LiveState
from memtypes.stores.redis.rejections import RedisRejections
from retrieval.context.entries import Entries, EntryCounter
from retrieval.dependencies import RetrieverParts
from retrieval.receipts.service import Receipts
from retrieval.retriever import Retriever
from retrieval.use_counts import UseCounts

ITEM_EXPIRY_S = 60.0
"""Seconds between two removals of expired keyed items from the disk. Reads leave them out before
that.
"""

UPKEEP_FIRST_S = 300.0
"""Seconds before the first round of upkeep, because a service that has just started is busy."""

UPKEEP_LIMIT_S = 600.0
"""Seconds after which a round of upkeep is cancelled. The next round continues its work."""


@asynccontextmanager
async def open_services(
    settings: Settings, keys: Sequence[HashedKey] = ()
) -> AsyncIterator[Services]:
    """Context manager that opens all services and closes them at its end. Background jobs are not
    started.

    keys: keys from the keys file. Raises BadSettings, BadKeys, InvalidConfigFile, SetupRequired,
    EmbedderMismatch, StoreInUse or Unavailable; each message says what to do.
    """
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise BadSettings(
            f"the data folder {folder} cannot be used: {error.strerror}; choose another --data-dir"
        ) from error
    book = KeyBook(keys, folder / "keys.json")
    data_folder = DataFolder(settings)
    version = data_folder.version()
    async with AsyncExitStack() as stack:
        resources = await open_resources(settings, stack)
        await data_folder.convert(resources, version)
        use_counts = await stack.enter_async_context(UseCounts(resources.store).running())
        services = assemble(resources, book, use_counts)
        stack.push_async_callback(services.threads.evicted_turns.aclose)
        stack.push_async_callback(services.captures.aclose)
        yield services


def assemble(resources: Resources, keys: KeyBook, use_counts: UseCounts) -> Services:
    """Build all services on the opened resources; their background jobs are not started."""
    settings = resources.settings
    store = resources.store
    embedder = resources.embedder
    rules = read_rules(settings.redaction_rules, Treatment(settings.redaction))
    endpoints = endpoints_of(settings, resources.http)
    judge = Judge.shipped(embedder.fingerprint)
    panel = panel_of(store, judge, endpoints.reviewer, settings.reviewer_seats)
    entries = Entries()
    guard = RecallGuard(store, resources.sparse, use_counts.write, entries.text_of)
    screening = screening_of(rules, panel, embedder, guard, reader=resources.reader)
    ingestor = ingestor_of(resources, screening, entries)
    live = live_services(resources, ingestor, screening.redactor, guard, endpoints.summariser)
    counter = ProviderCounter(resources.http, resources.models, secret)
    retrieval = replace(
        retriever_parts(resources, live.items, use_counts, counter), entries=entries
    )
    answers = RedisAnswers(resources.live, system_clock)
    items = KeyedItems(EngineItems(store), embedder, system_clock)
    item_expiry = BackgroundJob("item expiry", ITEM_EXPIRY_S, items.delete_expired)
    is_word = partial(is_common_word, resources.tokenizer)
    upkeep = Upkeep(store, embedder, ingestor, system_clock, settings.expired_days, is_word)
    return Services(
        store=store,
        ingestor=ingestor,
        upkeep=upkeep,
        decisions=Decisions(store, ingestor, system_clock),
        intentions=Intentions(store, embedder, ingestor, ingestor.locks, system_clock, live.locks),
        retriever=Retriever(retrieval),
        recall_guard=guard,
        pings={
            "store": store.ping,
            "embedder": partial(ping_embedder, embedder, left_out(embedder.fingerprint)),
            "live": resources.live.ping,
            "reader": partial(report_reader, resources.reader),
        },
        keys=keys,
        rate=RateLimit(settings.calls_per_minute),
        models=resources.models,
        counter=counter,
        breakers=partial(breaker_states, resources.live, counter, endpoints),
        config_problems=lambda: {"models": resources.models.problem()},
        workflows=live.workflows,
        working=live.working,
        threads=live.threads,
        client_sessions=live.client_sessions,
        captures=live.captures,
        tokenizers=resources.tokenizers,
        jobs=BackgroundJobs(
            live.locks, (*live.jobs, item_expiry, *upkeep_jobs(settings, upkeep, keys))
        ),
        reembedding=Reembedding(settings, embedder, resources.sparse),
        idempotency=IdempotentCalls(answers),
        erasable=erasable_stores(resources, ingestor, live.working, screening, answers),
        receipts=Receipts(resources.receipts, retrieval),
        examiner=screening.examiner,
        items=items,
    )


def is_common_word(tokenizer: Tokenizer, word: str) -> bool:
    """Whether the tokenizer has one token for `word`, as it has for common words of any language
    and not for slips.
    """
    return tokenizer.count(f" {word}") == 1


async def ping_embedder(embedder: Embedder, note: str | None) -> str | None:
    """Return `note` if the embedder works. Raises Unavailable if it does not."""
    await embedder.ping()
    return note


async def report_reader(reader: Reader | None) -> str | None:
    """Whether there is no reader. It is optional, so this never fails."""
    if reader is None:
        return "off or not prepared: the service works without it; see `remembrancer doctor`"
    return None


def breaker_states(
    live: LiveClient, counter: ProviderCounter, endpoints: Endpoints
) -> Mapping[tuple[str, str], BreakerState]:
    """Each circuit breaker's state by (server, kind of call). A server is a Redis node or the
    host of an endpoint that counts tokens, reviews or summarises.
    """
    states = {
        (f"live {node}".strip(), workload): state
        for (node, workload), state in live.breakers().items()
    }
    counting = {(host, "count"): state for host, state in counter.states().items()}
    return {**states, **counting, **endpoints.states()}


@dataclass(frozen=True, slots=True)
class Screening:
    """The parts that redact and check texts before they are stored. gates: the checks, in the order
    of running.
    """

    redactor: Redactor
    gates: tuple[ScreeningGate, ...]
    panel: Panel
    examiner: Examiner
    recent: RecentTexts


def screening_of(
    book: RuleBook,
    panel: Panel,
    embedder: Embedder,
    guard: RecallGuard,
    clock: Clock = system_clock,
    reader: Reader | None = None,
) -> Screening:
    """Build the parts that redact texts (by the rules of `book`) and judge whether to store them
    (by `panel`). guard: against texts that were recalled. reader: of what texts state.
    """
    redactor = Redactor(book)
    recent = RecentTexts()
    classifier = Classifier(embedder, panel.judge)
    prefilter = Prefilter(panel.judge, embedder, clock, recent, reader)
    gates = (
        RedactionGate(redactor),
        RecallGate(guard),
        prefilter,
        ClassificationGate(classifier, redactor),
    )
    return Screening(redactor, gates, panel, Examiner(redactor, classifier, panel), recent)


def local_panel(store: MemoryStore, judge: Judge) -> Panel:
    """A panel of the built-in reviewers, which vote on whether to store a text and need no
    endpoint.
    """
    return Panel((ImportanceReviewer(), RelevanceReviewer(), NoveltyReviewer(store)), judge)


def panel_of(store: MemoryStore, judge: Judge, model: CompletionClient | None, seats: str) -> Panel:
    """The reviewers that vote on storing a text: the language model `model`, if there is one, for
    its seats (importance, relevance or both), built-in ones for the rest.
    """
    if model is None:
        return local_panel(store, judge)
    local: tuple[Reviewer, ...] = (ImportanceReviewer(), RelevanceReviewer())
    remote = (IMPORTANCE, RELEVANCE) if seats == "both" else (seats,)
    scoring = (
        EndpointReviewer(model, reviewer) if reviewer.name in remote else reviewer
        for reviewer in local
    )
    return Panel((*scoring, NoveltyReviewer(store)), judge)


def ingestor_of(resources: Resources, screening: Screening, entries: Entries) -> Ingestor:
    """Build the ingestor, which screens texts, reads due times from them and writes memories to the
    store, with the token counts of their `entries` in a context.
    """
    return Ingestor(
        resources.store,
        resources.embedder,
        resources.sparse,
        EntryCounter(resources.tokenizer, entries),
        system_clock,
        gates=(*screening.gates, DueTimes(system_clock)),
        redactor=screening.redactor,
        panel=screening.panel,
        rejections=RedisRejections(resources.live, system_clock),
        reader=resources.reader,
        recent=screening.recent,
    )


def retriever_parts(
    resources: Resources, items: LiveItemStore, use_counts: UseCounts, counter: ProviderCounter
) -> RetrieverParts:
    """The parts of which the retriever is built. use_counts: counts how often contexts show a
    memory.
    """
    return RetrieverParts(
        resources.store,
        resources.embedder,
        resources.sparse,
        resources.tokenizers,
        system_clock,
        depth=resources.settings.candidate_depth,
        use_counts=use_counts,
        models=resources.models,
        counter=counter,
        live=items,
        receipts=resources.receipts,
        reader=resources.reader,
        read_hits=resources.settings.reader_hits,
    )


def erasable_stores(
    resources: Resources,
    ingestor: Ingestor,
    working: WorkingMemory,
    screening: Screening,
    answers: RedisAnswers,
) -> Mapping[str, Erasable]:
    """The stores that may hold parts of a memory, by name, in the order of erasing.

    Working memory comes first, because its items become memories; files come last, as they hold
    bytes of deletions.
    """
    stores: dict[str, Erasable] = {
        "working": ErasableWorking(working),
        "memories": ErasableMemories(ingestor),
        "items": ErasableItems(EngineItems(resources.store)),
        "answers": answers,
        "live": LiveState(resources.live),
        "recent": screening.recent,
        "receipts": resources.receipts,
    }
    if isinstance(resources.store, EdgeStore):
        stores["files"] = EdgeFiles(resources.store)
    if resources.settings.redis_url is None:
        stores["live_log"] = LiveLog(resources.live, resources.settings.live_path)
    return stores


def upkeep_jobs(settings: Settings, upkeep: Upkeep, keys: KeyBook) -> tuple[BackgroundJob, ...]:
    """The upkeep job, with its options, for the default tenant and all tenants with an API key;
    none if it is off.
    """
    every_s = settings.upkeep_minutes * 60.0
    if not every_s:
        return ()
    requests = round_requests(
        expired_days=settings.expired_days,
        forget_days=settings.forget_days,
        promote=settings.promote,
        compact=settings.compact,
    )

    async def run_round() -> int:
        return await upkeep.run_round(
            {DEFAULT_TENANT, *(key.tenant for key in keys.list_keys())}, requests
        )

    return (
        BackgroundJob("upkeep", every_s, run_round, UPKEEP_LIMIT_S, min(every_s, UPKEEP_FIRST_S)),
    )

"""All services together, for as long as they are open."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from api.auth.guards import RateLimit
from api.auth.keybook import KeyBook
from api.auth.keys import KeyRing
from api.http.idempotency import Once
from api.settings import BadSettings, Settings, secret
from api.wiring.container import Services
from api.wiring.erasure import Memories, Remembered
from api.wiring.jobs import Jobs
from api.wiring.live_state import living
from api.wiring.reembedding import Reembedding
from api.wiring.resources import Resources, open_resources
from api.wiring.screening import Screening, screening
from api.wiring.upkeep import upkeep_jobs
from ingest.screening.due.reading import DueTimes
from ingest.screening.recall_guard import RecallGuard
from ingest.upkeep.jobs import Upkeep
from ingest.working.intentions import IntentionParts, Intentions
from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.encoders.endpoints import EndpointCounter
from memtypes.llms.counting import LocalCounter
from memtypes.model.times import system_clock
from memtypes.ports.erasure import Erasable
from memtypes.ports.working import LiveItemStore
from memtypes.stores.edge import EdgeStore
from memtypes.stores.edge.maintenance.erasure import EdgeFiles
from memtypes.stores.redis.answers import RedisAnswers
from memtypes.stores.redis.erasure import LiveLog, LiveState
from retrieval.receipts.recorder import Past, ReceiptRecorder
from retrieval.receipts.service import Receipts
from retrieval.retriever import Retriever, RetrieverParts
from retrieval.use_counts import Freshness


@asynccontextmanager
async def open_services(settings: Settings, keys: KeyRing) -> AsyncIterator[Services]:
    """Everything that calls need, closed in reverse at the end; its background jobs are the caller's to run.

    Raises BadSettings, BadKeys, BadRegistry, BadRedactionRules, SetupRequired, EmbedderMismatch, StoreInUse or
    Unavailable, each with the way out.
    """
    make_folder(settings.data_dir)
    book = KeyBook(keys, settings.data_dir / "keys.json")
    async with AsyncExitStack() as opened:
        resources = await open_resources(settings, opened)
        freshness = await opened.enter_async_context(Freshness(resources.store).running())
        keep_for_good()
        yield assembled(resources, book, freshness)


def make_folder(folder: Path) -> None:
    """Make the data folder where it is not there. Raises BadSettings when it can't be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise BadSettings(
            f"the data folder {folder} can't be used: {error.strerror}; choose another --data-dir"
        ) from error


def assembled(resources: Resources, keys: KeyBook, freshness: Freshness) -> Services:
    """All services over the opened resources; none of them is running yet."""
    settings, store, embedder = resources.settings, resources.store, resources.embedder
    screened = screening(settings, store, embedder, resources.http)
    writing = ingestor_parts(resources, screened)
    ingestor = Ingestor(writing)
    live = living(resources, ingestor, screened.redactor)
    retrieving = retriever_parts(resources, live.items, freshness)
    answers = RedisAnswers(resources.live, system_clock)
    upkeep = Upkeep(store, embedder, ingestor, writing.locks, system_clock)
    return Services(
        store=store,
        ingestor=ingestor,
        upkeep=upkeep,
        intentions=Intentions(IntentionParts(store, embedder, ingestor, writing.locks, system_clock, live.jobs.locks)),
        retriever=Retriever(retrieving),
        recall_guard=RecallGuard(store, resources.sparse, freshness.write),
        pings={"store": store.ping, "embedder": embedder.ping, "live": resources.live.ping},
        keys=keys,
        rate=RateLimit(settings.calls_per_minute),
        models=resources.models,
        counter=counter_of(resources),
        workflows=live.workflows,
        working=live.working,
        threads=live.threads,
        tokenizers=resources.tokenizers,
        jobs=Jobs(live.jobs.locks, (*live.jobs.jobs, *upkeep_jobs(settings, upkeep, keys))),
        reembedding=Reembedding(settings, embedder, resources.sparse),
        once=Once(answers),
        places=places_of(resources, ingestor, screened, answers),
        receipts=Receipts(resources.receipts, retrieving),
        examiner=screened.examiner,
    )


def places_of(
    resources: Resources, ingestor: Ingestor, screened: Screening, answers: RedisAnswers
) -> Mapping[str, Erasable]:
    """Every place where something of a memory may be, by name: what erasure must empty, in this order.

    The files of the embedded parts come last: they keep what was removed until they are written anew.
    """
    places: dict[str, Erasable] = {
        "memories": Memories(resources.store, ingestor),
        "answers": answers,
        "live": LiveState(resources.live),
        "recent": Remembered(screened.recent, screened.documents),
        "receipts": resources.receipts,
    }
    if isinstance(resources.store, EdgeStore):
        places["files"] = EdgeFiles(resources.store)
    if resources.settings.redis_url is None:
        places["live_log"] = LiveLog(resources.live, resources.settings.live_path)
    return places


def retriever_parts(resources: Resources, items: LiveItemStore, freshness: Freshness) -> RetrieverParts:
    """What retrieval works with; what it shows is noted by `freshness`."""
    past = Past(resources.store, resources.embedder)
    return RetrieverParts(
        resources.store,
        resources.embedder,
        resources.sparse,
        resources.tokenizers,
        system_clock,
        depth=resources.settings.candidate_depth,
        on_shown=freshness.note,
        models=resources.models,
        live=items,
        receipts=ReceiptRecorder(resources.receipts, past, system_clock),
    )


def ingestor_parts(resources: Resources, screened: Screening) -> IngestorParts:
    """What ingestion works with: every text passes what `screened` says."""
    return IngestorParts(
        resources.store,
        screened.embedder,
        resources.sparse,
        resources.tokenizer,
        system_clock,
        gates=(*screened.gates, DueTimes(system_clock)),
        redactor=screened.redactor,
        panel=screened.panel,
        recent=screened.recent,
    )


def counter_of(resources: Resources) -> EndpointCounter:
    """Counts by a provider's endpoint where the registry names one, else on hand."""
    models = resources.models
    return EndpointCounter(resources.http, models, secret, LocalCounter(resources.tokenizers, models))


_ALLOCATIONS = 20_000
"""Objects after which garbage is looked for, in place of 700: the receipts on their way hold tens of thousands, and
looking through these took a ninth of the time of eight clients, 80 ms at a time."""


def keep_for_good() -> None:
    """Tell the garbage collector that what is loaded by now stays: looking through it again costs 100 ms a time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)

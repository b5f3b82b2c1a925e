"""What a retrieval needs from outside: stores, encoders and settings; and the times that its stages
take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from memtypes.llms.counting import ProviderCounter
from memtypes.llms.registry import Models, Registry
from memtypes.model.times import Clock
from memtypes.ports.encoders import Embedder, SparseEncoder, Tokenizer
from memtypes.ports.memory_store import MemoryStore
from memtypes.ports.reader import Reader
from memtypes.ports.working import LiveItemStore
from memtypes.search.candidates import Candidates
from retrieval.context.entries import Entries
from retrieval.receipts.recorder import ReceiptQueue
from retrieval.use_counts import UseCounts

DEPTH = 200
"""Maximum candidates per type from each kind of search. Twice as many cost twice as much and find
no more evidence.
"""


READ_HITS = 12
"""Number of best hits that are read together with the query. Reading twice as many takes twice as
long and orders hardly better.
"""


@dataclass(frozen=True, slots=True)
class RetrieverParts:
    """Stores, encoders and settings that retrieval needs.

    tokenizers: by name. counter: asks a model's provider for token counts. live: store of live
    working memory, if any. use_counts, receipts: queues of use counts and receipts to store after
    the answer. reader: reads a query together with memories; None if its weights are not
    installed. read_hits: number of best hits that it reads. on_timings: called at the end of each
    retrieval with milliseconds by stage. adjust: changes the candidates before ranking, to replay a
    receipt. entries: make the texts of memories in a context.
    """

    store: MemoryStore
    embedder: Embedder
    sparse: SparseEncoder
    tokenizers: Mapping[str, Tokenizer]
    clock: Clock
    depth: int = DEPTH
    models: Models = Registry
    counter: ProviderCounter | None = None
    live: LiveItemStore | None = None
    use_counts: UseCounts | None = None
    receipts: ReceiptQueue | None = None
    reader: Reader | None = None
    read_hits: int = READ_HITS
    on_timings: Callable[[Mapping[str, float]], None] = lambda _: None
    adjust: Callable[[Candidates], Candidates] | None = None
    entries: Entries = field(default_factory=Entries)


@dataclass(slots=True)
class StageTimings:
    """Milliseconds that each stage of a retrieval took; for a stage that runs twice, the sum."""

    milliseconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the `with` block takes to the stage `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.milliseconds[name] = (
                self.milliseconds.get(name, 0.0) + (time.perf_counter() - began) * 1e3
            )

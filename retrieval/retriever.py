"""Query in, ranked hits or a budgeted context out: the flow, and nothing of the arithmetic.

embed the query -> candidates of every type in one call -> signals and score -> budget -> texts of the winners -> render
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

import numpy as np

from memtypes.llms.registry import Models, Registry
from memtypes.model.errors import InvalidRequest, Overloaded, Unavailable
from memtypes.model.filters import Filter, all_of
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, to_utc
from memtypes.ports.encoders import Embedder, SparseEncoder
from memtypes.ports.memory_store import CandidateSearch, MemoryStore
from memtypes.ports.tokenizer import Tokenizer
from memtypes.ports.working import LiveItemStore
from memtypes.search.candidates import Candidates
from memtypes.search.passage import Passage
from memtypes.search.terms import numbered
from memtypes.search.vectors import DenseVector, SparseVector, TokenVectors
from retrieval.answer import RetrieveAnswer, SearchAnswer
from retrieval.context.working import Uses, read_live, with_live
from retrieval.context.writer import ContextWriter, Ranked
from retrieval.context.written import Retrieval
from retrieval.hits import search_answer, types_of
from retrieval.query.model_budget import settle
from retrieval.query.named_times import event_reference, time_windows
from retrieval.query.profiles import weights_for
from retrieval.query.request import RankedRequest, RetrieveRequest, SearchRequest
from retrieval.query.validity import asked_about, names_status, wanted_in_context
from retrieval.query.windows import Window
from retrieval.ranking.ranked import Ranking
from retrieval.ranking.scoring import Scoring, rank
from retrieval.ranking.signals import event_time
from retrieval.trace import OnTimings, Trace

DEPTH = 200
"""Candidates a leg and type. Twice as many cost twice as much and find no more evidence (see benchmarks/LOG.md)."""

OnShown: TypeAlias = Callable[[Scope, Sequence[Passage], datetime], None]
"""Told what a context has shown; returns at once."""


Adjust: TypeAlias = Callable[[Candidates], Candidates]


class Recorder(Protocol):
    """Has the receipt of a retrieval kept."""

    async def record(self, retrieval: Retrieval) -> RetrieveAnswer:
        """The answer with the id of its receipt, or as degraded when the receipt could not be kept."""
        ...


@dataclass(frozen=True, slots=True)
class RetrieverParts:
    """What retrieval works with. tokenizers: by name. on_shown and on_timings are told, and must not wait.

    receipts: keeps how each answer came to be. adjust: changes what was found before it is ranked, for a replay.
    models: what the names of models mean. live: where live working memory is; None where there is none.
    """

    store: MemoryStore
    embedder: Embedder
    sparse: SparseEncoder
    tokenizers: Mapping[str, Tokenizer]
    clock: Clock
    depth: int = DEPTH
    on_shown: OnShown | None = None
    on_timings: OnTimings | None = None
    receipts: Recorder | None = None
    adjust: Adjust | None = None
    models: Models = Registry
    live: LiveItemStore | None = None


@dataclass(frozen=True, slots=True)
class _QueryVectors:
    dense: DenseVector | None
    sparse: SparseVector | None
    tokens: TokenVectors | None = None
    degraded: tuple[str, ...] = ()


class Retriever:
    """Answers the two questions. Raises InvalidRequest for what can't be asked, Unavailable when the store is away."""

    def __init__(self, parts: RetrieverParts) -> None:
        self._parts = parts
        self.uses = Uses(parts.live)

    async def search(self, scope: Scope, request: SearchRequest) -> SearchAnswer:
        """The `top_k` best memories, best first."""
        trace = Trace()
        as_of = self._as_of(request)
        profile, weights = weights_for(request)
        where = asked_about(request, as_of)
        types = request.types or list(MemoryType)
        asked = [(kind, where) for kind in types]
        depth = max(self._parts.depth, request.top_k)
        ranking, degraded = await self._ranked(scope, request, asked, _Pass(trace, weights, as_of, depth))
        best = ranking.hits[: request.top_k]
        with trace.stage("texts"):
            memories = await self._parts.store.get(scope, types_of(best)) if best else {}
        with trace.stage("render"):
            answer = search_answer(best, memories, request.explain)
        self._told(trace)
        return SearchAnswer(hits=answer, profile=profile, weights=weights, as_of=as_of, degraded=list(degraded))

    async def retrieve(self, scope: Scope, request: RetrieveRequest) -> RetrieveAnswer:
        """A context within its budget."""
        trace = Trace()
        settled = settle(request, self._parts.models())
        request = settled.request
        as_of = self._as_of(request)
        _, weights = weights_for(request)
        writer = ContextWriter(self._parts.store, self._tokenizer(request), scope, request)
        (found, degraded), live = await asyncio.gather(
            self._ranked(scope, request, self._wanted(request, as_of), _Pass(trace, weights, as_of, self._parts.depth)),
            read_live(self._parts.live, scope, request, as_of),
        )
        found, degraded = with_live(found, live), (*degraded, *live.degraded)
        written = await writer.write(Ranked(found, as_of, degraded, live.memories), trace)
        if request.as_of is None:
            self.uses.note(scope, written.passages, self._parts.clock())
        if self._parts.on_shown and written.shown:
            self._parts.on_shown(scope, written.passages, self._parts.clock())
        self._told(trace)
        if self._parts.receipts is None or not request.receipt:
            return settled.told(written.answer)
        embedder = self._parts.embedder.fingerprint
        tokenizer = self._tokenizer(request)
        recorded = await self._parts.receipts.record(
            Retrieval(scope, request, as_of, weights, embedder, tokenizer, found, written)
        )
        return settled.told(recorded)

    def _as_of(self, request: RankedRequest) -> datetime:
        return request.as_of or to_utc(self._parts.clock())

    def _tokenizer(self, request: RetrieveRequest) -> Tokenizer:
        if request.tokenizer not in self._parts.tokenizers:
            known = ", ".join(sorted(self._parts.tokenizers))
            raise InvalidRequest(f"unknown tokenizer; known are {known}", path="tokenizer", got=request.tokenizer)
        return self._parts.tokenizers[request.tokenizer]

    def _wanted(self, request: RetrieveRequest, as_of: datetime) -> list[tuple[MemoryType, Filter]]:
        """The types of a context, with what each leaves out. Working memory depends on include_working alone."""
        where = asked_about(request, as_of)
        kinds: list[MemoryType] = [kind for kind in request.types or LONG_TERM if kind is not MemoryType.WORKING]
        wanted = [(kind, where if names_status(request) else all_of(where, wanted_in_context(kind))) for kind in kinds]
        if request.include_working and request.working_budget > 0:
            unfiltered = asked_about(request.model_copy(update={"filters": None}), as_of)
            wanted.append((MemoryType.WORKING, all_of(unfiltered, wanted_in_context(MemoryType.WORKING))))
        return wanted

    async def _ranked(
        self, scope: Scope, request: RankedRequest, asked: Sequence[tuple[MemoryType, Filter]], one: _Pass
    ) -> tuple[Ranking, tuple[str, ...]]:
        windows = await self._windows(scope, request, asked, one)
        with one.trace.stage("embed"):
            vectors = await self._vectors(request.query)
        with one.trace.stage("candidates"):
            found = await self._candidates(scope, asked, vectors, one.depth)
        with one.trace.stage("score"):
            return rank(found, _scoring(request, vectors, windows, one)), vectors.degraded

    async def _windows(
        self, scope: Scope, request: RankedRequest, asked: Sequence[tuple[MemoryType, Filter]], one: _Pass
    ) -> tuple[Window, ...]:
        """The times that the query names. Where it tells one by an event, the memory of that is looked for first."""
        reference = event_reference(request.query)
        if reference is None or not one.weights["time"]:
            return time_windows(request.query, one.as_of)
        with one.trace.stage("event"):
            found = await self._candidates(scope, asked, await self._vectors(reference.event), one.depth)
            happened = event_time(found)
        return reference.windows(happened) if happened else ()

    async def _candidates(
        self, scope: Scope, asked: Sequence[tuple[MemoryType, Filter]], vectors: _QueryVectors, depth: int
    ) -> Candidates:
        if vectors.dense is None and vectors.sparse is None:
            return Candidates.of([])
        search = CandidateSearch(dict(asked), vectors.dense, vectors.sparse, depth, vectors.tokens)
        (found,) = await self._parts.store.candidates(scope, [search])
        return self._parts.adjust(found) if self._parts.adjust else found

    async def _vectors(self, query: str) -> _QueryVectors:
        """The query as vectors; without an embedder the words alone are searched, and the answer says so."""
        encoded = self._parts.sparse.encode_query(query)
        sparse = encoded if encoded.indices.size else None
        try:
            embedded = await self._parts.embedder.embed_query(query)
        except (Unavailable, Overloaded):
            return _QueryVectors(None, sparse, degraded=("embedder",))
        return _QueryVectors(embedded.dense, sparse, embedded.tokens)

    def _told(self, trace: Trace) -> None:
        if self._parts.on_timings:
            self._parts.on_timings(trace.timings)


@dataclass(frozen=True, slots=True)
class _Pass:
    """What one request's ranking goes by."""

    trace: Trace
    weights: Mapping[str, float]
    as_of: datetime
    depth: int


def _scoring(request: RankedRequest, vectors: _QueryVectors, windows: tuple[Window, ...], one: _Pass) -> Scoring:
    return Scoring(
        one.weights,
        one.as_of,
        request.query,
        windows,
        numbered(vectors.sparse.indices if vectors.sparse else np.empty(0, dtype=np.uint32)),
        request.min_similarity,
        request.min_score,
    )

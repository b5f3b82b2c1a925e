"""Search and retrieval: from a query to ranked memories, or to a context of memories within a token
budget.

gather all that ranking needs -> rank (-> read the best hits with the query -> rank again) -> choose
within the budget -> read the chosen texts -> write
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Prospective
from memtypes.model.scope import Scope
from memtypes.model.times import to_utc
from memtypes.offload import offload
from memtypes.search.candidates import TYPES
from retrieval.answer import FloorAnswer, RetrieveAnswer, SearchAnswer, SearchHit
from retrieval.context.budget import due_room
from retrieval.context.choice import (
    Choice,
    RankedHits,
    best_to_count,
    choose,
    has_stored_counts,
)
from retrieval.context.entries import EntryFields
from retrieval.context.live_notes import with_live
from retrieval.context.model_count import BuiltContext, within_model_budget
from retrieval.context.render import LAYOUTS, Renderer
from retrieval.context.writer import ContextWriter
from retrieval.dependencies import RetrieverParts, StageTimings
from retrieval.gather import Pool, Query, gather
from retrieval.query.intent import Wish, asks_about_past
from retrieval.query.named_times import QueryTimes
from retrieval.query.profiles import weights_for
from retrieval.query.request import (
    RankedRequest,
    ResolvedRequest,
    RetrieveRequest,
    SearchRequest,
    resolve,
)
from retrieval.ranking.helpfulness import judges_evidence
from retrieval.ranking.ranked import RankedCandidates
from retrieval.ranking.scoring import Scoring, rank
from retrieval.ranking.signals import event_time
from retrieval.reading import READER_DEGRADED, Readings, read_best, wants_reading
from retrieval.result import Retrieval
from retrieval.use_counts import LiveUses

LONG_TEXT = 100_000
"""Characters that take some 10 ms to tokenize; a longer text is tokenized in a thread."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """The pool of a request for a context, and its ranked hits. readings: of the best ones.

    has_stored_counts: whether the token counts stored with the hits hold for this context.
    """

    query: Query
    pool: Pool
    hits: RankedHits
    readings: Readings
    renderer: Renderer
    has_stored_counts: bool
    timings: StageTimings


class Retriever:
    """Answers search and retrieve requests. Raises InvalidRequest for bad ones, Unavailable if the
    store is down.
    """

    def __init__(self, parts: RetrieverParts) -> None:
        self._parts = parts
        self._encoder = parts.embedder.fingerprint
        self._renderers = {
            (form, name): Renderer(layout, tokenizer, parts.entries)
            for form, layout in LAYOUTS.items()
            for name, tokenizer in parts.tokenizers.items()
        }
        self.live_uses = LiveUses(parts.live)

    async def search(self, scope: Scope, request: SearchRequest) -> SearchAnswer:
        """Return the `top_k` memories that match the query best, best first."""
        timings = StageTimings()
        times = self._times(request)
        profile, weights = weights_for(request, times)
        depth = max(self._parts.depth, request.top_k)
        query = Query(scope, request, times, weights, depth, self._encoder)
        pool = await gather(self._parts, query, timings)
        ranked, readings = await self._rank(query, pool, timings)
        ids = ranked.hit_ids[: request.top_k]
        kinds = [TYPES[kind] for kind in ranked.candidates.kinds[: len(ids)].tolist()]
        with timings.stage("texts"):
            types = dict(zip(ids, kinds, strict=True))
            memories = await self._parts.store.get(scope, types) if ids else {}
        with timings.stage("render"):
            now = self._parts.clock()
            hits: list[SearchHit] = []
            for position, memory_id in enumerate(ids):
                if memory_id not in memories:  # removed since it was ranked
                    continue
                memory = memories[memory_id].at(now)
                if request.as_of is not None and isinstance(memory, Prospective):
                    memory = memory.as_of(request.as_of)
                hits.append(
                    SearchHit(
                        rank=len(hits) + 1,
                        id=memory.id,
                        type=memory.type,
                        score=float(ranked.scores[position]),
                        signals=ranked.signals_at(position) if request.explain else None,
                        memory=memory.model_dump(mode="json", exclude={"tenant", "earlier"}),
                    )
                )
        self._parts.on_timings(timings.milliseconds)
        return SearchAnswer(
            hits=hits,
            profile=profile,
            weights=weights,
            as_of=times.as_of,
            floor=FloorAnswer(**ranked.floor._asdict()),
            degraded=list(_degraded(pool, readings)),
        )

    async def retrieve(self, scope: Scope, request: RetrieveRequest) -> RetrieveAnswer:
        """Return a context within its token budget; queue its receipt, and the use counts of the
        memories in it.
        """
        return await self.record(await self.context(scope, request))

    async def record(self, retrieval: Retrieval) -> RetrieveAnswer:
        """Queue the receipt and the use counts of a finished retrieval; return its answer, with the
        receipt's id.
        """
        scope = retrieval.scope
        request = retrieval.request
        shown = [each.memory for each in retrieval.shown]
        now = self._parts.clock()
        if request.as_of is None:
            self.live_uses.note(scope, shown, now)
        if self._parts.use_counts is not None and shown:
            self._parts.use_counts.note(scope, shown, now)
        if self._parts.receipts is None or not request.receipt:
            return retrieval.answer
        return await self._parts.receipts.record(retrieval, now)

    async def context(self, scope: Scope, request: RetrieveRequest) -> Retrieval:
        """Retrieve a context without recording its receipt or the uses of its memories.

        If the model's provider counts tokens and the request names no tokenizer, it fits the budget
        by that count, too: while the count is too large, memories are chosen again among those that
        were read, in a smaller budget.
        """
        with_ended = self._parts.receipts is not None and request.receipt
        names_tokenizer = "tokenizer" in request.model_fields_set
        resolved = resolve(request, self._parts.models())
        ranked = await self._ranked(scope, resolved.request, with_ended=with_ended)
        first = await self._first_retrieval(ranked, resolved)

        async def build(margin: float) -> BuiltContext[Retrieval]:
            retrieval = first
            if margin:
                smaller = resolve(request, self._parts.models(), margin)
                retrieval = await self._again(ranked, smaller, first)
            answer = retrieval.answer
            working = math.ceil(answer.metadata.working_tokens * (1.0 + answer.metadata.margin))
            whole = answer.metadata.budget + min(working, request.working_budget)
            limit = sys.maxsize if names_tokenizer else whole
            return BuiltContext(retrieval, answer.text, answer.metadata.total_tokens, limit)

        counted = await within_model_budget(self._parts.counter, request.model, 0.0, build)
        self._parts.on_timings(ranked.timings.milliseconds)
        answer = counted.value.answer.counted(counted.model_tokens, in_total=not names_tokenizer)
        return replace(counted.value, answer=answer.degraded_by(*counted.degraded))

    async def repeat(
        self, scope: Scope, request: RetrieveRequest, first: RetrieveRequest | None
    ) -> Retrieval:
        """Retrieve the context of a receipt again. request: the receipt's. first: that of its first
        choice, if memories were chosen again in a smaller budget.
        """
        ranked = await self._ranked(scope, first or request, with_ended=True)
        retrieval = await self._first_retrieval(
            ranked, resolve(first or request, self._parts.models())
        )
        if first is None:
            return retrieval
        return await self._again(ranked, resolve(request, self._parts.models()), retrieval)

    async def _ranked(self, scope: Scope, request: RetrieveRequest, *, with_ended: bool) -> _Ranked:
        renderer = self._renderers.get((request.format, request.tokenizer))
        if renderer is None:
            known = ", ".join(sorted(self._parts.tokenizers))
            raise InvalidRequest(
                f"unknown tokenizer; known are {known}", path="tokenizer", got=request.tokenizer
            )
        timings = StageTimings()
        times = self._times(request)
        _, weights = weights_for(request, times)
        depth = self._parts.depth
        query = Query(scope, request, times, weights, depth, self._encoder, with_ended)
        pool = await gather(self._parts, query, timings)
        ranked, readings = await self._rank(query, pool, timings)
        about_past = asks_about_past(request.query) or bool(times.past)
        newest_first = pool.wish is not Wish.EVENTS and not about_past
        hits = RankedHits(with_live(ranked, pool.live), times.as_of, pool.wish, newest_first)
        has_counts = has_stored_counts(hits, renderer)
        return _Ranked(query, pool, hits, readings, renderer, has_counts, timings)

    async def _rank(
        self, query: Query, pool: Pool, timings: StageTimings
    ) -> tuple[RankedCandidates, Readings]:
        """Rank the pool; if the request wants it, read the best hits and rank again."""
        scoring = scoring_of(query, pool)
        with timings.stage("score"):
            ranked = rank(pool.candidates, scoring)
        if not wants_reading(query, pool):
            return ranked, Readings()
        with timings.stage("read"):
            readings = await read_best(self._parts, query, ranked)
        if readings.probabilities:
            with timings.stage("score"):
                ranked = rank(pool.candidates, replace(scoring, readings=readings.probabilities))
        return ranked, readings

    async def _first_retrieval(self, ranked: _Ranked, resolved: ResolvedRequest) -> Retrieval:
        """Choose among all hits, read the texts of those chosen, and write the context.

        If the tokens of the hits must be counted, the texts of the best hits are read first.
        """
        hits = ranked.hits
        live = {
            memory_id: EntryFields.from_memory(memory)
            for memory_id, memory in ranked.pool.live.memories.items()
        }
        to_count: dict[str, EntryFields] | None = None
        if not ranked.has_stored_counts:
            to_count = live | await self._texts(ranked, best_to_count(hits, resolved.request), live)
        choice = await _chosen(ranked, resolved, to_count)
        texts = to_count
        if texts is None:
            ids = hits.ids
            chosen = {ids[entry.rank - 1]: entry.type for part in choice for entry in part.chosen}
            texts = live | await self._texts(ranked, chosen, live)
        return await self._written(ranked, resolved, choice, texts)

    async def _again(
        self, ranked: _Ranked, resolved: ResolvedRequest, first: Retrieval
    ) -> Retrieval:
        """Choose again among the memories that `first` shows, and write the context."""
        texts = {each.memory.id: each.memory for each in first.shown}
        choice = await _chosen(ranked, resolved, texts)
        retrieval = await self._written(ranked, resolved, choice, texts)
        return replace(retrieval, first=first.request)

    async def _texts(
        self, ranked: _Ranked, types: Mapping[str, MemoryType], live: Mapping[str, EntryFields]
    ) -> dict[str, EntryFields]:
        """Read the texts of memories; `types` maps their ids to types. Those of live items are at
        hand.
        """
        stored = {memory_id: kind for memory_id, kind in types.items() if memory_id not in live}
        if not stored:
            return {}
        with ranked.timings.stage("texts"):
            texts = await self._parts.store.read_as(ranked.query.scope, stored, EntryFields)
        moment = ranked.hits.as_of
        return {memory_id: fields.as_of(moment) for memory_id, fields in texts.items()}

    async def _written(
        self,
        ranked: _Ranked,
        resolved: ResolvedRequest,
        choice: Choice,
        texts: Mapping[str, EntryFields],
    ) -> Retrieval:
        writer = ContextWriter(
            ranked.hits, resolved, ranked.renderer, texts, ranked.has_stored_counts
        )
        with ranked.timings.stage("render"):
            answer, shown = await offload(
                (memory.content for memory in texts.values()),
                lambda: writer.write(choice, _degraded(ranked.pool, ranked.readings)),
                LONG_TEXT,
            )
        return Retrieval(
            scope=ranked.query.scope,
            request=resolved.request,
            first=None,
            as_of=ranked.hits.as_of,
            weights=ranked.query.weights,
            embedder=self._encoder,
            reader=ranked.readings.reader,
            tokenizer=ranked.renderer.tokenizer,
            ranked=ranked.hits.ranked,
            ended=ranked.pool.ended,
            choice=choice,
            shown=shown,
            answer=answer,
        )

    def _times(self, request: RankedRequest) -> QueryTimes:
        return QueryTimes.from_query(request.query, request.as_of or to_utc(self._parts.clock()))


def _degraded(pool: Pool, readings: Readings) -> tuple[str, ...]:
    """Parts that the answer had to do without."""
    return (*pool.degraded, *((READER_DEGRADED,) if readings.missed else ()))


def scoring_of(query: Query, pool: Pool) -> Scoring:
    """The parameters by which the pool of `query` is ranked.

    For "after the move", the memory that best matches "the move" gives the time.
    """
    request = query.request
    times = query.times
    windows = times.windows
    if times.event is not None and query.weights["time"]:
        happened = event_time(pool.event)
        windows = times.event.windows(happened) if happened else ()
    budget = request.allowance.total if isinstance(request, RetrieveRequest) else 0
    include_due = isinstance(request, RetrieveRequest) and request.include_due
    return Scoring(
        query.weights,
        times.as_of,
        request.query,
        windows,
        pool.terms,
        request.min_similarity,
        request.min_score,
        floor=request.floor if judges_evidence(query.encoder) else 0.0,
        tokens=pool.tokens,
        due_tokens=due_room(budget if include_due else 0),
        wish=pool.wish,
        budget=budget,
        prefer_newer=not (asks_about_past(request.query) or times.past),
    )


async def _chosen(
    ranked: _Ranked, resolved: ResolvedRequest, texts: Mapping[str, EntryFields] | None
) -> Choice:
    """Choose in a thread if many texts must be counted."""
    with ranked.timings.stage("budget"):
        return await offload(
            (memory.content for memory in (texts or {}).values()),
            lambda: choose(ranked.hits, resolved.request, ranked.renderer, texts),
            LONG_TEXT,
        )

"""Search and retrieval: from a query to ranked memories, or to a context of memories within a token
budget.

embed the query -> candidates of all types -> signals and scores -> budget -> texts of the winners
-> render -> receipt
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from memtypes.calendar import Window
from memtypes.llms.counting import ProviderCounter
from memtypes.llms.registry import Models, Registry
from memtypes.model.errors import InvalidRequest, Overloaded, Unavailable
from memtypes.model.filters import Absent, All, AnyOf, Compare, Not, Op, all_of
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, to_utc
from memtypes.ports.encoders import Embedder, SparseEncoder, Tokenizer
from memtypes.ports.memory_store import CandidateSearch, MemoryStore
from memtypes.ports.working import LiveItemStore
from memtypes.search.candidates import TYPES, Candidates
from memtypes.search.vectors import numbered
from retrieval.answer import FloorAnswer, RetrieveAnswer, SearchAnswer, SearchHit
from retrieval.context.budget import due_room
from retrieval.context.entries import Entries, EntryFields
from retrieval.context.model_count import BuiltContext, within_model_budget
from retrieval.context.render import LAYOUTS, Renderer
from retrieval.context.working import LIVE_DEGRADED, read_live, with_live
from retrieval.context.writer import ContextWriter, Fills
from retrieval.query.intent import NEWEST, OVERVIEW_TYPES, Wish, asks_about_past, wish_of
from retrieval.query.named_times import QueryTimes
from retrieval.query.profiles import weights_for
from retrieval.query.request import RankedRequest, RetrieveRequest, SearchRequest, settle
from retrieval.query.validity import TypeFilters, context_filters, ended_filters, search_filters
from retrieval.ranking.evidence import judges_evidence
from retrieval.ranking.ranked import RankedCandidates
from retrieval.ranking.scoring import Scoring, SignalTable, rank
from retrieval.ranking.signals import LINKING_HITS, contested_pairs, event_time, linked_scores
from retrieval.receipts.build import Retrieval
from retrieval.receipts.recorder import ReceiptQueue
from retrieval.use_counts import LiveUses, UseCounts

DEPTH = 200
"""Maximum candidates per type from each kind of search. Twice as many cost twice as much and find
no more evidence.
"""

ENDED_DEPTH = 8
"""Number of memories per type, nearest to the query, that a receipt lists as superseded or
expired.
"""

MAX_FILLS = 8
"""Maximum times that a context's budget is filled. A long message and its facts may need more than
two.
"""


@dataclass(frozen=True, slots=True)
class RetrieverParts:
    """Stores, encoders and settings that retrieval needs.

    tokenizers: by name. counter: asks a model's provider for token counts. live: store of live
    working memory, if any. use_counts, receipts: queues of use counts and receipts to store after
    the answer. on_timings: called at the end of each retrieval with milliseconds by stage. adjust:
    changes the candidates before ranking, to replay a receipt. entries: make the texts of memories
    in a context.
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


@dataclass(frozen=True, slots=True)
class _Ranking:
    """What to rank for one request: where to search, and how to score.

    filters: filter of the memories to search, by memory type. ended: filters for memories no longer
    valid, which a receipt lists; None if no receipt is wanted. with_copies: whether to rank the
    store's copies of live working items.
    """

    scope: Scope
    request: RankedRequest
    times: QueryTimes
    filters: TypeFilters
    weights: Mapping[str, float]
    depth: int
    timings: StageTimings
    ended: TypeFilters | None = None
    with_copies: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """Result of a ranking. ended: memories no longer valid, for the receipt. degraded: parts that
    did not respond.
    """

    candidates: RankedCandidates
    ended: Candidates
    wish: Wish
    degraded: tuple[str, ...]


class Retriever:
    """Answers search and retrieve requests. Raises InvalidRequest for bad ones, Unavailable if the
    store is down.
    """

    def __init__(self, parts: RetrieverParts) -> None:
        self._parts = parts
        self._embedder_fingerprint = parts.embedder.fingerprint
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
        filters = search_filters(request, times)
        depth = max(self._parts.depth, request.top_k)
        result = await self._ranked(
            _Ranking(scope, request, times, filters, weights, depth, timings)
        )
        ranked = result.candidates
        with timings.stage("texts"):
            ids = ranked.hit_ids[: request.top_k]
            kinds = (TYPES[kind] for kind in ranked.candidates.kinds.tolist())
            memories = (
                await self._parts.store.get(scope, dict(zip(ids, kinds, strict=False)))
                if ids
                else {}
            )
        with timings.stage("render"):
            now = self._parts.clock()
            found = [
                (place, memories[each].at(now))
                for place, each in enumerate(ids)
                if each in memories
            ]
            hits = [
                SearchHit(
                    rank=rank,
                    id=memory.id,
                    type=memory.type,
                    score=float(ranked.scores[place]),
                    signals=ranked.signals_at(place) if request.explain else None,
                    memory=memory.model_dump(mode="json", exclude={"tenant", "earlier"}),
                )
                for rank, (place, memory) in enumerate(found, 1)
            ]
        self._parts.on_timings(timings.milliseconds)
        return SearchAnswer(
            hits=hits,
            profile=profile,
            weights=weights,
            as_of=times.as_of,
            floor=FloorAnswer(**ranked.floor._asdict()),
            degraded=list(result.degraded),
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
        by that count, too.
        """
        with_ended = self._parts.receipts is not None and request.receipt

        async def build(margin: float) -> BuiltContext[Retrieval]:
            retrieval = await self.run(scope, request, with_ended=with_ended, least_margin=margin)
            answer = retrieval.answer
            working = math.ceil(answer.metadata.working_tokens * (1.0 + answer.metadata.margin))
            whole = answer.metadata.budget + min(working, request.working_budget)
            limit = sys.maxsize if "tokenizer" in request.model_fields_set else whole
            return BuiltContext(retrieval, answer.text, answer.metadata.total_tokens, limit)

        counted = await within_model_budget(self._parts.counter, request.model, 0.0, build)
        answer = counted.value.answer.counted(counted.model_tokens).degraded_by(*counted.degraded)
        return replace(counted.value, answer=answer)

    async def run(
        self, scope: Scope, request: RetrieveRequest, *, with_ended: bool, least_margin: float = 0.0
    ) -> Retrieval:
        """Retrieve a context without counting uses or recording a receipt.

        with_ended: also search for memories that are no longer valid, which a receipt lists.
        least_margin: minimum share by which the model is taken to count more tokens than its
        tokenizer does.
        """
        timings = StageTimings()
        times = self._times(request)
        settled = settle(request, self._parts.models(), least_margin)
        request = settled.request
        as_of = times.as_of
        renderer = self._renderers.get((request.format, request.tokenizer))
        if renderer is None:
            known = ", ".join(sorted(self._parts.tokenizers))
            raise InvalidRequest(
                f"unknown tokenizer; known are {known}", path="tokenizer", got=request.tokenizer
            )
        _, weights = weights_for(request, times)
        filters = context_filters(request, times)
        ended = ended_filters(request, times) if with_ended else None
        depth = self._parts.depth
        with_copies = self._parts.live is None
        result, live = await asyncio.gather(
            self._ranked(
                _Ranking(
                    scope, request, times, filters, weights, depth, timings, ended, with_copies
                )
            ),
            read_live(self._parts.live, scope, request, as_of),
        )
        degraded = (*result.degraded, LIVE_DEGRADED) if live.away else result.degraded
        hits = with_live(result.candidates, live)
        writer = ContextWriter(
            self._parts.store, renderer, scope, settled, as_of, result.wish, hits
        )
        with timings.stage("texts"):
            texts = await writer.texts_to_count()
            texts |= {
                memory_id: EntryFields.of(memory) for memory_id, memory in live.memories.items()
            }
        writer, fills, texts = await _filled(writer, texts, timings)
        with timings.stage("render"):
            answer, shown = await writer.answer(fills, texts, degraded)
        self._parts.on_timings(timings.milliseconds)
        embedder = self._embedder_fingerprint
        ranked = writer.ranked
        return Retrieval(
            scope,
            request,
            as_of,
            weights,
            embedder,
            renderer.tokenizer,
            ranked,
            result.ended,
            fills,
            shown,
            answer,
        )

    def _times(self, request: RankedRequest) -> QueryTimes:
        return QueryTimes.of(request.query, request.as_of or to_utc(self._parts.clock()))

    async def _ranked(self, ranking: _Ranking) -> _Ranked:
        request = ranking.request
        times = ranking.times
        timings = ranking.timings
        windows = await self._windows(ranking)
        with timings.stage("embed"):
            search, degraded = await self._search_for(request.query, ranking)
        wish = wish_of(request.query, search.dense, self._embedder_fingerprint)
        if wish in (Wish.DONE, Wish.FINISHED) and isinstance(request, RetrieveRequest):
            search = replace(search, filters=context_filters(request, times, with_completed=True))
        with timings.stage("candidates"):
            candidates, ended = await self._candidates(ranking, search, ranking.ended)
            newest = await self._newest(ranking, search, windows, wish)
        candidates = await self._with(ranking, search, candidates, newest)
        scoring = _scoring(ranking, search, windows, wish)
        if not judges_evidence(self._embedder_fingerprint):
            scoring = replace(scoring, floor=0.0)
        with timings.stage("score"):
            ranked = rank(measured := SignalTable.of(candidates, scoring), scoring)
        linking = await self._linking_hits(ranking, ranked)
        if linking:
            ids = ranked.candidates.ids[:LINKING_HITS].astype(np.str_).tolist()
            links = linked_scores(dict(zip(ids, ranked.scores.tolist(), strict=False)), linking)
            joined = await self._with(ranking, search, candidates, links)
            with timings.stage("score"):
                contested = (
                    () if asks_about_past(request.query) or times.past else contested_pairs(linking)
                )
                measured = measured if joined is candidates else SignalTable.of(joined, scoring)
                ranked = rank(measured, replace(scoring, links=links, contested=contested))
        return _Ranked(ranked, ended, wish, degraded)

    async def _linking_hits(self, ranking: _Ranking, ranked: RankedCandidates) -> dict[str, Memory]:
        """Read the hits that have links to other memories, among the LINKING_HITS best; return them
        by id.
        """
        has_links = ranked.candidates.columns.column("links")[: min(LINKING_HITS, ranked.hits)] == 1
        if not has_links.any() or not ranking.weights["link"]:
            return {}
        ids = ranked.candidates.ids[np.flatnonzero(has_links)].astype(np.str_).tolist()
        with ranking.timings.stage("links"):
            return await self._parts.store.get(ranking.scope, ids)

    async def _with(
        self,
        ranking: _Ranking,
        search: CandidateSearch,
        candidates: Candidates,
        ids: Collection[str],
    ) -> Candidates:
        """Add to `candidates` the missing memories with these `ids`, if the filters of `search`
        accept them.
        """
        missing = set(ids).difference(candidates.ids.astype(np.str_).tolist()) if ids else None
        if not missing:
            return candidates
        wanted = Compare("id", Op.ANY, tuple(sorted(missing)))
        filters = {kind: all_of(where, wanted) for kind, where in search.filters.items()}
        with ranking.timings.stage("links"):
            added, _ = await self._candidates(ranking, replace(search, filters=filters))
        return Candidates.joined([candidates, added])

    async def _newest(
        self, ranking: _Ranking, search: CandidateSearch, windows: Sequence[Window], wish: Wish
    ) -> list[str]:
        """Ids of the newest events or finished tasks, of the `windows` if there are any; none for
        any other `wish`.
        """
        kind = OVERVIEW_TYPES[wish] if wish in NEWEST else None
        if kind is None or kind not in search.filters or isinstance(ranking.request, SearchRequest):
            return []
        path = "completed_at" if wish is Wish.FINISHED else "created_at"
        times = [
            All((Compare(path, Op.GTE, each.start), Compare(path, Op.LT, each.end)))
            for each in windows
        ]
        where = all_of(search.filters[kind], AnyOf(tuple(times)) if times else Not(Absent(path)))
        return await self._parts.store.newest(ranking.scope, kind, where, ranking.depth)

    async def _windows(self, ranking: _Ranking) -> tuple[Window, ...]:
        """The times that the query names. For "after the move", the memory that best matches "move"
        gives the date.
        """
        event = ranking.times.event
        if event is None or not ranking.weights["time"]:
            return ranking.times.windows
        with ranking.timings.stage("event"):
            search, _ = await self._search_for(event.event, ranking)
            candidates, _ = await self._candidates(ranking, search)
            happened = event_time(candidates)
        return event.windows(happened) if happened else ()

    async def _search_for(
        self, query: str, ranking: _Ranking
    ) -> tuple[CandidateSearch, tuple[str, ...]]:
        """A search for `query`, and what did not respond: without the embedder, the search is by
        words only.
        """
        encoded = self._parts.sparse.encode_query(query)
        sparse = encoded if encoded.indices.size else None
        try:
            embedded = await self._parts.embedder.embed_query(query)
        except (Unavailable, Overloaded):
            return CandidateSearch(ranking.filters, None, sparse, ranking.depth), ("embedder",)
        return CandidateSearch(
            ranking.filters, embedded.dense, sparse, ranking.depth, embedded.tokens
        ), ()

    async def _candidates(
        self, ranking: _Ranking, search: CandidateSearch, ended: TypeFilters | None = None
    ) -> tuple[Candidates, Candidates]:
        """The candidates of `search` and, for the filters `ended`, the nearest memories that are no
        longer valid.

        The second is empty without `ended` or a dense vector; both are empty if the query has no
        vectors.
        """
        if search.dense is None and search.sparse is None:
            return Candidates.of([]), Candidates.of([])
        searches = [search]
        if ended is not None and search.dense is not None:
            searches.append(CandidateSearch(ended, search.dense, None, ENDED_DEPTH))
        candidates, *rest = await self._parts.store.candidates(ranking.scope, searches)
        if self._parts.adjust:
            candidates = self._parts.adjust(candidates)
        # Here, because the engine would read a field of every working memory
        if not ranking.with_copies:
            candidates = candidates.take(np.flatnonzero(candidates.columns.column("live") != 1))
        return candidates, rest[0] if rest else Candidates.of([])


async def _filled(
    writer: ContextWriter, texts: dict[str, EntryFields], timings: StageTimings
) -> tuple[ContextWriter, Fills, dict[str, EntryFields]]:
    """Fill the budget without hits whose text another hit contains; return writer, chosen hits, and
    texts by id.

    This is repeated, as each removal makes room. A removed hit comes back if the hit with its text
    no longer fits.
    """
    filled = list[tuple[ContextWriter, Fills]]()
    repeats = dict[str, str]()
    lost = set[str]()
    for _ in range(MAX_FILLS):
        current = writer.without(repeats)
        with timings.stage("budget"):
            fills = await current.fill(texts)
        with timings.stage("texts"):
            texts = await current.chosen_texts(fills, texts)
        missing = set(repeats.values()) - current.chosen_ids(fills)
        if missing:
            lost |= missing
            repeats = {
                memory_id: other for memory_id, other in repeats.items() if other not in lost
            }
            continue
        filled.append((current, fills))
        repeating = await current.repeats(fills, texts)
        found = {each: other for each, other in repeating.items() if other not in lost}
        if not found:
            break
        repeats = {
            memory_id: found.get(other, other) for memory_id, other in repeats.items()
        } | found
    return *filled[-1], texts


def _scoring(
    ranking: _Ranking, search: CandidateSearch, windows: tuple[Window, ...], wish: Wish
) -> Scoring:
    request = ranking.request
    budget = request.allowance.total if isinstance(request, RetrieveRequest) else 0
    due_budget = budget if isinstance(request, RetrieveRequest) and request.include_due else 0
    return Scoring(
        ranking.weights,
        ranking.times.as_of,
        request.query,
        windows,
        numbered(search.sparse.indices if search.sparse else np.empty(0, dtype=np.uint32)),
        request.min_similarity,
        request.min_score,
        floor=request.floor,
        tokens=search.tokens,
        due_tokens=due_room(due_budget),
        wish=wish,
        budget=budget,
    )

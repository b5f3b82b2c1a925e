"""Gathers what a retrieval ranks, as plain values: by one call of the memory store, and one of the
live store at the same time.

The query and the event that it names ("after the move") are embedded first, together. Then all
searches are sent at once: the candidates of all types, the memory that dates the event, the newest
memories if the query asks for them, the memories to which the best hits link, and for a receipt
memories that are no longer valid.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from memtypes.model.errors import Overloaded, Unavailable
from memtypes.model.filters import Absent, All, AnyOf, Compare, Not, Op, all_of
from memtypes.model.policy import LONG_TERM
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, Newest
from memtypes.search.candidates import Candidates
from memtypes.search.vectors import Embedding, Numbers, SparseVector, TokenVectors, numbered
from retrieval.columns import COLUMNS
from retrieval.context.live_notes import LIVE_DEGRADED, LiveView, read_live
from retrieval.dependencies import RetrieverParts, StageTimings
from retrieval.query.intent import NEWEST, OVERVIEW_TYPES, Wish, wish_of
from retrieval.query.named_times import QueryTimes
from retrieval.query.request import RankedRequest, RetrieveRequest
from retrieval.query.validity import TypeFilters, context_filters, ended_filters, search_filters
from retrieval.statuses import as_of

ENDED_DEPTH = 8
"""Number of memories per type, nearest to the query, that a receipt lists as superseded or
expired.
"""


@dataclass(frozen=True, slots=True)
class Query:
    """A request with what follows from its text and time alone.

    times: the times that the query names. weights: of the ranking signals. depth: maximum
    candidates per type from each kind of search. encoder: fingerprint of the embedder. with_ended:
    whether to search for memories that are no longer valid, which a receipt lists.
    """

    scope: Scope
    request: RankedRequest
    times: QueryTimes
    weights: Mapping[str, float]
    depth: int
    encoder: str
    with_ended: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Everything that ranking and choosing need.

    ended: memories that are no longer valid, for the receipt. event: candidates for the event that
    the query names. live: working items of the session. wish: what the query asks for. terms:
    its terms in the sparse index. tokens: its token vectors, if there are any. degraded: parts that
    did not respond.
    """

    candidates: Candidates
    ended: Candidates
    event: Candidates
    live: LiveView
    wish: Wish
    terms: Numbers
    tokens: TokenVectors | None
    degraded: tuple[str, ...]


async def gather(parts: RetrieverParts, query: Query, timings: StageTimings) -> Pool:
    """Read the pool of a query. Raises InvalidRequest for a malformed filter, Unavailable without
    the memory store.

    Without the embedder, memories are searched by words only.
    """
    request = query.request
    event = query.times.event if query.weights["time"] else None
    _filters(query, Wish.OTHER)  # refuses a malformed filter before anything is embedded
    with timings.stage("embed"):
        embedded, embedded_event = await asyncio.gather(
            _embedded(parts, request.query), _embedded(parts, event.event if event else None)
        )
    wish = wish_of(request.query, embedded.dense if embedded else None, query.encoder)
    sparse = _sparse(parts, request.query)
    searches = _searches(query, wish, embedded, sparse)
    if embedded_event is not None and event is not None:
        searches["event"] = CandidateSearch(
            _filters(query, wish),
            embedded_event.dense,
            _sparse(parts, event.event),
            query.depth,
            embedded_event.tokens,
        )
    with timings.stage("candidates"):
        answers, live = await asyncio.gather(
            parts.store.candidates(query.scope, list(searches.values())), _live(parts, query)
        )
    found = dict(zip(searches, answers, strict=True))
    nothing = Candidates.from_memories([], COLUMNS)
    candidates = as_of(found.get("candidates", nothing), query.times.as_of)
    if parts.adjust is not None:
        candidates = parts.adjust(candidates)
    if live.memories:
        # The store may have an earlier life of a live item, or a memory with its text and id.
        live_ids = np.array([memory_id.encode() for memory_id in live.memories], dtype=np.bytes_)
        candidates = candidates.take(np.flatnonzero(~np.isin(candidates.ids, live_ids)))
    away = {"embedder": embedded is None, LIVE_DEGRADED: live.away}
    return Pool(
        candidates,
        found.get("ended", nothing),
        found.get("event", nothing),
        live,
        wish,
        numbered(sparse.indices if sparse else np.empty(0, dtype=np.uint32)),
        embedded.tokens if embedded else None,
        tuple(name for name, is_away in away.items() if is_away),
    )


def _searches(
    query: Query, wish: Wish, embedded: Embedding | None, sparse: SparseVector | None
) -> dict[str, CandidateSearch]:
    """What to search for the query itself, by name: the candidates, and what has ended."""
    filters = _filters(query, wish)
    searches: dict[str, CandidateSearch] = {}
    if embedded is not None or sparse is not None:
        searches["candidates"] = CandidateSearch(
            filters,
            embedded.dense if embedded else None,
            sparse,
            query.depth,
            embedded.tokens if embedded else None,
            linked=query.weights["link"] > 0,
            newest=_newest(query, filters, wish),
        )
    if embedded is not None and query.with_ended:
        searches["ended"] = CandidateSearch(
            ended_filters(query.request, query.times), embedded.dense, None, ENDED_DEPTH
        )
    return searches


def _filters(query: Query, wish: Wish) -> TypeFilters:
    """For each type to search, the filter of its memories. A question whether something is done
    also finds finished tasks.
    """
    request = query.request
    if not isinstance(request, RetrieveRequest):
        return search_filters(request, query.times)
    asks_for_finished = wish in (Wish.DONE, Wish.FINISHED)
    return context_filters(request, query.times, with_completed=asks_for_finished)


def _newest(query: Query, filters: TypeFilters, wish: Wish) -> Newest | None:
    """The newest events or finished tasks, or memories of all types, if a context is to list them,
    of the times that the query names if there are any.
    """
    if wish not in NEWEST or not isinstance(query.request, RetrieveRequest):
        return None
    if wish is Wish.CONTINUE:
        types = tuple(kind for kind in LONG_TERM if kind in filters)
    else:
        types = tuple(kind for kind in (OVERVIEW_TYPES[wish],) if kind in filters)
    if not types:
        return None
    path = "completed_at" if wish is Wish.FINISHED else "created_at"
    in_windows = [
        All((Compare(path, Op.GTE, window.start), Compare(path, Op.LT, window.end)))
        for window in query.times.windows
    ]
    in_time = AnyOf(tuple(in_windows)) if in_windows else Not(Absent(path))
    # Of several types, the filter of the first holds for all: which tasks are open is asked again
    return Newest(types, all_of(filters[types[0]], in_time), query.depth)


async def _embedded(parts: RetrieverParts, text: str | None) -> Embedding | None:
    """The embedding of `text`; None without a text or if the embedder does not respond."""
    if text is None:
        return None
    try:
        return await parts.embedder.embed_query(text)
    except (Unavailable, Overloaded):
        return None


def _sparse(parts: RetrieverParts, text: str) -> SparseVector | None:
    encoded = parts.sparse.encode_query(text)
    return encoded if encoded.indices.size else None


async def _live(parts: RetrieverParts, query: Query) -> LiveView:
    if not isinstance(query.request, RetrieveRequest):
        return LiveView()
    return await read_live(parts.live, query.scope, query.request, query.times.as_of)

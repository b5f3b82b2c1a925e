"""Candidates of a search: the best hits of its dense and of its sparse query, each with the exact
scores of both.

A search runs a dense and a sparse query (its legs) in each memory type. The candidates of a type
form a pool. All legs are sent to the engine at once. If only one leg found a candidate, a second
operation gets its score by the other leg. Memories that a search asks for by id (the newest ones,
and those to which its best hits link) are then searched for in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.search.candidates import TYPES, Candidates
from memtypes.search.columns import LINKS, Columns
from memtypes.search.vectors import DenseVector, SparseVector, TokenVectors
from memtypes.stores.operations.conditions import Condition, has_ids, within
from memtypes.stores.operations.reads import newest_ids
from memtypes.stores.operations.uuids import texts_of, valid_ids
from memtypes.stores.operations.vector_engine import EngineOperations, Keys, QueryHits, VectorQuery

Scores: TypeAlias = NDArray[np.float64]
"""The score of each candidate of a pool (`_Pool`), in the order of its keys; NaN for an unknown
score.
"""


LINKING_HITS = 8
"""Number of best hits of each query in each type whose links are followed. Ranking uses the links
of its five best hits.
"""


@dataclass(frozen=True, slots=True)
class NewestOf:
    """The `limit` newest memories of some types, together, that meet the condition `where`."""

    types: tuple[MemoryType, ...]
    where: Condition
    limit: int


@dataclass(frozen=True, slots=True, eq=False)
class TypedSearch:
    """A search for candidates (the memories that ranking then orders), as an engine gets it.

    wheres: the condition of each memory type to search. dense, sparse, tokens: the query's vectors.
    depth: number of hits for each vector and type. columns: whether to return the payload fields
    that ranking uses. linked, newest: which other memories become candidates, see
    `CandidateSearch`.
    """

    wheres: dict[MemoryType, Condition]
    dense: DenseVector | None
    sparse: SparseVector | None
    depth: int
    tokens: TokenVectors | None = None
    columns: bool = True
    linked: bool = False
    newest: NewestOf | None = None


@dataclass(slots=True, eq=False)
class _Leg:
    """The dense or the sparse query of a search in one memory type, with its hits.

    depth: number of best hits that become candidates. limit: number of hits to ask for; more than
    `depth` if they shall also give the scores of the other query's candidates. scores: of all
    candidates; NaN where unknown.
    """

    vector: DenseVector | SparseVector
    depth: int
    limit: int
    hits: QueryHits = field(default_factory=lambda: QueryHits(np.empty(0), np.empty(0)))
    scores: Scores = field(default_factory=lambda: np.empty(0))

    @property
    def is_empty(self) -> bool:
        """True if this query can't find anything, because its sparse vector has no terms."""
        return isinstance(self.vector, SparseVector) and not len(self.vector.indices)

    def score(self, keys: Keys) -> None:
        """Set `scores` to the scores of the candidates `keys` by this query; NaN where the score is
        unknown.
        """
        self.scores = scores_of(keys, self.hits)
        if len(self.hits.keys) < self.limit:
            self._score_unmatched()

    def add(self, keys: Keys, hits: QueryHits) -> None:
        """Fill in missing scores. keys: all candidates. hits: of a second query for the candidates
        without a score.
        """
        missing = np.isnan(self.scores)
        self.scores[missing] = scores_of(keys[missing], hits)
        self._score_unmatched()

    def _score_unmatched(self) -> None:
        # Complete hits lack only memories that share no term with the query
        if isinstance(self.vector, SparseVector):
            self.scores[np.isnan(self.scores)] = 0.0


@dataclass(slots=True, eq=False)
class _Pool:
    """The candidates of one search in one memory type: the best hits of its dense and its sparse
    query, each once.
    """

    kind: MemoryType
    where: Condition
    dense: _Leg | None
    sparse: _Leg | None
    keys: Keys = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def legs(self) -> list[_Leg]:
        return [leg for leg in (self.dense, self.sparse) if leg is not None]

    def unite(self) -> None:
        """Make the best hits of the dense and the sparse query the candidates. Sets their scores;
        NaN if unknown.
        """
        best = [leg.hits.keys[: leg.depth] for leg in self.legs if len(leg.hits.keys)]
        if best:
            self.keys = union(best)
        for leg in self.legs:
            leg.score(self.keys)

    def keep(self, mask: NDArray[np.bool_]) -> None:
        if not mask.all():
            self.keys = self.keys[mask]
            for leg in self.legs:
                leg.scores = leg.scores[mask]


async def find_candidates(
    engine: EngineOperations, *, scope: Scope, searches: list[TypedSearch]
) -> list[Candidates]:
    """The candidates of each search: the best hits of its dense and its sparse query, ordered by
    memory type, then the linked and the newest memories that it asks for.
    """
    corpus = within(scope)
    hybrid = (
        kind
        for search in searches
        if search.dense is not None and search.sparse is not None
        for kind in search.wheres
    )
    counts = await engine.count(dict.fromkeys(hybrid, corpus))
    pools = [_pools(scope, search, counts, engine.score_all_factor) for search in searches]
    all_pools = [pool for group in pools for pool in group]
    await _find(engine, all_pools, corpus)
    await _add_missing_scores(engine, all_pools, corpus)
    found = [
        await _candidates(engine, search, group)
        for search, group in zip(searches, pools, strict=True)
    ]
    return [
        await _with_named(engine, scope, search, candidates)
        for search, candidates in zip(searches, found, strict=True)
    ]


async def _with_named(
    engine: EngineOperations, scope: Scope, search: TypedSearch, candidates: Candidates
) -> Candidates:
    """Add to `candidates` the newest memories, and those to which the best candidates link."""
    named: set[str] = set()
    if search.newest is not None:
        newest = search.newest
        named.update(
            await newest_ids(
                engine, scope=scope, types=newest.types, where=newest.where, limit=newest.limit
            )
        )
    if search.linked:
        named.update(_linked_ids(candidates))
    missing = valid_ids(sorted(named.difference(candidates.ids.astype(np.str_).tolist())))
    if not missing:
        return candidates
    wheres = {kind: {"must": [where, has_ids(missing)]} for kind, where in search.wheres.items()}
    by_id = replace(search, wheres=wheres, depth=len(missing), linked=False, newest=None)
    (added,) = await find_candidates(engine, scope=scope, searches=[by_id])
    return Candidates.joined([candidates, added])


def _linked_ids(candidates: Candidates) -> set[str]:
    """Ids of the memories to which the best candidates link: the LINKING_HITS best of each score in
    each type.
    """
    columns = candidates.columns
    has_links = columns.has_value(LINKS)
    if not has_links.any():
        return set()
    best: set[int] = set()
    for kind in np.unique(candidates.kinds):
        positions = np.flatnonzero(candidates.kinds == kind)
        for scores in (candidates.dense, candidates.sparse):
            if scores is not None:
                by_score = np.argsort(-scores[positions], kind="stable")
                best.update(positions[by_score[:LINKING_HITS]].tolist())
    rows = np.array(sorted(best), dtype=np.intp)
    return {link.to for links in columns.take(rows).links() for link in links}


def _pools(
    scope: Scope, search: TypedSearch, counts: Mapping[MemoryType, int], factor: int
) -> list[_Pool]:
    """A pool for each memory type of a search: its dense and its sparse query, not run yet, and no
    candidates yet.

    If the namespace has at most `factor * search.depth` memories of a type, both queries ask for
    the scores of all, so that each candidate has both. counts: number of memories by type; unused
    if the search has only one query.
    """
    pools = []
    for kind, where in search.wheres.items():
        # Without the other query, no score can be missing.
        single = search.dense is None or search.sparse is None
        limit = (
            search.depth
            if single or counts[kind] > factor * search.depth
            else max(counts[kind], search.depth)
        )
        dense = None if search.dense is None else _Leg(search.dense, search.depth, limit)
        sparse = None if search.sparse is None else _Leg(search.sparse, search.depth, limit)
        pools.append(_Pool(kind, within(scope, where), dense, sparse))
    return pools


async def _find(engine: EngineOperations, pools: Sequence[_Pool], corpus: Condition) -> None:
    """Run the dense and sparse queries of all pools. The best hits of both become the candidates of
    their pool.
    """
    legs = [(pool, leg) for pool in pools for leg in pool.legs if not leg.is_empty]
    queries = [
        (pool.kind, VectorQuery(leg.vector, leg.limit, pool.where, corpus)) for pool, leg in legs
    ]
    for (_, leg), hits in zip(legs, await _search(engine, queries), strict=True):
        leg.hits = hits
    for pool in pools:
        pool.unite()


async def _add_missing_scores(
    engine: EngineOperations, pools: Sequence[_Pool], corpus: Condition
) -> None:
    """Get the dense scores of candidates that only the sparse query found, and vice versa. corpus:
    memories for IDF.
    """
    legs = [(pool, leg) for pool in pools for leg in pool.legs if np.isnan(leg.scores).any()]
    missing = [pool.keys[np.isnan(leg.scores)] for pool, leg in legs]
    queries = [
        (pool.kind, VectorQuery(leg.vector, len(keys), corpus, corpus, among=keys))
        for (pool, leg), keys in zip(legs, missing, strict=True)
    ]
    for (pool, leg), hits in zip(legs, await _search(engine, queries), strict=True):
        leg.add(pool.keys, hits)
    for pool in pools:
        for leg in pool.legs:
            # Memories without a score were removed between the two queries
            pool.keep(~np.isnan(leg.scores))


async def _search(
    engine: EngineOperations, queries: Sequence[tuple[MemoryType, VectorQuery]]
) -> list[QueryHits]:
    """The hits of each query, in order; all queries of a type are sent as one batch."""
    batches: dict[MemoryType, list[VectorQuery]] = {}
    for kind, query in queries:
        batches.setdefault(kind, []).append(query)
    answers = await engine.search(batches) if batches else {}
    hits = {kind: iter(answer) for kind, answer in answers.items()}
    return [next(hits[kind]) for kind, _ in queries]


async def _candidates(
    engine: EngineOperations, search: TypedSearch, pools: Sequence[_Pool]
) -> Candidates:
    """The candidates in `pools`: ids, scores, columns and, with token vectors,
    late-interaction scores.
    """
    pools = [pool for pool in pools if len(pool.keys)]
    columns = None
    if search.columns and pools:
        existing = await engine.columns({pool.kind: pool.keys for pool in pools})
        columns = existing.columns
        ends = np.cumsum([len(pool.keys) for pool in pools])
        for pool, mask in zip(pools, np.split(existing.exists, ends[:-1]), strict=True):
            pool.keep(mask)
        pools = [pool for pool in pools if len(pool.keys)]
    if not pools:
        return Candidates.from_memories([], engine.column_kinds)
    keys = {pool.kind: pool.keys for pool in pools}
    counts = [len(pool.keys) for pool in pools]
    tokens = search.tokens
    return Candidates(
        texts_of(await engine.ids(keys)),
        np.repeat(np.array([TYPES.index(pool.kind) for pool in pools], dtype=np.int8), counts),
        _concatenated_scores([pool.dense for pool in pools]),
        _concatenated_scores([pool.sparse for pool in pools]),
        columns or Columns(sum(counts), engine.column_kinds),
        await engine.token_maxima(tokens, keys) if tokens is not None and len(tokens) else None,
    )


def _concatenated_scores(legs: Sequence[_Leg | None]) -> Scores | None:
    """Concatenate the scores of the dense (or the sparse) queries of several memory types; None
    without queries.
    """
    scores = [leg.scores for leg in legs if leg is not None]
    return np.concatenate(scores) if scores else None


def union(key_lists: Sequence[Keys]) -> Keys:
    """The keys of all lists, without repetitions, in the order of their first occurrence."""
    if len(key_lists) == 1:
        return key_lists[0]
    keys = np.concatenate(key_lists)
    _, first = np.unique(keys, return_index=True)
    return keys[np.sort(first)]


def scores_of(keys: Keys, hits: QueryHits) -> Scores:
    """The score that each memory in `keys` (the engine's identifiers) has in `hits`; NaN if it is
    not a hit.
    """
    if not len(hits.keys):
        return np.full(len(keys), np.nan)
    order = np.argsort(hits.keys)
    sorted_keys = hits.keys[order]
    positions = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.where(sorted_keys[positions] == keys, hits.scores[order[positions]], np.nan)

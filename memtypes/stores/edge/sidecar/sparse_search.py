"""Keyword search in one shard: sparse vectors in files beside it, and inverted indexes of small namespaces.

For each query the engine looks up a namespace's memories among all others and computes term statistics again. An
inverted index of some thousand memories takes a fraction of that time. Scores may differ from the engine's in the last
digit of a float32, because terms may be added in another order.

A keyword query needs no engine if its namespace is small and the memories that meet its filter are known. That is the
case if the query lists them, or if a dense query with the same filter asks for so many hits that it finds all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from memtypes.search.vectors import SparseVector
from memtypes.stores.edge.sidecar.array_files import RaggedFile, row_numbers
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.operations.conditions import Condition, scope_in
from memtypes.stores.operations.engine import Change, PutPoints, QueryHits, RemovePoints, VectorQuery

SMALL = 2_000
"""Maximum number of memories in a small namespace. Up to it, an inverted index is faster than the engine's query."""

CACHED = 2_000
"""Maximum number of namespaces whose slots (point numbers) are cached. They take 32 MB at most."""

CACHED_TERMS = 2_000_000
"""Maximum number of terms in all cached inverted indexes together. They take 32 MB."""

ScopeKey: TypeAlias = tuple[str, str]
"""Tenant and namespace, which identify a cached namespace."""

_NO_HITS = QueryHits(np.empty(0, dtype=np.int64), np.empty(0))

_TERM, _WEIGHT = "term", "weight"
_ENTRY = np.dtype([(_TERM, np.uint32), (_WEIGHT, np.float32)])

_NO_TERMS = np.zeros(1, _ENTRY)
"""Stored for a sparse vector without terms, to distinguish it from a vector that was never stored."""

_HALF, _ONE = np.float32(0.5), np.float32(1.0)


@dataclass(frozen=True, slots=True, eq=False)
class SparseCorpus:
    """An inverted index of the memories in `slots` (point numbers, ascending). size: number of memories with terms.

    terms, owners, weights: an entry for each term of each memory, ordered by term. It consists of the term, the
    position of its memory in `slots`, and the term's weight in that memory.
    """

    slots: Slots
    size: int
    terms: NDArray[np.uint32]
    owners: NDArray[np.int64]
    weights: NDArray[np.float32]

    def search(self, query: SparseVector, among: Slots, limit: int) -> QueryHits:
        """The best `limit` memories of the slots `among` that share a term with the query; IDF is over all memories."""
        scores, shared = self._scores(query)
        positions = np.minimum(np.searchsorted(self.slots, among), len(self.slots) - 1)
        wanted = np.zeros(len(self.slots), dtype=np.bool_)
        wanted[positions[self.slots[positions] == among]] = True
        matching = np.flatnonzero(shared & wanted)
        best = matching[np.argsort(-scores[matching], kind="stable")[:limit]]
        return QueryHits(self.slots[best], scores[best].astype(np.float64))

    def _scores(self, query: SparseVector) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The score of each memory, and a mask: whether the memory shares a term with the query.

        The score is the sum of weight times IDF over the shared terms. IDF is computed as in the engine: ln(1 + (n - df
        + 0.5) / (df + 0.5)), where n is the number of memories that have terms.
        """
        starts = np.searchsorted(self.terms, query.indices, side="left")
        counts = np.searchsorted(self.terms, query.indices, side="right") - starts
        frequency = counts.astype(np.float32)
        ratio = _ONE + (np.float32(self.size) - frequency + _HALF) / (frequency + _HALF)
        idf = np.log(ratio, dtype=np.float64).astype(np.float32)
        rows = row_numbers(starts, counts)
        owners = self.owners[rows]
        scores = np.zeros(len(self.slots), dtype=np.float32)
        # Added one after the other and rounded each time, as in the engine: so 19 of 20 scores are equal to its own.
        np.add.at(scores, owners, np.repeat(query.values * idf, counts) * self.weights[rows])
        return scores, np.bincount(owners, minlength=len(self.slots)) > 0


class TermFile(RaggedFile):
    """The files with the sparse vectors of one shard, by slot (point number)."""

    name = "terms"
    row: ClassVar[np.dtype[Any]] = _ENTRY

    def put(self, slots: Slots, vectors: Sequence[SparseVector]) -> None:
        """Store the sparse vector of each slot (point number). It replaces an earlier vector."""
        self.set(slots, [_entries(vector) for vector in vectors])

    def lacking(self, slots: Slots) -> Slots:
        """The `slots` (point numbers) for which no sparse vector is stored, not even an empty one."""
        lacking: Slots = slots[self.places_of(slots)[:, 1] == 0]
        return lacking

    def corpus(self, slots: Slots) -> SparseCorpus:
        """Build an inverted index of the memories with these slots (point numbers), which must be ascending."""
        starts, lengths = self.places_of(slots).T
        entries = self.content.take(row_numbers(starts, lengths), mode="clip")
        owners = np.repeat(np.arange(len(slots)), lengths)
        filled = np.flatnonzero(entries[_WEIGHT])  # the entry of a vector without terms has no weight
        order = filled[np.argsort(entries[_TERM][filled], kind="stable")]
        size = len(np.unique(owners[filled]))
        return SparseCorpus(slots, size, entries[_TERM][order], owners[order], entries[_WEIGHT][order])


class NamespaceCache:
    """Caches the slots (point numbers) and inverted indexes of a shard's small namespaces, and the sizes of large ones.

    The engine process is the only writer, so an entry is valid until a memory of the namespace is written or removed.
    matching: reads the ascending slots of at most so many points that meet a condition. counting: counts such points.
    small: maximum number of memories in a small namespace.
    cached: maximum number of namespaces in the cache. terms: maximum number of terms in all inverted indexes together.
    """

    def __init__(
        self,
        matching: Callable[[Condition, int], Slots],
        counting: Callable[[Condition], int],
        small: int = SMALL,
        cached: int = CACHED,
        terms: int = CACHED_TERMS,
    ) -> None:
        self._matching = matching
        self._counting = counting
        self._small = small
        self._slots: LRUCache[ScopeKey, Slots | int] = LRUCache(cached)
        # An index that alone has more terms than the cache takes counts as a full cache, which then holds only it.
        self._corpora: LRUCache[ScopeKey, SparseCorpus] = LRUCache(terms, lambda each: min(len(each.terms), terms))

    def members(self, where: Condition) -> Slots | None:
        """The slots of a namespace, ascending; None unless `where` selects all memories of a small namespace."""
        known = self._known(where)
        return None if isinstance(known, int) else known

    def count(self, where: Condition) -> int | None:
        """The number of memories in the namespace of `where`; None if `where` has more conditions than the scope."""
        known = self._known(where)
        return known if known is None or isinstance(known, int) else len(known)

    def _known(self, where: Condition) -> Slots | int | None:
        """The slots of a namespace's memories; only their number if it is large; None for a narrower condition."""
        scope, rest = scope_in(where)
        if scope is None or rest:
            return None
        if scope not in self._slots:
            slots = self._matching(where, self._small + 1)
            self._slots[scope] = np.sort(slots) if len(slots) <= self._small else self._counting(where)
        return self._slots[scope]

    def corpus(self, where: Condition, terms: TermFile) -> SparseCorpus | None:
        """The inverted index of a namespace; None unless `where` selects all of a small, non-empty namespace."""
        slots, (scope, _) = self.members(where), scope_in(where)
        if slots is None or not len(slots) or scope is None:
            return None
        if scope not in self._corpora:
            self._corpora[scope] = terms.corpus(slots)
        return self._corpora[scope]

    def forget(self, change: Change) -> None:
        """Drop the cached namespace whose memories a change adds or removes; all if the change names no namespace."""
        if isinstance(change, PutPoints | RemovePoints):
            scope, _ = scope_in(change.where)
            if scope is None:
                self._slots.clear()
                self._corpora.clear()
            else:
                self._slots.pop(scope, None)
                self._corpora.pop(scope, None)


def shard_hits(
    queries: Sequence[VectorQuery],
    namespaces: NamespaceCache,
    terms: TermFile,
    engine_hits: Callable[[Sequence[VectorQuery]], list[QueryHits]],
) -> list[QueryHits]:
    """The hits of each query in one shard, in order: from inverted indexes where possible, else from the engine."""
    hits: dict[int, QueryHits] = {}
    passes: dict[int, Slots | int] = {}
    for place, query in enumerate(queries):
        members = namespaces.members(query.corpus)
        if members is not None and not len(members):
            hits[place] = _NO_HITS
        elif (among := _among(query, members, queries)) is not None:
            passes[place] = among
    asked = [place for place in range(len(queries)) if place not in hits and place not in passes]
    if asked:
        hits |= zip(asked, engine_hits([queries[place] for place in asked]), strict=True)
    for place, among in passes.items():
        query = queries[place]
        corpus = namespaces.corpus(query.corpus, terms)
        if isinstance(query.vector, SparseVector) and corpus is not None:
            limited = hits[among].keys if isinstance(among, int) else among
            hits[place] = corpus.search(query.vector, limited, query.limit)
    return [hits[place] for place in range(len(queries))]


def _among(query: VectorQuery, members: Slots | None, queries: Sequence[VectorQuery]) -> Slots | int | None:
    """The slots of the memories that meet a keyword query's filter; None if they are not known without the engine.

    If a dense query with the same filter asks for so many hits that it finds all of them, returns the position of this
    query in `queries` instead of slots. members: the slots of the namespace; None if it is large.
    """
    if members is None or not isinstance(query.vector, SparseVector):
        return None
    if query.among is not None:
        return query.among
    whole = ((place, each) for place, each in enumerate(queries) if each.among is None and each.limit >= len(members))
    dense = (place for place, each in whole if not isinstance(each.vector, SparseVector) and each.where == query.where)
    return next(dense, None)


def _entries(vector: SparseVector) -> NDArray[Any]:
    entries = np.empty(len(vector.indices), _ENTRY)
    entries[_TERM], entries[_WEIGHT] = vector.indices, vector.values
    return entries if len(entries) else _NO_TERMS

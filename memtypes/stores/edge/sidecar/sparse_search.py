"""Keyword search in one shard: sparse vectors in files beside it, and inverted indexes of small
namespaces.

For each query the engine looks up a namespace's memories among all others and computes term
statistics again. An inverted index of some thousand memories takes a fraction of that time. Scores
may differ from the engine's in the last digit of a float32, because terms may be added in another
order.

An inverted index answers a keyword query if its namespace is small and the memories that meet its
filter are known: because the query lists them, or because a dense query with the same filter has so
high a limit that it finds them all.
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
from memtypes.stores.operations.vector_engine import (
    Change,
    PutPoints,
    QueryHits,
    RemovePoints,
    VectorQuery,
)

MAX_SMALL = 2_000
"""Maximum number of memories in a small namespace. In larger ones the engine is faster than an
inverted index.
"""

MAX_NAMESPACES = 2_000
"""Maximum number of namespaces whose slots (point numbers) are cached. They take 32 MB at most."""

MAX_TERMS = 2_000_000
"""Maximum number of terms in all cached inverted indexes together. They take 32 MB."""

ScopeKey: TypeAlias = tuple[str, str]
"""Tenant and namespace."""

_NO_HITS = QueryHits(np.empty(0, dtype=np.int64), np.empty(0))

_TERM = "term"
_WEIGHT = "weight"
_ENTRY = np.dtype([(_TERM, np.uint32), (_WEIGHT, np.float32)])

_NO_TERMS = np.zeros(1, _ENTRY)
"""The entry of a sparse vector without terms. It distinguishes such a vector from one that was
never stored.
"""

_HALF = np.float32(0.5)
_ONE = np.float32(1.0)


@dataclass(frozen=True, slots=True, eq=False)
class InvertedIndex:
    """An inverted index of the memories in `slots` (point numbers, ascending). size: number of
    memories with terms.

    terms, owners, weights: an entry for each term of each memory, ordered by term. It consists of
    the term, the position of its memory in `slots`, and the term's weight in that memory.
    """

    slots: Slots
    size: int
    terms: NDArray[np.uint32]
    owners: NDArray[np.int64]
    weights: NDArray[np.float32]

    def search(self, query: SparseVector, among: Slots, limit: int) -> QueryHits:
        """The best `limit` of the slots `among` that share a term with the query. IDF counts the
        whole index.
        """
        scores, shares_term = self._scores(query)
        positions = np.minimum(np.searchsorted(self.slots, among), len(self.slots) - 1)
        eligible = np.zeros(len(self.slots), dtype=np.bool_)
        eligible[positions[self.slots[positions] == among]] = True
        matching = np.flatnonzero(shares_term & eligible)
        best = matching[np.argsort(-scores[matching], kind="stable")[:limit]]
        return QueryHits(self.slots[best], scores[best].astype(np.float64))

    def _scores(self, query: SparseVector) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The score of each memory, and a mask that says whether the memory shares a term with the
        query.

        The score is the sum of weight times IDF over the shared terms. IDF is computed as in the
        engine: ln(1 + (n - df
        + 0.5) / (df + 0.5)), where n is the number of memories that have terms.
        """
        starts = np.searchsorted(self.terms, query.indices, side="left")
        counts = np.searchsorted(self.terms, query.indices, side="right") - starts
        frequencies = counts.astype(np.float32)
        ratio = _ONE + (np.float32(self.size) - frequencies + _HALF) / (frequencies + _HALF)
        idf = np.log(ratio, dtype=np.float64).astype(np.float32)
        rows = row_numbers(starts, counts)
        owners = self.owners[rows]
        scores = np.zeros(len(self.slots), dtype=np.float32)
        # Rounded after each addition, as in the engine: 19 of 20 scores are then equal to the
        # engine's.
        np.add.at(scores, owners, np.repeat(query.values * idf, counts) * self.weights[rows])
        return scores, np.bincount(owners, minlength=len(self.slots)) > 0


class TermFile(RaggedFile):
    """The files with the sparse vectors of one shard, by slot (point number)."""

    name = "terms"
    row: ClassVar[np.dtype[Any]] = _ENTRY

    def put(self, slots: Slots, vectors: Sequence[SparseVector]) -> None:
        """Store the sparse vector of each slot (point number), replacing an earlier one."""
        self.set(slots, [_entries(vector) for vector in vectors])

    def slots_without(self, slots: Slots) -> Slots:
        """Those of the `slots` (point numbers) for which no sparse vector is stored, not even an
        empty one.
        """
        missing: Slots = slots[self.spans(slots)[:, 1] == 0]
        return missing

    def inverted_index(self, slots: Slots) -> InvertedIndex:
        """Build an inverted index of the memories with these slots (point numbers), which must be
        ascending.
        """
        starts, lengths = self.spans(slots).T
        entries = self.content.take(row_numbers(starts, lengths), mode="clip")
        owners = np.repeat(np.arange(len(slots)), lengths)
        # The entry of a vector without terms has no weight
        filled = np.flatnonzero(entries[_WEIGHT])
        order = filled[np.argsort(entries[_TERM][filled], kind="stable")]
        size = len(np.unique(owners[filled]))
        return InvertedIndex(
            slots, size, entries[_TERM][order], owners[order], entries[_WEIGHT][order]
        )


class NamespaceCache:
    """Caches the slots (point numbers) and inverted indexes of a shard's small namespaces, and the
    sizes of large ones.

    The worker is the only writer, so an entry is valid until a memory of the namespace is
    written or removed. matching: reads the slots of points that meet a condition, up to a number of
    points. counting: counts such points. small: maximum number of memories in a small namespace.
    cached: maximum number of namespaces in the cache. terms: maximum number of terms in all
    inverted indexes together.
    """

    def __init__(
        self,
        matching: Callable[[Condition, int], Slots],
        counting: Callable[[Condition], int],
        small: int = MAX_SMALL,
        cached: int = MAX_NAMESPACES,
        terms: int = MAX_TERMS,
    ) -> None:
        self._matching = matching
        self._counting = counting
        self._small = small
        self._slots: LRUCache[ScopeKey, Slots | int] = LRUCache(cached)
        # An index with more than `terms` terms is cached too, but as the only one.
        self._indexes: LRUCache[ScopeKey, InvertedIndex] = LRUCache(
            terms, lambda index: min(len(index.terms), terms)
        )

    def members(self, where: Condition) -> Slots | None:
        """The slots of a namespace, ascending; None unless `where` selects all memories of a small
        namespace.
        """
        members = self._slots_or_count(where)
        return None if isinstance(members, int) else members

    def count(self, where: Condition) -> int | None:
        """The number of memories in the namespace of `where`; None if `where` has more conditions
        than the scope.
        """
        members = self._slots_or_count(where)
        return members if members is None or isinstance(members, int) else len(members)

    def _slots_or_count(self, where: Condition) -> Slots | int | None:
        """The slots of a small namespace, or the size of a large one; None if `where` has any other
        condition.
        """
        scope, other_conditions = scope_in(where)
        if scope is None or other_conditions:
            return None
        if scope not in self._slots:
            slots = self._matching(where, self._small + 1)
            self._slots[scope] = (
                np.sort(slots) if len(slots) <= self._small else self._counting(where)
            )
        return self._slots[scope]

    def inverted_index(self, where: Condition, terms: TermFile) -> InvertedIndex | None:
        """The inverted index of a namespace; None unless `where` selects all of a small namespace
        with memories.
        """
        slots = self.members(where)
        (scope, _) = scope_in(where)
        if slots is None or not len(slots) or scope is None:
            return None
        if scope not in self._indexes:
            self._indexes[scope] = terms.inverted_index(slots)
        return self._indexes[scope]

    def invalidate(self, change: Change) -> None:
        """Drop the namespace in which a change adds or removes memories. Drops all if the change
        names no namespace.
        """
        if isinstance(change, PutPoints | RemovePoints):
            scope, _ = scope_in(change.where)
            if scope is None:
                self._slots.clear()
                self._indexes.clear()
            else:
                self._slots.pop(scope, None)
                self._indexes.pop(scope, None)


def shard_hits(
    queries: Sequence[VectorQuery],
    namespaces: NamespaceCache,
    terms: TermFile,
    engine_hits: Callable[[Sequence[VectorQuery]], list[QueryHits]],
) -> list[QueryHits]:
    """The hits of each query in one shard, in order: from inverted indexes where possible, else
    from the engine.
    """
    hits: dict[int, QueryHits] = {}
    indexed: dict[int, Slots | int] = {}
    for position, query in enumerate(queries):
        members = namespaces.members(query.corpus)
        if members is not None and not len(members):
            hits[position] = _NO_HITS
        elif (
            members is not None
            and (matching := _matching(query, len(members), queries)) is not None
        ):
            indexed[position] = matching
    remaining = [
        position
        for position in range(len(queries))
        if position not in hits and position not in indexed
    ]
    if remaining:
        hits |= zip(
            remaining, engine_hits([queries[position] for position in remaining]), strict=True
        )
    for position, matching in indexed.items():
        query = queries[position]
        index = namespaces.inverted_index(query.corpus, terms)
        if isinstance(query.vector, SparseVector) and index is not None:
            among = hits[matching].keys if isinstance(matching, int) else matching
            hits[position] = index.search(query.vector, among, query.limit)
    return [hits[position] for position in range(len(queries))]


def _matching(query: VectorQuery, size: int, queries: Sequence[VectorQuery]) -> Slots | int | None:
    """The memories that meet a keyword query's filter: their slots, or the position in `queries` of
    a query for them.

    That is a dense query with the same filter and a limit of at least `size`, the number of
    memories in the namespace. Returns None for a dense query, and if only the engine can tell which
    memories meet the filter.
    """
    if not isinstance(query.vector, SparseVector):
        return None
    if query.among is not None:
        return query.among
    for position, other in enumerate(queries):
        is_dense = not isinstance(other.vector, SparseVector)
        if is_dense and other.among is None and other.limit >= size and other.where == query.where:
            return position
    return None


def _entries(vector: SparseVector) -> NDArray[Any]:
    entries = np.empty(len(vector.indices), _ENTRY)
    entries[_TERM] = vector.indices
    entries[_WEIGHT] = vector.values
    return entries if len(entries) else _NO_TERMS

"""Sparse vectors of one shard in files beside it, and keyword search by inverted indexes of single namespaces.

For each query the engine looks up a namespace's memories among all others and computes term statistics again; an
inverted index of some thousand memories takes a fraction of that time. Scores may differ from the engine's in the last
digit of a float32, because terms may be added in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from memtypes.search.vectors import SparseVector
from memtypes.stores.edge.sidecar.array_files import RaggedFile, row_numbers
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.operations.engine import QueryHits

_TERM, _WEIGHT = "term", "weight"
_ENTRY = np.dtype([(_TERM, np.uint32), (_WEIGHT, np.float32)])

_NO_TERMS = np.zeros(1, _ENTRY)
"""Stands for a vector without terms, to tell it from one that was never written."""

_HALF, _ONE = np.float32(0.5), np.float32(1.0)


@dataclass(frozen=True, slots=True, eq=False)
class SparseCorpus:
    """An inverted index of the memories with the point numbers `slots`, ascending. size: number of memories with terms.

    terms, owners, weights: an entry for each term of each memory, ordered by term: the term, the position of its memory
    in `slots`, and the term's weight in that memory.
    """

    slots: Slots
    size: int
    terms: NDArray[np.uint32]
    owners: NDArray[np.int64]
    weights: NDArray[np.float32]

    def search(self, query: SparseVector, among: Slots, limit: int) -> QueryHits:
        """The best `limit` memories of `among` that share a term with the query; IDF is over the whole index."""
        scores, shared = self._scores(query)
        wanted = np.zeros(len(self.slots), dtype=np.bool_)
        wanted[self._positions(among)] = True
        matching = np.flatnonzero(shared & wanted)
        best = matching[np.argsort(-scores[matching], kind="stable")[:limit]]
        return QueryHits(self.slots[best], scores[best].astype(np.float64))

    def _positions(self, among: Slots) -> NDArray[np.int64]:
        """The positions in the index's `slots` of those point numbers in `among` that it contains."""
        positions = np.minimum(np.searchsorted(self.slots, among), len(self.slots) - 1)
        present: NDArray[np.int64] = positions[self.slots[positions] == among]
        return present

    def _scores(self, query: SparseVector) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """For each memory, the sum of weight times IDF over the terms shared with the query, and whether there are any.

        IDF as in the engine: ln(1 + (n - df + 0.5) / (df + 0.5)), where n counts the memories that have terms.
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
        """Store the sparse vector of each slot (point number), in place of earlier ones."""
        self.set(slots, [_entries(vector) for vector in vectors])

    def lacking(self, slots: Slots) -> Slots:
        """Those of `slots` (point numbers) that have no stored sparse vector, not even an empty one."""
        lacking: Slots = slots[self.places_of(slots)[:, 1] == 0]
        return lacking

    def corpus(self, slots: Slots) -> SparseCorpus:
        """An inverted index of the memories with the point numbers `slots`, which must be ascending."""
        starts, lengths = self.places_of(slots).T
        entries = self.content.take(row_numbers(starts, lengths), mode="clip")
        owners = np.repeat(np.arange(len(slots)), lengths)
        filled = np.flatnonzero(entries[_WEIGHT])  # the entry of a vector without terms has no weight
        order = filled[np.argsort(entries[_TERM][filled], kind="stable")]
        size = len(np.unique(owners[filled]))
        return SparseCorpus(slots, size, entries[_TERM][order], owners[order], entries[_WEIGHT][order])


def _entries(vector: SparseVector) -> NDArray[Any]:
    entries = np.empty(len(vector.indices), _ENTRY)
    entries[_TERM], entries[_WEIGHT] = vector.indices, vector.values
    return entries if len(entries) else _NO_TERMS

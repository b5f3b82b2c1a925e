"""Sparse vectors of one shard in files beside it, and keyword search over a namespace's vectors as arrays.

For each query the engine looks up a namespace's memories among all others, and computes term statistics again; for some
thousand memories, a pass over all their terms takes a fraction of that. Scores are the engine's up to the last digit of
a float32, as terms may be added in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from memtypes.search.vectors import SparseVector
from memtypes.stores.edge.sidecar.array_files import RaggedFile
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.operations.engine import QueryHits

_TERM, _WEIGHT = "term", "weight"
_ENTRY = np.dtype([(_TERM, np.uint32), (_WEIGHT, np.float32)])

_NO_TERMS = np.zeros(1, _ENTRY)
"""Stands for a vector without terms, to tell it from one that was never written."""

_LOW_BITS = np.uint32(0xFFFF)
"""The bits of a term that tell it from most others."""

_HALF, _ONE = np.float32(0.5), np.float32(1.0)


@dataclass(frozen=True, slots=True, eq=False)
class SparseCorpus:
    """The terms of at least one memory. slots: of the memories, ascending.

    size: the memories that have terms. owners: of each entry, the position of its memory in `slots`.
    """

    slots: Slots
    size: int
    entries: NDArray[Any]
    owners: NDArray[np.int64]

    def search(self, query: SparseVector, among: Slots, limit: int) -> QueryHits:
        """The best of `among` that share a term with the query, ties by slot. Term statistics are the corpus's."""
        scores, shared = self._scores(query)
        wanted = np.zeros(len(self.slots), dtype=np.bool_)
        wanted[self._positions(among)] = True
        matching = np.flatnonzero(shared & wanted)
        best = matching[np.argsort(-scores[matching], kind="stable")[:limit]]
        return QueryHits(self.slots[best], scores[best].astype(np.float64))

    def _positions(self, among: Slots) -> NDArray[np.int64]:
        """The positions of those of `among` that are in the corpus."""
        positions = np.minimum(np.searchsorted(self.slots, among), len(self.slots) - 1)
        present: NDArray[np.int64] = positions[self.slots[positions] == among]
        return present

    def _scores(self, query: SparseVector) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Each memory's sum of weight times IDF over shared terms, and whether it shares any.

        IDF as in the engine: ln(1 + (n - df + 0.5) / (df + 0.5)), where n counts the memories that have terms.
        """
        positions, which = self._shared(query.indices)
        frequency = np.bincount(which, minlength=len(query.indices)).astype(np.float32)
        ratio = _ONE + (np.float32(self.size) - frequency + _HALF) / (frequency + _HALF)
        idf = np.log(ratio, dtype=np.float64).astype(np.float32)
        owners = self.owners[positions]
        scores = np.zeros(len(self.slots), dtype=np.float32)
        # Added one after the other and rounded each time, as in the engine: so 19 of 20 scores are equal to its own.
        np.add.at(scores, owners, (query.values * idf)[which] * self.entries[_WEIGHT][positions])
        return scores, np.bincount(owners, minlength=len(self.slots)) > 0

    def _shared(self, terms: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The entries of these ascending terms, and for each entry the position of its term."""
        corpus_terms = np.ascontiguousarray(self.entries[_TERM])
        possible = np.zeros(_LOW_BITS + 1, dtype=np.bool_)
        possible[terms & _LOW_BITS] = True
        likely = np.flatnonzero(possible[corpus_terms & _LOW_BITS])  # few, and only these are looked up
        which = np.minimum(np.searchsorted(terms, corpus_terms[likely]), len(terms) - 1)
        equal = (terms[which] == corpus_terms[likely]) & (self.entries[_WEIGHT][likely] != 0)
        return likely[equal], which[equal]


class TermFile(RaggedFile):
    """The sparse vectors of one shard."""

    row: ClassVar[np.dtype[Any]] = _ENTRY

    @classmethod
    def beside(cls, shard: Path) -> TermFile:
        """The files of the shard in a directory."""
        return cls(shard / "terms")

    def put(self, slots: Slots, vectors: Sequence[SparseVector]) -> None:
        """Store these vectors by slot, in place of earlier ones."""
        self.set(slots, [_entries(vector) for vector in vectors])

    def lacking(self, slots: Slots) -> Slots:
        """Those of `slots` whose vectors were never stored."""
        lacking: Slots = slots[self.places_of(slots)[:, 1] == 0]
        return lacking

    def corpus(self, slots: Slots) -> SparseCorpus:
        """The terms of the memories in these slots, which are ascending."""
        starts, lengths = self.places_of(slots).T
        before = np.cumsum(lengths) - lengths
        rows = np.repeat(starts - before, lengths)
        rows += np.arange(len(rows))
        entries = self.content.take(rows, mode="clip")
        first = entries[_WEIGHT][before[lengths > 0]]
        size = int(np.count_nonzero(first))  # the entry of a vector without terms has no weight
        return SparseCorpus(slots, size, entries, np.repeat(np.arange(len(slots)), lengths))


def _entries(vector: SparseVector) -> NDArray[Any]:
    entries = np.empty(len(vector.indices), _ENTRY)
    entries[_TERM], entries[_WEIGHT] = vector.indices, vector.values
    return entries if len(entries) else _NO_TERMS

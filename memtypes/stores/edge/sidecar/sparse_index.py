"""Sparse vectors of one shard, in files beside it, and word search in arrays of them.

The engine finds the memories of a namespace among those of all others anew for each query, and word statistics again;
where a namespace has some thousand memories, a look at all their terms takes a fraction of that. The scores are the
engine's but for the last digit of a float32, as terms may be added up in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from memtypes.search.vectors import SparseVector
from memtypes.stores.edge.sidecar.ragged_file import Ragged
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.operations.engine import QueryHits

_TERM, _WEIGHT = "term", "weight"
_ENTRY = np.dtype([(_TERM, np.uint32), (_WEIGHT, np.float32)])

_NONE = np.zeros(1, _ENTRY)
"""Stands for a vector without terms, so that one which was never written is told from it."""

_LOW = np.uint32(0xFFFF)
"""The bits of a term by which most others are told from it."""

_HALF, _ONE = np.float32(0.5), np.float32(1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """The terms of some memories, at least of one, their slots in ascending order.

    known: how many of them have terms. owners: of each entry, the place of its memory in `slots`.
    """

    slots: Slots
    known: int
    entries: NDArray[Any]
    owners: NDArray[np.int64]

    def matching(self, query: SparseVector, among: Slots, limit: int) -> QueryHits:
        """Those of `among` that share a term with `query`, best first, ties by slot; statistics are the corpus's."""
        scores, shared = self._scores(query)
        wanted = np.zeros(len(self.slots), dtype=np.bool_)
        wanted[self._places(among)] = True
        chosen = np.flatnonzero(shared & wanted)
        best = chosen[np.argsort(-scores[chosen], kind="stable")[:limit]]
        return QueryHits(self.slots[best], scores[best].astype(np.float64))

    def _places(self, among: Slots) -> NDArray[np.int64]:
        """Where those of `among` are that the corpus has."""
        places = np.minimum(np.searchsorted(self.slots, among), len(self.slots) - 1)
        here: NDArray[np.int64] = places[self.slots[places] == among]
        return here

    def _scores(self, query: SparseVector) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Of each memory the sum over shared terms of weights and IDF, and whether there are any.

        IDF as the engine's: ln(1 + (n - df + 0.5) / (df + 0.5)), n being the memories that have terms.
        """
        places, which = self._shared(query.indices)
        often = np.bincount(which, minlength=len(query.indices)).astype(np.float32)
        rarity = _ONE + (np.float32(self.known) - often + _HALF) / (often + _HALF)
        idf = np.log(rarity, dtype=np.float64).astype(np.float32)
        owners = self.owners[places]
        scores = np.zeros(len(self.slots), dtype=np.float32)
        # One after the other and rounded each time, as the engine does: so nineteen of twenty scores are its own.
        np.add.at(scores, owners, (query.values * idf)[which] * self.entries[_WEIGHT][places])
        return scores, np.bincount(owners, minlength=len(self.slots)) > 0

    def _shared(self, terms: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The entries of these terms, which are in ascending order, and for each which of them it is."""
        own = np.ascontiguousarray(self.entries[_TERM])
        some = np.zeros(_LOW + 1, dtype=np.bool_)
        some[terms & _LOW] = True
        likely = np.flatnonzero(some[own & _LOW])  # few, so that only they are looked up
        which = np.minimum(np.searchsorted(terms, own[likely]), len(terms) - 1)
        right = (terms[which] == own[likely]) & (self.entries[_WEIGHT][likely] != 0)
        return likely[right], which[right]


class TermFile(Ragged):
    """The sparse vectors of one shard."""

    row: ClassVar[np.dtype[Any]] = _ENTRY

    @classmethod
    def beside(cls, shard: Path) -> TermFile:
        """The files of the shard in a directory."""
        return cls(shard / "terms")

    def put(self, slots: Slots, vectors: Sequence[SparseVector]) -> None:
        """Keep these vectors by slot, in place of those that the slots had."""
        self.keep(slots, [_entries(vector) for vector in vectors])

    def lacking(self, slots: Slots) -> Slots:
        """Those of `slots` whose vectors were never put."""
        lacking: Slots = slots[self.places_of(slots)[:, 1] == 0]
        return lacking

    def corpus(self, slots: Slots) -> Corpus:
        """The terms of the memories in these slots, which are in ascending order."""
        starts, lengths = self.places_of(slots).T
        before = np.cumsum(lengths) - lengths
        places = np.repeat(starts - before, lengths)
        places += np.arange(len(places))
        entries = self.content.take(places, mode="clip")
        first = entries[_WEIGHT][before[lengths > 0]]
        known = int(np.count_nonzero(first))  # one without terms has an entry without a weight
        return Corpus(slots, known, entries, np.repeat(np.arange(len(slots)), lengths))


def _entries(vector: SparseVector) -> NDArray[Any]:
    entries = np.empty(len(vector.indices), _ENTRY)
    entries[_TERM], entries[_WEIGHT] = vector.indices, vector.values
    return entries if len(entries) else _NONE

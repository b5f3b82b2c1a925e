"""Candidates of a search, not yet ranked: as arrays for ranking, or one by one for callers that need only scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.search.columns import Columns

TYPES: tuple[MemoryType, ...] = tuple(MemoryType)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A memory that a search found, with its raw scores.

    dense: cosine, -1..1; None if the query had no dense vector. sparse: BM25, at least 0; None if the query had no
    sparse vector. If the query had both vectors, every candidate has both scores.
    """

    id: str
    type: MemoryType
    dense: float | None
    sparse: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The candidates of a search as arrays, with one row for each candidate.

    ids: memory ids as ASCII bytes, which sort like the ids. kinds: memory types, as indices into TYPES. dense, sparse:
    scores as in `Candidate`, NaN for a candidate without that score; None if no candidate has it. columns: the payload
    fields that ranking reads. late: late-interaction scores, shape (candidates, query tokens): for each query token,
    its best cosine with any token of the memory.
    """

    ids: NDArray[np.bytes_]
    kinds: NDArray[np.int8]
    dense: NDArray[np.float64] | None
    sparse: NDArray[np.float64] | None
    columns: Columns
    late: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, memories: Sequence[Memory]) -> Candidates:
        """`Candidates` without scores, made from stored memories."""
        return cls(
            np.array([memory.id.encode() for memory in memories], dtype=np.bytes_),
            np.array([TYPES.index(memory.type) for memory in memories], dtype=np.int8),
            None,
            None,
            Columns.of([memory.to_payload() for memory in memories]),
        )

    @classmethod
    def joined(cls, parts: Sequence[Candidates]) -> Candidates:
        """The candidates of all `parts`, one part after the other."""
        some = [part for part in parts if len(part)]
        if len(some) < 2:
            return some[0] if some else cls.of([])
        counts = [len(part) for part in some]
        return cls(
            np.concatenate([part.ids for part in some]),
            np.concatenate([part.kinds for part in some]),
            _together([part.dense for part in some], counts),
            _together([part.sparse for part in some], counts),
            Columns.joined([part.columns for part in some]),
            _together([part.late for part in some], counts),
        )

    def take(self, places: NDArray[Any]) -> Candidates:
        """A copy with only the candidates whose row numbers are `places`, in that order."""
        dense, sparse = (None if own is None else own.take(places) for own in (self.dense, self.sparse))
        late = None if self.late is None else self.late.take(places, axis=0)
        columns = self.columns.take(places)
        return Candidates(self.ids.take(places), self.kinds.take(places), dense, sparse, columns, late)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Candidate]:
        dense, sparse = (_optional(column, len(self)) for column in (self.dense, self.sparse))
        for memory_id, kind, *scores in zip(self.ids.tolist(), self.kinds.tolist(), dense, sparse, strict=True):
            yield Candidate(memory_id.decode(), TYPES[kind], *scores)


def _optional(column: NDArray[np.float64] | None, count: int) -> list[float | None]:
    return [None] * count if column is None else [None if np.isnan(score) else score for score in column.tolist()]


def _together(own: Sequence[NDArray[Any] | None], counts: Sequence[int]) -> NDArray[Any] | None:
    """One column of several `Candidates`, with `counts` rows each; NaN where it is missing. None if all lack it."""
    known = next((column for column in own if column is not None), None)
    if known is None:
        return None
    return np.concatenate(
        [
            np.full((count, *known.shape[1:]), np.nan, known.dtype) if column is None else column
            for column, count in zip(own, counts, strict=True)
        ]
    )

"""Candidates of a search before ranking: as arrays for ranking, or one by one for callers that need
only scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.search.columns import ColumnKinds, Columns

TYPES: tuple[MemoryType, ...] = tuple(MemoryType)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A memory that a search found, with its raw scores.

    dense: cosine, -1..1; None if the query had no dense vector. sparse: BM25, at least 0; None if
    the query had no sparse vector. If the query had both vectors, every candidate has both scores.
    """

    id: str
    type: MemoryType
    dense: float | None
    sparse: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The candidates of a search as arrays, with one row for each candidate.

    ids: memory ids as ASCII bytes, which sort like the ids. kinds: memory types, as indices into
    TYPES. dense, sparse: scores as in `Candidate`, NaN for a candidate without that score; None if
    no candidate has it. columns: the payload fields for which the store was opened. late:
    late-interaction scores, shape (candidates, query tokens): for each query token, its best cosine
    with any token of the memory.
    """

    ids: NDArray[np.bytes_]
    kinds: NDArray[np.int8]
    dense: NDArray[np.float64] | None
    sparse: NDArray[np.float64] | None
    columns: Columns
    late: NDArray[np.float32] | None = None

    @classmethod
    def from_memories(cls, memories: Sequence[Memory], column_kinds: ColumnKinds) -> Candidates:
        """Make candidates without scores from stored memories."""
        return cls(
            np.array([memory.id.encode() for memory in memories], dtype=np.bytes_),
            np.array([TYPES.index(memory.type) for memory in memories], dtype=np.int8),
            None,
            None,
            Columns.from_payloads([memory.to_payload() for memory in memories], column_kinds),
        )

    @classmethod
    def joined(cls, parts: Sequence[Candidates]) -> Candidates:
        """Concatenate candidates: the rows of all `parts` (at least one), one part after the
        other.
        """
        parts = [part for part in parts if len(part)] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        counts = [len(part) for part in parts]
        return cls(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.kinds for part in parts]),
            _concatenated([part.dense for part in parts], counts),
            _concatenated([part.sparse for part in parts], counts),
            Columns.joined([part.columns for part in parts]),
            _concatenated([part.late for part in parts], counts),
        )

    def take(self, rows: NDArray[Any]) -> Candidates:
        """The candidates in the rows whose numbers are `rows`, in that order."""
        scores: tuple[Any, ...] = (self.dense, self.sparse, self.late)
        dense, sparse, late = (
            None if score is None else score.take(rows, axis=0) for score in scores
        )
        return Candidates(
            self.ids.take(rows), self.kinds.take(rows), dense, sparse, self.columns.take(rows), late
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Candidate]:
        dense, sparse = (_optional(column, len(self)) for column in (self.dense, self.sparse))
        for memory_id, kind, *scores in zip(
            self.ids.tolist(), self.kinds.tolist(), dense, sparse, strict=True
        ):
            yield Candidate(memory_id.decode(), TYPES[kind], *scores)


def _optional(scores: NDArray[np.float64] | None, count: int) -> list[float | None]:
    return (
        [None] * count
        if scores is None
        else [None if np.isnan(score) else score for score in scores.tolist()]
    )


def _concatenated(
    arrays: Sequence[NDArray[Any] | None], counts: Sequence[int]
) -> NDArray[Any] | None:
    """Concatenate arrays that have `counts` rows; NaN in the rows of an array that is None. None if
    all are None.
    """
    present = next((array for array in arrays if array is not None), None)
    if present is None:
        return None
    return np.concatenate(
        [
            np.full((count, *present.shape[1:]), np.nan, present.dtype) if array is None else array
            for array, count in zip(arrays, counts, strict=True)
        ]
    )

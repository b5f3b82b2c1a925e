"""Candidates of a search as rows, one for each candidate, so that tests can write and compare
them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.search.candidates import TYPES, Candidates
from memtypes.search.columns import ColumnKind, Columns
from retrieval.columns import COLUMNS


@dataclass(frozen=True, slots=True, eq=False)
class CandidateRow:
    """A candidate with the fields that ranking reads. late: its late-interaction score of each
    query token.
    """

    id: str
    type: MemoryType
    dense: float | None
    sparse: float | None
    payload: Mapping[str, Any]
    late: NDArray[np.float32] | None = None


def make_candidates(rows: Sequence[CandidateRow]) -> Candidates:
    """Convert rows to `Candidates`, which has an array for each field."""
    width = next((len(row.late) for row in rows if row.late is not None), 0)
    unscored = np.full(width, np.nan, dtype=np.float32)
    return Candidates(
        np.array([row.id.encode() for row in rows], dtype=np.bytes_),
        np.array([TYPES.index(row.type) for row in rows], dtype=np.int8),
        _scores([row.dense for row in rows]),
        _scores([row.sparse for row in rows]),
        Columns.from_payloads([row.payload for row in rows], COLUMNS),
        np.vstack([unscored if row.late is None else row.late for row in rows]) if width else None,
    )


def rows_of(candidates: Candidates) -> list[CandidateRow]:
    """The candidates as rows, one for each candidate."""
    payloads = payloads_in(candidates.columns)
    lates = [None] * len(payloads) if candidates.late is None else list(candidates.late)
    return [
        CandidateRow(one.id, one.type, one.dense, one.sparse, payload, late)
        for one, payload, late in zip(candidates, payloads, lates, strict=True)
    ]


def payloads_in(columns: Columns) -> list[dict[str, Any]]:
    """The fields of each memory in `columns`, as a dictionary such as `Memory.to_payload`
    returns.
    """
    return [_payload(columns, place) for place in range(columns.count)]


def _scores(scores: Sequence[float | None]) -> NDArray[np.float64] | None:
    column = np.array(scores, dtype=np.float64)
    return None if np.isnan(column).all() else column


def _payload(columns: Columns, place: int) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for path in columns.columns:
        kind = columns.kinds[path]
        value = _plain(kind, columns.column(path)[place], columns.tables.get(path, ()))
        if value is not None:
            outer, _, inner = path.partition(".")
            if inner:
                payload.setdefault(outer, {})[inner] = value
            else:
                payload[path] = value
    return payload


def _plain(kind: ColumnKind, value: Any, table: Sequence[str]) -> Any:
    """A value of a column of candidates as it is in the memory's JSON payload; None if the memory
    has no value.

    table: texts to which a column of texts refers by position.
    """
    if kind is ColumnKind.TIME:
        return None if np.isnat(value) else rfc3339(value.astype(datetime).replace(tzinfo=UTC))
    if kind is ColumnKind.TERMS:
        return term_text(value)
    if np.isnan(value) if kind is ColumnKind.NUMBER else value == kind.none:
        return None
    if kind.has_table:
        return json.loads(table[value]) if kind is ColumnKind.LIST else table[value]
    if kind is ColumnKind.DIGEST:
        return value.decode()
    return bool(value) if kind is ColumnKind.FLAG else value.item()


def term_text(row: NDArray[Any]) -> str | None:
    """A memory's heaviest terms, a row of term numbers, as the hexadecimal text of payloads; None
    for no terms.
    """
    return row[row > 0].astype(">u2").tobytes().hex() or None

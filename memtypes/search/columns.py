"""The payload fields that ranking needs: an array for each field, as reading thousands of dictionaries is slow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from memtypes.search import vectors


class ColumnKind(Enum):
    """Type of the values in a column: the array's dtype, and the value (`none`) that marks a missing value."""

    TIME = np.dtype("datetime64[us]"), np.datetime64("NaT")  # in UTC
    WHOLE = np.dtype(np.int64), np.iinfo(np.int64).min
    NUMBER = np.dtype(np.float32), np.nan
    FLAG = np.dtype(np.int8), -1  # of a list, whether it has members
    DIGEST = np.dtype("S64"), b""
    TEXT = np.dtype(np.int32), -1  # a position in the table of texts
    TERMS = np.dtype((np.uint16, (vectors.KEPT,))), 0  # numbers, see `memtypes.search.vectors`

    def __init__(self, dtype: np.dtype[Any], none: Any) -> None:
        self.dtype = dtype
        self.none = none


Column: TypeAlias = NDArray[Any]

TERMS = "terms"
"""Payload field with the heaviest terms of a memory's sparse vector. It is added when the memory is stored."""

KINDS: Mapping[str, ColumnKind] = MappingProxyType(
    {
        **dict.fromkeys(("created_at", "restated_at", "due_at", "completed_at", "last_used_at"), ColumnKind.TIME),
        **dict.fromkeys(("valid_to", "state_until", "expires_at"), ColumnKind.TIME),
        **dict.fromkeys(("access_count", "usage_count", "seq", "tokens.count", "tokens.line"), ColumnKind.WHOLE),
        **dict.fromkeys(("importance", "emotional_valence", "priority"), ColumnKind.WHOLE),
        **dict.fromkeys(("confidence", "success_rate"), ColumnKind.NUMBER),
        **dict.fromkeys(("live", "gives_value", "links"), ColumnKind.FLAG),
        **dict.fromkeys(("tokens.tokenizer", "speaker", "status", "todo_id", "session_id"), ColumnKind.TEXT),
        "content_hash": ColumnKind.DIGEST,
        TERMS: ColumnKind.TERMS,
    }
)
"""The kind of each column, by the field's dotted path in a payload. A new ranking field must be added here."""

COLUMN_FIELDS: tuple[str, ...] = tuple(dict.fromkeys(path.partition(".")[0] for path in KINDS))
"""The top-level payload fields to read for the columns. Ranking does not read the texts of memories."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A table with a row for each of `count` memories and a column (array) for each payload field, by the field's path.

    A column may be missing if no memory has a value. A text column has indices into the list of its distinct texts,
    `tables[path]`. places: row numbers in the arrays of `columns`; the table has only these rows, in this order (None:
    all rows). So selecting rows does not copy a column before it is read.
    """

    count: int
    columns: Mapping[str, Column] = field(default_factory=dict)
    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    places: NDArray[np.intp] | None = None

    @classmethod
    def of(cls, payloads: Sequence[Mapping[str, Any]]) -> Columns:
        """Make a table with a row for each of `payloads`, the JSON objects in which memories are stored."""
        columns: dict[str, Column] = {}
        tables: dict[str, Sequence[str]] = {}
        for path, kind in KINDS.items():
            values = values_at(path, payloads)
            if all(value is None for value in values):
                continue
            if kind is ColumnKind.TEXT:
                places = {text: place for place, text in enumerate(dict.fromkeys(v for v in values if v is not None))}
                tables[path] = tuple(places)
                columns[path] = np.array([-1 if v is None else places[v] for v in values], dtype=kind.dtype)
            else:
                columns[path] = column_of(kind, values)
        return cls(len(payloads), columns, tables)

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """Concatenate tables: the rows of all `parts`, one part after the other."""
        columns: dict[str, Column] = {}
        tables: dict[str, Sequence[str]] = {}
        for path in KINDS:
            if any(path in part.columns for part in parts):
                own = [part.column(path) for part in parts]
                if KINDS[path] is ColumnKind.TEXT:
                    own, tables[path] = _one_table(own, [part.tables.get(path, ()) for part in parts])
                columns[path] = np.concatenate(own)
        return cls(sum(part.count for part in parts), columns, tables)

    def column(self, path: str) -> Column:
        """The column of the field at `path`. A missing value is marked by the `none` of the column's `ColumnKind`."""
        known = self.columns.get(path)
        if known is None:
            return np.full(self.count, KINDS[path].none, dtype=KINDS[path].dtype)
        return known if self.places is None else known.take(self.places, axis=0)  # faster than an index

    def wholes(self, path: str, default: int) -> NDArray[np.int64]:
        """The whole numbers of the field at `path`; `default` for a memory without a value."""
        numbers: NDArray[np.int64] = self.column(path)
        return np.where(numbers == ColumnKind.WHOLE.none, default, numbers)

    def numbers(self, path: str, default: float) -> NDArray[np.float64]:
        """The numbers of the field at `path`, as float64; `default` for a memory without a value."""
        return np.nan_to_num(self.column(path).astype(np.float64), nan=default)

    def known(self, path: str) -> NDArray[np.bool_]:
        """A mask of the rows: True where the field at `path` has a value."""
        kind, values = KINDS[path], self.column(path)
        if kind is ColumnKind.TIME:
            return ~np.isnat(values)
        known: NDArray[np.bool_] = ~np.isnan(values) if kind is ColumnKind.NUMBER else values != kind.none
        return known

    def where(self, path: str, holds: Callable[[str], bool]) -> NDArray[np.bool_]:
        """A mask of the rows: True where the field at `path` has a text that meets the predicate `holds`."""
        held = np.array([*map(holds, self.tables.get(path, ())), False], dtype=np.bool_)
        return held[self.column(path)]  # the code -1, for no text, selects the last

    def take(self, places: NDArray[Any]) -> Columns:
        """A table of the rows whose numbers are `places`, in that order."""
        own = places if self.places is None else self.places.take(places)
        return Columns(len(places), self.columns, self.tables, own)

    def changed(self, path: str, column: Column) -> Columns:
        """A copy of the table with `column` as the column of the field at `path`, which must not be a text field."""
        return Columns(self.count, {**{each: self.column(each) for each in self.columns}, path: column}, self.tables)


def values_at(path: str, payloads: Iterable[Mapping[str, Any]]) -> list[Any]:
    """The value of the field at the dotted `path` in each payload; None for a payload without that field."""
    outer, _, inner = path.partition(".")
    values = [payload.get(outer) for payload in payloads]
    return [None if value is None else value.get(inner) for value in values] if inner else values


def column_of(kind: ColumnKind, values: Sequence[Any]) -> Column:
    """Convert JSON `values` to a column of `kind`, which must not be TEXT, as a text column needs a list of texts."""
    if kind is ColumnKind.TIME:
        # numpy parses a thousand times in the time that datetime takes for a hundred.
        return np.array(["NaT" if value is None else value.removesuffix("Z") for value in values], dtype=kind.dtype)
    if kind is ColumnKind.DIGEST:
        return np.array([b"" if value is None else value.encode() for value in values], dtype=kind.dtype)
    if kind is ColumnKind.TERMS:
        return vectors.term_column(values)
    if kind is ColumnKind.FLAG:
        return np.array([kind.none if value is None else bool(value) for value in values], dtype=kind.dtype)
    return np.array([kind.none if value is None else value for value in values], dtype=kind.dtype)


def _one_table(codes: Sequence[Column], tables: Sequence[Sequence[str]]) -> tuple[list[Column], tuple[str, ...]]:
    """The parts' codes in one list of texts, where -1 means no text; and this list, merged from `tables`."""
    places: dict[str, int] = {}
    moved: list[Column] = []
    for own, table in zip(codes, tables, strict=True):
        # The code -1, for no text, selects the last.
        new = np.array([*(places.setdefault(text, len(places)) for text in table), -1], dtype=ColumnKind.TEXT.dtype)
        moved.append(new[own])
    return moved, tuple(places)

"""Payload fields of many memories as one array for each field: thousands of dictionaries would be
slow.

Which fields these are is not known here. Whoever reads columns names them, each with its kind, and
the store is opened with that list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from memtypes.search import vectors


class ColumnKind(Enum):
    """Type of the values in a column: the array's dtype, and the value (`none`) that marks a
    missing value.
    """

    dtype: np.dtype[Any]
    none: Any

    TIME = "time", np.dtype("datetime64[us]"), np.datetime64("NaT")  # in UTC
    WHOLE = "whole", np.dtype(np.int64), np.iinfo(np.int64).min
    NUMBER = "number", np.dtype(np.float32), np.nan
    FLAG = "flag", np.dtype(np.int8), -1  # 0 or 1
    DIGEST = "digest", np.dtype("S64"), b""
    TEXT = "text", np.dtype(np.int32), -1  # an index into the table of texts
    # Like TEXT: each list as one JSON text, without a value for an empty one
    LIST = "list", np.dtype(np.int32), -1
    # A row of term numbers, see `vectors.numbered`
    TERMS = "terms", np.dtype((np.uint16, (vectors.MAX_TERMS,))), 0

    def __new__(cls, name: str, dtype: np.dtype[Any], none: Any) -> Self:
        """A member whose value is `name`. It is pickled by value, and NaN is not equal to
        itself.
        """
        member = object.__new__(cls)
        member._value_ = name
        member.dtype = dtype
        member.none = none
        return member

    @property
    def has_table(self) -> bool:
        """True if a column of this kind has indices into a table of texts."""
        return self in (ColumnKind.TEXT, ColumnKind.LIST)


ColumnKinds: TypeAlias = Mapping[str, ColumnKind]
"""The columns of a table: the kind of each, by the field's dotted path in a payload."""

Column: TypeAlias = NDArray[Any]

TERMS = "terms"
"""Payload field with the heaviest terms of a memory's sparse vector. It is added when the memory is
stored.
"""

LINKS = "links"
"""Payload field with a memory's links to others. A search with `linked` reads its column."""


class ColumnLink(msgspec.Struct, frozen=True):
    """A link to the memory `to`, as in a payload. type: the value of a `LinkType`."""

    to: str
    type: str
    strength: float = 1.0


_DECODER = msgspec.json.Decoder(list[ColumnLink])


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A table with `count` rows, one for each memory, and a column (array) for each payload field,
    by the field's path.

    kinds: the columns that the table may have. One is missing in `columns` if no memory has a
    value. A text column has indices into the list of its distinct texts, `tables[path]`. rows:
    numbers of the rows of the arrays in `columns` that the table has, in this order; None for all.
    So rows are selected without copying the columns, of which ranking reads only some.
    """

    count: int
    kinds: ColumnKinds
    columns: Mapping[str, Column] = field(default_factory=dict)
    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rows: NDArray[np.intp] | None = None

    @classmethod
    def from_payloads(cls, payloads: Sequence[Mapping[str, Any]], kinds: ColumnKinds) -> Columns:
        """Make a table with a row for each of `payloads`, the JSON objects in which memories are
        stored, and the columns `kinds`.
        """
        columns: dict[str, Column] = {}
        tables: dict[str, Sequence[str]] = {}
        for path, kind in kinds.items():
            values = values_at(path, kind, payloads)
            if all(value is None for value in values):
                continue
            if kind.has_table:
                codes = {
                    text: code
                    for code, text in enumerate(dict.fromkeys(v for v in values if v is not None))
                }
                tables[path] = tuple(codes)
                columns[path] = np.array(
                    [kind.none if v is None else codes[v] for v in values], dtype=kind.dtype
                )
            else:
                columns[path] = column_of(kind, values)
        return cls(len(payloads), kinds, columns, tables)

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """Concatenate tables of the same kinds: the rows of all `parts`, one part after the
        other.
        """
        kinds = parts[0].kinds
        columns: dict[str, Column] = {}
        tables: dict[str, Sequence[str]] = {}
        for path, kind in kinds.items():
            if any(path in part.columns for part in parts):
                arrays = [part.column(path) for part in parts]
                if kind.has_table:
                    arrays, tables[path] = _merged_tables(
                        arrays, [part.tables.get(path, ()) for part in parts]
                    )
                columns[path] = np.concatenate(arrays)
        return cls(sum(part.count for part in parts), kinds, columns, tables)

    def column(self, path: str) -> Column:
        """The column of the field at `path`. A missing value is marked by the `none` of the
        column's `ColumnKind`.
        """
        column = self.columns.get(path)
        if column is None:
            return np.full(self.count, self.kinds[path].none, dtype=self.kinds[path].dtype)
        # Faster than an index
        return column if self.rows is None else column.take(self.rows, axis=0)

    def integers(self, path: str, default: int) -> NDArray[np.int64]:
        """The integers of the field at `path`; `default` for a memory without a value."""
        integers: NDArray[np.int64] = self.column(path)
        return np.where(integers == ColumnKind.WHOLE.none, default, integers)

    def numbers(self, path: str, default: float) -> NDArray[np.float64]:
        """The numbers of the field at `path`, as float64; `default` for a memory without a
        value.
        """
        return np.nan_to_num(self.column(path).astype(np.float64), nan=default)

    def has_value(self, path: str) -> NDArray[np.bool_]:
        """A mask of the rows: True where the field at `path` has a value."""
        kind = self.kinds[path]
        values = self.column(path)
        if kind is ColumnKind.TIME:
            return ~np.isnat(values)
        mask: NDArray[np.bool_] = (
            ~np.isnan(values) if kind is ColumnKind.NUMBER else values != kind.none
        )
        return mask

    def where(self, path: str, holds: Callable[[str], bool]) -> NDArray[np.bool_]:
        """A mask of the rows: True where the field at `path` has a text that meets the predicate
        `holds`.
        """
        meets = np.array([*map(holds, self.tables.get(path, ())), False], dtype=np.bool_)
        # Index -1, for no text, selects the last entry, which is False
        return meets[self.column(path)]

    def links(self) -> list[list[ColumnLink]]:
        """The links of each memory. Each is decoded here, so select a few rows first."""
        table = self.tables.get(LINKS, ())
        return [
            [] if code == ColumnKind.LIST.none else _DECODER.decode(table[code])
            for code in self.column(LINKS).tolist()
        ]

    def take(self, rows: NDArray[Any]) -> Columns:
        """A table of the rows whose numbers are `rows`, in that order."""
        return Columns(
            len(rows),
            self.kinds,
            self.columns,
            self.tables,
            rows if self.rows is None else self.rows.take(rows),
        )

    def changed(self, path: str, column: Column, texts: Sequence[str] = ()) -> Columns:
        """A copy of the table with another column for the field at `path`. texts: the table of its
        texts, if its kind has one.
        """
        return Columns(
            self.count,
            self.kinds,
            {**{name: self.column(name) for name in self.columns}, path: column},
            {**self.tables, path: texts} if self.kinds[path].has_table else self.tables,
        )

    def texts(self, path: str) -> list[str | None]:
        """The text of each memory in the field at `path`; None for a memory without one."""
        table = (*self.tables.get(path, ()), None)
        # Index -1, for no text, selects the last entry, which is None
        return [table[code] for code in self.column(path).tolist()]


def values_at(path: str, kind: ColumnKind, payloads: Iterable[Mapping[str, Any]]) -> list[Any]:
    """The value of the field at the dotted `path` in each payload, for a column of `kind`. None for
    a payload without that field.
    """
    outer, _, inner = path.partition(".")
    values = [payload.get(outer) for payload in payloads]
    if inner:
        values = [None if value is None else value.get(inner) for value in values]
    if kind is ColumnKind.LIST:
        return [msgspec.json.encode(value).decode() if value else None for value in values]
    return values


def column_of(kind: ColumnKind, values: Sequence[Any]) -> Column:
    """Convert JSON values to a column of `kind`, which must be one without a table of texts."""
    if kind is ColumnKind.TIME:
        # numpy parses times ten times as fast as datetime.
        return np.array(
            ["NaT" if value is None else value.removesuffix("Z") for value in values],
            dtype=kind.dtype,
        )
    if kind is ColumnKind.DIGEST:
        return np.array(
            [b"" if value is None else value.encode() for value in values], dtype=kind.dtype
        )
    if kind is ColumnKind.TERMS:
        return vectors.term_column(values)
    if kind is ColumnKind.FLAG:
        return np.array(
            [kind.none if value is None else bool(value) for value in values], dtype=kind.dtype
        )
    return np.array([kind.none if value is None else value for value in values], dtype=kind.dtype)


def payload_fields(kinds: ColumnKinds) -> tuple[str, ...]:
    """The top-level payload fields to read for the columns `kinds`."""
    return tuple(dict.fromkeys(path.partition(".")[0] for path in kinds))


def _merged_tables(
    columns: Sequence[Column], tables: Sequence[Sequence[str]]
) -> tuple[list[Column], tuple[str, ...]]:
    """Merge the text tables of several columns. Returns the columns with new indices, and the
    merged table.
    """
    codes: dict[str, int] = {}
    recoded: list[Column] = []
    for column, table in zip(columns, tables, strict=True):
        # Index -1, for no text, selects the last entry, which is -1.
        new = np.array(
            [*(codes.setdefault(text, len(codes)) for text in table), -1],
            dtype=ColumnKind.TEXT.dtype,
        )
        recoded.append(new[column])
    return recoded, tuple(codes)

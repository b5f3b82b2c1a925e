"""What ranking needs of memories, as columns: one array a field instead of one dictionary a memory.

A search finds thousands of candidates, and Python takes longer over a thousand dictionaries than an engine over the
search. Knows the fields and their kinds, not where they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.model.times import rfc3339
from memtypes.search import terms


class Kind(StrEnum):
    """What a column holds, and how a memory without the field is marked in it."""

    TIME = "time"
    WHOLE = "whole"
    FLAG = "flag"
    DIGEST = "digest"
    TEXT = "text"
    TERMS = "terms"


Column = NDArray[Any]

DTYPES: Mapping[Kind, np.dtype[Any]] = MappingProxyType(
    {
        Kind.TIME: np.dtype("datetime64[us]"),  # in UTC; NaT for none
        Kind.WHOLE: np.dtype(np.int64),  # the least number for none
        Kind.FLAG: np.dtype(np.int8),  # -1 for none
        Kind.DIGEST: np.dtype("S64"),  # empty for none
        Kind.TEXT: np.dtype(np.int32),  # a place in the table of texts; -1 for none
        Kind.TERMS: np.dtype((np.uint16, (terms.KEPT,))),  # numbers, see `memtypes.search.terms`; 0 for none
    }
)
NONE: Mapping[Kind, Any] = MappingProxyType(
    {
        Kind.TIME: np.datetime64("NaT"),
        Kind.WHOLE: np.iinfo(np.int64).min,
        Kind.FLAG: -1,
        Kind.DIGEST: b"",
        Kind.TEXT: -1,
        Kind.TERMS: 0,
    }
)

TERMS = "terms"
"""The field that a store adds to what a memory says of itself: the heaviest terms of its sparse vector."""

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "created_at": Kind.TIME,
        "access_count": Kind.WHOLE,
        "importance": Kind.WHOLE,
        "tokens.count": Kind.WHOLE,
        "tokens.line": Kind.WHOLE,
        "tokens.tokenizer": Kind.TEXT,
        "content_hash": Kind.DIGEST,
        "speaker": Kind.TEXT,
        "due_at": Kind.TIME,
        "status": Kind.TEXT,
        "priority": Kind.WHOLE,
        "last_used_at": Kind.TIME,
        "todo_id": Kind.TEXT,
        "session_id": Kind.TEXT,
        "seq": Kind.WHOLE,
        "live": Kind.FLAG,
        "gives_value": Kind.FLAG,
        "valid_to": Kind.TIME,
        "expires_at": Kind.TIME,
        TERMS: Kind.TERMS,
    }
)
"""Every field by its path in a payload. A field that ranking comes to need is a row here."""

COLUMN_FIELDS: tuple[str, ...] = tuple(dict.fromkeys(path.partition(".")[0] for path in KINDS))
"""The top-level payload fields of these; the text of a memory is read for the winners only."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The light fields of `count` memories. columns: by path, one that no memory has left out. tables: of the texts.

    places: where in the columns the memories are, None where they are all of them, in their order. So to take some
    memories moves no column; one is moved when it is asked for.
    """

    count: int
    columns: Mapping[str, Column] = field(default_factory=dict)
    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    places: NDArray[np.intp] | None = None

    @classmethod
    def of(cls, payloads: Sequence[Mapping[str, Any]]) -> Columns:
        """The columns of memories with these payloads, whole or light."""
        columns: dict[str, Column] = {}
        tables: dict[str, Sequence[str]] = {}
        for path, kind in KINDS.items():
            values = values_at(path, payloads)
            if all(value is None for value in values):
                continue
            if kind is Kind.TEXT:
                places = {text: place for place, text in enumerate(dict.fromkeys(v for v in values if v is not None))}
                tables[path] = tuple(places)
                columns[path] = np.array([-1 if v is None else places[v] for v in values], dtype=DTYPES[kind])
            else:
                columns[path] = column_of(kind, values)
        return cls(len(payloads), columns, tables)

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """The memories of all `parts`, one part after the other."""
        columns: dict[str, Column] = {}
        tables: dict[str, Sequence[str]] = {}
        for path in KINDS:
            if any(path in part.columns for part in parts):
                own = [part.column(path) for part in parts]
                if KINDS[path] is Kind.TEXT:
                    own, tables[path] = _one_table(own, [part.tables.get(path, ()) for part in parts])
                columns[path] = np.concatenate(own)
        return cls(sum(part.count for part in parts), columns, tables)

    def column(self, path: str) -> Column:
        """The values of a field, shape (count,); marked as none where a memory has none."""
        known = self.columns.get(path)
        if known is None:
            return np.full(self.count, NONE[KINDS[path]], dtype=DTYPES[KINDS[path]])
        return known if self.places is None else known[self.places]

    def wholes(self, path: str, default: int) -> NDArray[np.int64]:
        """The numbers of a field, `default` where there is none."""
        given: NDArray[np.int64] = self.column(path)
        return np.where(given == NONE[Kind.WHOLE], default, given)

    def known(self, path: str) -> NDArray[np.bool_]:
        """Which memories have a field."""
        kind, given = KINDS[path], self.column(path)
        known: NDArray[np.bool_] = ~np.isnat(given) if kind is Kind.TIME else given != NONE[kind]
        return known

    def where(self, path: str, holds: Callable[[str], bool]) -> NDArray[np.bool_]:
        """Which memories have a text of which `holds` says so; it is asked once a text."""
        held = np.array([*map(holds, self.tables.get(path, ())), False], dtype=np.bool_)
        return held[self.column(path)]  # the last one is that of none, which -1 finds

    def take(self, places: NDArray[Any]) -> Columns:
        """The memories at these places, in this order."""
        return Columns(len(places), self.columns, self.tables, places if self.places is None else self.places[places])

    def changed(self, path: str, column: Column) -> Columns:
        """The same memories with other values of a field that is no text."""
        return Columns(self.count, {**{one: self.column(one) for one in self.columns}, path: column}, self.tables)

    def payload(self, place: int) -> dict[str, Any]:
        """The light payload of one memory, as in `Memory.to_payload`."""
        made: dict[str, Any] = {}
        at = place if self.places is None else self.places[place]
        for path, column in self.columns.items():
            value = _plain(KINDS[path], column[at], self.tables.get(path, ()))
            if value is not None:
                outer, _, inner = path.partition(".")
                if inner:
                    made.setdefault(outer, {})[inner] = value
                else:
                    made[path] = value
        return made


def values_at(path: str, payloads: Iterable[Mapping[str, Any]]) -> list[Any]:
    """What each payload has at `path`; None where it has nothing."""
    outer, _, inner = path.partition(".")
    values = [payload.get(outer) for payload in payloads]
    return [None if value is None else value.get(inner) for value in values] if inner else values


def column_of(kind: Kind, values: Sequence[Any]) -> Column:
    """The column of plain values of any kind but text."""
    if kind is Kind.TIME:
        # Read all at once: numpy reads a thousand times in the time that datetime takes for a hundred.
        return np.array(["NaT" if value is None else value.removesuffix("Z") for value in values], dtype=DTYPES[kind])
    if kind is Kind.DIGEST:
        return np.array([b"" if value is None else value.encode() for value in values], dtype=DTYPES[kind])
    if kind is Kind.TERMS:
        return terms.column(values)
    return np.array([NONE[kind] if value is None else value for value in values], dtype=DTYPES[kind])


def _plain(kind: Kind, value: Any, table: Sequence[str]) -> Any:
    """`value` as a payload has it; None for none."""
    if kind is Kind.TIME:
        return None if np.isnat(value) else rfc3339(value.astype(datetime).replace(tzinfo=UTC))
    if kind is Kind.TERMS:
        return terms.told(value)
    if value == NONE[kind]:
        return None
    if kind is Kind.TEXT:
        return table[value]
    if kind is Kind.DIGEST:
        return value.decode()
    return bool(value) if kind is Kind.FLAG else int(value)


def _one_table(codes: Sequence[Column], tables: Sequence[Sequence[str]]) -> tuple[list[Column], tuple[str, ...]]:
    """The codes of all parts as places in one table of their texts."""
    places: dict[str, int] = {}
    moved: list[Column] = []
    for own, table in zip(codes, tables, strict=True):
        # The last of the new places is that of none, which -1 finds.
        new = np.array([*(places.setdefault(text, len(places)) for text in table), -1], dtype=DTYPES[Kind.TEXT])
        moved.append(new[own])
    return moved, tuple(places)

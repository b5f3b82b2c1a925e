"""Column values that were read or written before, as columns from which a search takes its rows.

Reading a payload costs the engine several microseconds and a search needs thousands of them, which made them the
larger part of every search. The engine process is the only writer of its shards, so it knows what has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from memtypes.search.columns import COLUMN_FIELDS, DTYPES, KINDS, NONE, Column, Columns, Kind, column_of, values_at
from memtypes.stores.edge.sidecar.row_allocator import Rows, grown
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.operations.conditions import Condition
from memtypes.stores.operations.engine import Change, ExistingColumns, PutPoints, SetFields

LIMIT = 500_000
"""Memories of one type that are remembered: some 100 MB."""

KEPT = 0.75
"""The part that stays when the limit is passed, the newest; so that room is not made for one at a time."""

ReadPayloads: TypeAlias = Callable[[Slots, tuple[str, ...]], Mapping[int, Mapping[str, Any]]]
"""Payloads by slot, of these slots and with these fields."""


class Texts:
    """Every text that a column ever had, each once."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = list(texts)
        self._codes = {text: code for code, text in enumerate(self._texts)}

    def codes(self, values: Sequence[str | None]) -> list[int]:
        """The place of each text; -1 for none."""
        return [-1 if value is None else self._code(value) for value in values]

    def those_of(self, codes: Column) -> tuple[Column, list[str]]:
        """The texts of `codes` as a table of their own, and the codes as places in it."""
        used, places = np.unique(codes, return_inverse=True)
        absent = int(len(used) > 0 and used[0] == -1)
        table = [self._texts[code] for code in used[absent:].tolist()]
        return (places - absent).astype(DTYPES[Kind.TEXT]), table

    def _code(self, text: str) -> int:
        code = self._codes.setdefault(text, len(self._texts))
        if code == len(self._texts):
            self._texts.append(text)
        return code


class ColumnCache:
    """The light payloads of one shard's points. read_payloads: how those that are unknown are read.

    A memory has a row in every column. A column is there from the first memory on that has something in it.
    """

    def __init__(self, read_payloads: ReadPayloads, limit: int = LIMIT) -> None:
        self._read_payloads = read_payloads
        self._limit = limit
        self._rows = Rows()
        self._columns: dict[str, Column] = {}
        self._texts = {path: Texts() for path, kind in KINDS.items() if kind is Kind.TEXT}

    def __len__(self) -> int:
        return len(self._rows)

    def full(self, count: int) -> bool:
        """Whether no more of `count` memories could be remembered."""
        return len(self) >= min(count, self._limit)

    def read(self, slots: Slots) -> ExistingColumns:
        """Which of `slots` exist, and the columns of those."""
        rows = self._rows.of(slots)
        unread = slots[rows < 0]
        if len(unread):
            self._add(self._read_payloads(unread, COLUMN_FIELDS))
            rows = self._rows.of(slots)
        found = rows >= 0
        light = self._light(rows if found.all() else rows[found])
        self._drop_oldest()
        return ExistingColumns(found, light)

    def learn(self, payloads: Iterable[tuple[int, Mapping[str, Any]]]) -> bool:
        """Whether there is room for more, once these payloads, whole or light, are remembered."""
        self._add(dict(payloads))
        room = len(self._rows) < self._limit
        self._drop_oldest()
        return room

    def follow(self, change: Change, slots: Slots | None) -> None:
        """Know what a made `change` has set or put, and drop what it may have touched besides.

        slots: of what it was about; None where nobody knows.
        """
        if isinstance(change, PutPoints) and slots is not None:
            self.learn(zip(slots.tolist(), (point.payload for point in change.points), strict=True))
        elif isinstance(change, SetFields) and slots is not None and _unconditional(change.where):
            # A plan names only what it has found in its scope, in the same breath: all of these are changed.
            rows = self._rows.of(slots)
            paths = [path for path in KINDS if path.partition(".")[0] in change.fields]
            self._set(rows[rows >= 0], paths, [change.fields])
        else:
            self.forget(slots)

    def forget(self, slots: Slots | None) -> None:
        """Drop the memories of these slots; all where it is None."""
        if slots is None:
            self._rows = Rows()
        else:
            self._rows.take_back(slots)

    def everything(self) -> tuple[Slots, Columns]:
        """The slots of all that is remembered, what was learnt last standing last, and their columns."""
        slots = self._rows.slots()
        return slots, self._light(self._rows.of(slots))

    def recall(self, slots: Slots, light: Columns) -> None:
        """Remember what another cache had, its `everything`, instead of what this one has."""
        self._rows = Rows()
        self._rows.give(slots)  # an empty one gives them in their order
        self._columns = dict(light.columns)
        self._texts |= {path: Texts(table) for path, table in light.tables.items()}

    def renumber(self, moved: Slots) -> None:
        """Take the slots of a shard that was written anew. moved: the new one of each old one, -1 for none."""
        self._rows.renumber(moved)

    def _add(self, payloads: Mapping[int, Mapping[str, Any]]) -> None:
        rows = self._rows.give(slots_of(payloads))
        self._set(rows, KINDS, list(payloads.values()))

    def _set(self, rows: NDArray[np.int64], paths: Iterable[str], payloads: Sequence[Mapping[str, Any]]) -> None:
        """Put what the payloads have at these paths in their rows; one payload may be that of all."""
        for path in paths:
            kind, values = KINDS[path], values_at(path, payloads)
            if path not in self._columns and all(value is None for value in values):
                continue
            column = self._columns.get(path, np.empty(0, DTYPES[kind]))
            if len(column) < self._rows.used:
                column = grown(column, self._rows.size, NONE[kind])
            column[rows] = self._texts[path].codes(values) if kind is Kind.TEXT else column_of(kind, values)
            self._columns[path] = column

    def _light(self, rows: NDArray[np.int64]) -> Columns:
        """The columns of these rows, without those in which no row has anything."""
        columns: dict[str, Column] = {}
        tables: dict[str, Sequence[str]] = {}
        for path in (one for one in KINDS if one in self._columns):
            kind = KINDS[path]
            own = self._columns[path][rows]
            if (np.isnat(own) if kind is Kind.TIME else own == NONE[kind]).all():
                continue
            if kind is Kind.TEXT:
                own, tables[path] = self._texts[path].those_of(own)
            columns[path] = own
        return Columns(len(rows), columns, tables)

    def _drop_oldest(self) -> None:
        if len(self._rows) > self._limit:
            kept = self._rows.keep_newest(max(1, int(self._limit * KEPT)))
            self._columns = {path: column[kept] for path, column in self._columns.items()}


def _unconditional(where: Condition) -> bool:
    """Whether `where` asks for nothing but the scope and the ids."""
    return all("has_id" in part or part.get("key") in ("tenant", "namespace") for part in where.get("must", ({},)))

"""Cache of payload fields for searches: for each field an array (column), indexed by slot (point
number). Which fields these are is a setting of the store.

The engine takes microseconds to read a payload, and a search needs the fields of thousands of
memories. The worker is the only writer of its shards, so each change can update the cache.
A memory takes about 290 bytes with the columns of retrieval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.search.columns import Column, ColumnKind, ColumnKinds, Columns, column_of, values_at
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.operations.conditions import Condition
from memtypes.stores.operations.vector_engine import (
    Change,
    ExistingColumns,
    Payload,
    PutPoints,
    SetFields,
)

_INITIAL_ROWS = 1_024
"""Number of rows for which the cache of a memory type has room at first."""


class _Texts:
    """The distinct texts of a text column. The column itself contains integer codes, which stand
    for the texts.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._codes: dict[str, int] = {}

    def codes(self, values: Sequence[str | None]) -> list[int]:
        """The code of each text; -1 for None. A text that has no code yet gets a new one."""
        return [-1 if value is None else self._code(value) for value in values]

    def table(self, codes: Column) -> tuple[Column, list[str]]:
        """The texts that `codes` stand for, each once, and for each code its index in this list; -1
        for no text.
        """
        occurring = np.unique(codes)
        positions = np.searchsorted(occurring, codes)
        has_none = int(len(occurring) > 0 and occurring[0] == -1)
        table = [self._texts[code] for code in occurring[has_none:].tolist()]
        return (positions - has_none).astype(ColumnKind.TEXT.dtype), table

    def _code(self, text: str) -> int:
        code = self._codes.setdefault(text, len(self._texts))
        if code == len(self._texts):
            self._texts.append(text)
        return code


@dataclass(slots=True, eq=False)
class _TypeColumns:
    """The cache of a memory type. empty_row: the row of a memory without values. cached: which
    slots have a cached row. used: fields of which a row has a value.
    """

    empty_row: NDArray[Any]
    cached: NDArray[np.bool_]
    rows: NDArray[Any]
    used: set[str]

    @classmethod
    def empty(cls, empty_row: NDArray[Any]) -> _TypeColumns:
        cached = np.zeros(_INITIAL_ROWS, dtype=np.bool_)
        return cls(empty_row, cached, np.repeat(empty_row, _INITIAL_ROWS), set())

    def are_cached(self, slots: Slots) -> NDArray[np.bool_]:
        self.reserve(slots)
        return self.cached[slots]

    def reserve(self, slots: Slots) -> None:
        """Enlarge the arrays so that they have rows for these slots (point numbers)."""
        size = int(slots.max(initial=-1)) + 1
        if size > len(self.cached):
            added = size + size // 4 - len(self.cached)
            self.cached = np.concatenate([self.cached, np.zeros(added, dtype=np.bool_)])
            self.rows = np.concatenate([self.rows, np.repeat(self.empty_row, added)])

    def take(self, slots: Slots) -> NDArray[np.uint8]:
        """The cached rows of these slots (point numbers) as bytes, shape (slots, bytes of a
        row).
        """
        return self.rows.view(np.uint8).reshape(len(self.rows), -1).take(slots, axis=0)


class ColumnCache:
    """Caches the payload fields `kinds`. read_payloads: reads the payloads of uncached memories."""

    def __init__(
        self,
        kinds: ColumnKinds,
        read_payloads: Callable[[MemoryType, Slots], Mapping[int, Payload]],
    ) -> None:
        self._kinds = kinds
        self._read_payloads = read_payloads
        self._empty_row = _empty_row(kinds)
        self._types = {kind: _TypeColumns.empty(self._empty_row) for kind in MemoryType}
        self._texts = {path: _Texts() for path, kind in kinds.items() if kind.has_table}

    def read(self, slots: Mapping[MemoryType, Slots]) -> ExistingColumns:
        """Return which of these slots (point numbers) have a memory, and the memories' fields.
        Fills the cache.
        """
        for kind, requested in slots.items():
            missing = self.uncached(kind, requested)
            if len(missing):
                self.add(kind, self._read_payloads(kind, missing).items())
        masks = {kind: self._types[kind].are_cached(requested) for kind, requested in slots.items()}
        exists = np.concatenate(list(masks.values()))
        if not exists.all():
            slots = {kind: requested[masks[kind]] for kind, requested in slots.items()}
        return ExistingColumns(exists, self._gather(slots))

    def uncached(self, kind: MemoryType, slots: Slots) -> Slots:
        """Those of the `slots` (point numbers) whose memories' fields are not cached."""
        return slots[~self._types[kind].are_cached(slots)]

    def add(self, kind: MemoryType, payloads: Iterable[tuple[int, Payload]]) -> None:
        """Cache the fields of memories. payloads: (slot, payload) pairs, each with all fields of
        the columns.
        """
        by_slot = dict(payloads)
        slots = slots_of(by_slot)
        self._types[kind].reserve(slots)
        self._set(kind, slots, self._kinds, list(by_slot.values()))
        self._types[kind].cached[slots] = True

    def update(self, kind: MemoryType, change: Change, slots: Slots | None) -> None:
        """Apply a change of the points at `slots` (None: of any) to the cache. Drops fields whose
        value is unknown.
        """
        if isinstance(change, PutPoints) and slots is not None:
            self.add(
                kind, zip(slots.tolist(), (point.payload for point in change.points), strict=True)
            )
        elif isinstance(change, SetFields) and slots is not None and _selects_by_id(change.where):
            paths = [path for path in self._kinds if path.partition(".")[0] in change.fields]
            self._set(kind, slots[self._types[kind].are_cached(slots)], paths, [change.fields])
        else:
            self.invalidate(kind, slots)

    def invalidate(self, kind: MemoryType, slots: Slots | None) -> None:
        """Drop the cached fields of the memories with these slots (point numbers); None drops the
        whole type.
        """
        if slots is None:
            self._types[kind] = _TypeColumns.empty(self._empty_row)
        else:
            self._types[kind].reserve(slots)
            self._types[kind].cached[slots] = False

    def renumber(self, kind: MemoryType, new_slots: Slots) -> None:
        """Move cached fields after a shard was rewritten. new_slots: the new slot of each old one;
        -1 if removed.
        """
        before = self._types[kind]
        after = _TypeColumns.empty(self._empty_row)
        after.reserve(new_slots)
        size = min(len(new_slots), len(before.cached))
        old_slots = np.flatnonzero(before.cached[:size] & (new_slots[:size] >= 0))
        after.rows[new_slots[old_slots]] = before.rows[old_slots]
        after.cached[new_slots[old_slots]] = True
        after.used = before.used
        self._types[kind] = after

    def _gather(self, slots: Mapping[MemoryType, Slots]) -> Columns:
        """The cached fields of the memories with these slots, one type after the other, without
        empty columns.
        """
        rows = np.concatenate(
            [self._types[kind].take(requested) for kind, requested in slots.items()]
        ).view(self._empty_row.dtype)[:, 0]
        used = set().union(*(self._types[kind].used for kind in slots))
        columns: dict[str, Column] = {path: rows[path] for path in self._kinds if path in used}
        tables: dict[str, Sequence[str]] = {}
        for path in self._texts.keys() & used:
            columns[path], tables[path] = self._texts[path].table(columns[path])
        return Columns(len(rows), self._kinds, columns, tables)

    def _set(
        self, kind: MemoryType, slots: Slots, paths: Iterable[str], payloads: Sequence[Payload]
    ) -> None:
        """Write the fields `paths` to cached rows. payloads: one payload for each slot, or one for
        all slots.
        """
        columns = self._types[kind]
        for path in paths:
            column_kind = self._kinds[path]
            values = values_at(path, column_kind, payloads)
            if path not in columns.used and all(value is None for value in values):
                continue
            columns.used.add(path)
            columns.rows[path][slots] = (
                self._texts[path].codes(values)
                if column_kind.has_table
                else column_of(column_kind, values)
            )


def _empty_row(kinds: ColumnKinds) -> NDArray[Any]:
    """An array of one row without values, whose dtype has all fields of one memory. Copying a
    thousand rows is much faster than copying twenty columns.
    """
    dtype = np.dtype([(path, kind.dtype) for path, kind in kinds.items()])
    return np.array([tuple(np.full(kind.dtype.shape, kind.none) for kind in kinds.values())], dtype)


def _selects_by_id(where: Condition) -> bool:
    """True if a condition has only a scope and ids. It selects all ids, as the request has found
    them in the scope.
    """
    return all(
        "has_id" in clause or clause.get("key") in ("tenant", "namespace")
        for clause in where.get("must", ({},))
    )

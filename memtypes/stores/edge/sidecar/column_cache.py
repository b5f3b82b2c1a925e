"""Cache of the payload fields that ranking uses: for each field an array (column), indexed by slot (point number).

Reading a payload costs the engine several microseconds, and a search needs thousands of payloads. The engine process is
the only writer of its shards, so it knows which values have changed. A memory takes about 250 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.search.columns import KINDS, Column, ColumnKind, Columns, column_of, values_at
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.operations.conditions import Condition
from memtypes.stores.operations.engine import Change, ExistingColumns, Payload, PutPoints, SetFields

_LEAST = 1_024
"""Initial number of rows in the cache of one memory type."""

_ROW = np.dtype([(path, kind.dtype) for path, kind in KINDS.items()])
"""Dtype of one memory's fields, side by side: copying a thousand rows is much faster than copying twenty columns."""

_EMPTY_ROW = np.array([tuple(np.full(kind.dtype.shape, kind.none) for kind in KINDS.values())], _ROW)


class _Texts:
    """The distinct texts of a text column. The column contains an integer code instead of each text."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._codes: dict[str, int] = {}

    def codes(self, values: Sequence[str | None]) -> list[int]:
        """The code of each text; -1 for None. A text that has no code yet gets a new one."""
        return [-1 if value is None else self._code(value) for value in values]

    def table(self, codes: Column) -> tuple[Column, list[str]]:
        """Convert `codes` to indices into a list of the texts that occur; return indices and list. -1 is no text."""
        used = np.unique(codes)
        positions = np.searchsorted(used, codes)
        absent = int(len(used) > 0 and used[0] == -1)
        table = [self._texts[code] for code in used[absent:].tolist()]
        return (positions - absent).astype(ColumnKind.TEXT.dtype), table

    def _code(self, text: str) -> int:
        code = self._codes.setdefault(text, len(self._texts))
        if code == len(self._texts):
            self._texts.append(text)
        return code


@dataclass(slots=True, eq=False)
class _TypeColumns:
    """Cached fields of a memory type by slot. known: whether a slot is cached. used: fields that have a value."""

    known: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(_LEAST, dtype=np.bool_))
    rows: NDArray[Any] = field(default_factory=lambda: np.repeat(_EMPTY_ROW, _LEAST))
    used: set[str] = field(default_factory=set)

    def has(self, slots: Slots) -> NDArray[np.bool_]:
        self.reserve(slots)
        return self.known[slots]

    def reserve(self, slots: Slots) -> None:
        """Enlarge the arrays so that they have rows for these slots (point numbers)."""
        size = int(slots.max(initial=-1)) + 1
        if size > len(self.known):
            more = size + size // 4 - len(self.known)
            self.known = np.concatenate([self.known, np.zeros(more, dtype=np.bool_)])
            self.rows = np.concatenate([self.rows, np.repeat(_EMPTY_ROW, more)])

    def take(self, slots: Slots) -> NDArray[np.uint8]:
        """The cached rows of these slots (point numbers) as bytes, shape (slots, bytes of a row)."""
        return self.rows.view(np.uint8).reshape(len(self.rows), -1).take(slots, axis=0)


class ColumnCache:
    """Caches the payload fields that ranking uses. read_payloads: reads the payloads of uncached memories."""

    def __init__(self, read_payloads: Callable[[MemoryType, Slots], Mapping[int, Payload]]) -> None:
        self._read_payloads = read_payloads
        self._types = {kind: _TypeColumns() for kind in MemoryType}
        self._texts = {path: _Texts() for path, kind in KINDS.items() if kind is ColumnKind.TEXT}

    def read(self, slots: Mapping[MemoryType, Slots]) -> ExistingColumns:
        """Return which of these slots (point numbers) have a memory, and the memories' fields, cached or read now."""
        for kind, wanted in slots.items():
            missing = self.unknown(kind, wanted)
            if len(missing):
                self.learn(kind, self._read_payloads(kind, missing).items())
        masks = {kind: self._types[kind].has(wanted) for kind, wanted in slots.items()}
        exists = np.concatenate(list(masks.values()))
        if not exists.all():
            slots = {kind: wanted[masks[kind]] for kind, wanted in slots.items()}
        return ExistingColumns(exists, self._gather(slots))

    def unknown(self, kind: MemoryType, slots: Slots) -> Slots:
        """The `slots` (point numbers) of memories whose fields are not cached."""
        return slots[~self._types[kind].has(slots)]

    def learn(self, kind: MemoryType, payloads: Iterable[tuple[int, Payload]]) -> None:
        """Cache the ranking fields of memories. payloads: (slot, payload) pairs, each with all COLUMN_FIELDS."""
        by_slot = dict(payloads)
        slots = slots_of(by_slot)
        self._types[kind].reserve(slots)
        self._set(kind, slots, KINDS, list(by_slot.values()))
        self._types[kind].known[slots] = True

    def follow(self, kind: MemoryType, change: Change, slots: Slots | None) -> None:
        """Update the cached fields of the changed `slots` (None: of all), or drop them if the change has no values."""
        if isinstance(change, PutPoints) and slots is not None:
            self.learn(kind, zip(slots.tolist(), (point.payload for point in change.points), strict=True))
        elif isinstance(change, SetFields) and slots is not None and _names_all(change.where):
            paths = [path for path in KINDS if path.partition(".")[0] in change.fields]
            self._set(kind, slots[self._types[kind].has(slots)], paths, [change.fields])
        else:
            self.forget(kind, slots)

    def forget(self, kind: MemoryType, slots: Slots | None) -> None:
        """Drop the cached fields of the memories with these slots (point numbers); of all of the type if None."""
        if slots is None:
            self._types[kind] = _TypeColumns()
        else:
            self._types[kind].reserve(slots)
            self._types[kind].known[slots] = False

    def renumber(self, kind: MemoryType, moved: Slots) -> None:
        """Move cached values after a shard was rewritten. moved: the new slot of each old one; -1 if removed."""
        before, after = self._types[kind], _TypeColumns()
        after.reserve(moved)
        size = min(len(moved), len(before.known))
        old = np.flatnonzero(before.known[:size] & (moved[:size] >= 0))
        after.rows[moved[old]] = before.rows[old]
        after.known[moved[old]], after.used = True, before.used
        self._types[kind] = after

    def _gather(self, slots: Mapping[MemoryType, Slots]) -> Columns:
        """The cached fields of the memories with these slots, one type after the other, without empty columns."""
        rows = np.concatenate([self._types[kind].take(wanted) for kind, wanted in slots.items()]).view(_ROW)[:, 0]
        used = set().union(*(self._types[kind].used for kind in slots))
        columns: dict[str, Column] = {path: rows[path] for path in KINDS if path in used}
        tables: dict[str, Sequence[str]] = {}
        for path in self._texts.keys() & used:
            columns[path], tables[path] = self._texts[path].table(columns[path])
        return Columns(len(rows), columns, tables)

    def _set(self, kind: MemoryType, slots: Slots, paths: Iterable[str], payloads: Sequence[Payload]) -> None:
        """Write the fields `paths` to the cached columns. payloads: one for each slot, or one for all slots."""
        types = self._types[kind]
        for path in paths:
            values = values_at(path, payloads)
            if path not in types.used and all(value is None for value in values):
                continue
            types.used.add(path)
            is_text = KINDS[path] is ColumnKind.TEXT
            written = self._texts[path].codes(values) if is_text else column_of(KINDS[path], values)
            types.rows[path][slots] = written


def _names_all(where: Condition) -> bool:
    """Whether a condition is only a scope and ids. As a request has looked these up, it selects them all."""
    return all("has_id" in part or part.get("key") in ("tenant", "namespace") for part in where.get("must", ({},)))

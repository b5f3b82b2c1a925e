"""Light payloads that were read or written before, as columns from which a search takes its rows.

Reading a payload costs the engine several microseconds and a search needs thousands of them, which made them the
larger part of every search. The engine process is the only writer of its shards, so it knows what has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from memtypes.light import DTYPES, KINDS, LIGHT_FIELDS, NONE, Column, Kind, Light, column_of, values_at
from memtypes.stores import steps
from memtypes.stores.conditions import Where
from memtypes.stores.keys import Key, key_of
from memtypes.stores.steps import Seen

LIMIT = 250_000
"""Memories of one type that are remembered: some 100 MB."""

KEPT = 0.75
"""The part that stays when the limit is passed, the newest; so that room is not made for one at a time."""

ReadPayloads: TypeAlias = Callable[[list[Key], list[str]], Mapping[Key, Mapping[str, Any]]]
"""Payloads by key, of these keys and with these fields."""


class Texts:
    """Every text that a column ever had, each once."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._texts: list[str] = []

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


class GlanceCache:
    """The light payloads of one shard's points. read_payloads: how those that are unknown are read."""

    def __init__(self, read_payloads: ReadPayloads, limit: int = LIMIT) -> None:
        self._read_payloads = read_payloads
        self._limit = limit
        self._rows: dict[Key, int] = {}
        self._free: list[int] = []
        self._columns: dict[str, Column] = {path: np.empty(0, DTYPES[kind]) for path, kind in KINDS.items()}
        self._texts = {path: Texts() for path, kind in KINDS.items() if kind is Kind.TEXT}

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, keys: Sequence[Key]) -> Seen:
        """Which of `keys` exist, and the columns of those."""
        unread = [one for one in keys if one not in self._rows]
        if unread:
            self._add(self._read_payloads(unread, list(LIGHT_FIELDS)))
        rows = np.array([self._rows.get(one, -1) for one in keys], dtype=np.int64)
        found = rows >= 0
        light = self._light(rows[found])
        self._drop_oldest()
        return Seen(found, light)

    def learn(self, payloads: Iterable[tuple[Key, Mapping[str, Any]]]) -> bool:
        """Whether there is room for more, once these payloads, whole or light, are remembered."""
        self._add(dict(payloads))
        room = len(self._rows) < self._limit
        self._drop_oldest()
        return room

    def follow(self, change: steps.Change) -> None:
        """Set what a made `change` has set of the points that it names; of any other, drop what it may have touched."""
        keys = named(change.where)
        if not isinstance(change, steps.SetFields) or keys is None or not _unconditional(change.where):
            self.forget(change)
            return
        # A plan names only what it has found in its scope, in the same breath: all of these are changed.
        rows = np.array([self._rows[one] for one in keys if one in self._rows], dtype=np.int64)
        for path, kind in KINDS.items():
            if path.partition(".")[0] in change.fields:
                self._columns[path][rows] = self._column(path, kind, values_at(path, [change.fields]))

    def forget(self, change: steps.Change) -> None:
        """Drop what `change` may touch: the points that it names, or everything when it names none."""
        keys = [key_of(point.id) for point in change.points] if isinstance(change, steps.Put) else named(change.where)
        for one in list(self._rows) if keys is None else keys:
            row = self._rows.pop(one, None)
            if row is not None:
                self._free.append(row)

    def _add(self, payloads: Mapping[Key, Mapping[str, Any]]) -> None:
        """Put each in its row: the one that it has, one that is free, or a new one."""
        rows = np.array([self._row(one) for one in payloads], dtype=np.int64)
        given = list(payloads.values())
        for path, kind in KINDS.items():
            self._columns[path][rows] = self._column(path, kind, values_at(path, given))

    def _column(self, path: str, kind: Kind, values: list[Any]) -> Column | list[int]:
        return self._texts[path].codes(values) if kind is Kind.TEXT else column_of(kind, values)

    def _row(self, one: Key) -> int:
        row = self._rows.pop(one, None)  # what was learnt last stands last, and so stays longest
        if row is None:
            row = self._free.pop() if self._free else len(self._rows)
        self._rows[one] = row
        if row >= len(self._columns["created_at"]):
            self._grow(max(1_024, 2 * row))
        return row

    def _grow(self, size: int) -> None:
        for path, column in self._columns.items():
            more = np.full(size - len(column), NONE[KINDS[path]], dtype=DTYPES[KINDS[path]])
            self._columns[path] = np.concatenate([column, more])

    def _light(self, rows: NDArray[np.int64]) -> Light:
        """The columns of these rows, without those in which no row has anything."""
        columns: dict[str, Column] = {}
        tables: dict[str, Sequence[str]] = {}
        for path, whole in self._columns.items():
            kind = KINDS[path]
            own = whole[rows]
            if (np.isnat(own) if kind is Kind.TIME else own == NONE[kind]).all():
                continue
            if kind is Kind.TEXT:
                own, tables[path] = self._texts[path].those_of(own)
            columns[path] = own
        return Light(len(rows), columns, tables)

    def _drop_oldest(self) -> None:
        if len(self._rows) > self._limit:
            kept = list(self._rows)[-max(1, int(self._limit * KEPT)) :]
            rows = np.array([self._rows[one] for one in kept], dtype=np.int64)
            self._columns = {path: column[rows] for path, column in self._columns.items()}
            self._rows = {one: row for row, one in enumerate(kept)}
            self._free.clear()


def named(where: Where) -> list[Key] | None:
    """The keys of the only ids that can meet `where`, or None when it does not say."""
    for part in where.get("must", ()):
        if "has_id" in part:
            return [key_of(one) for one in part["has_id"]]
    return None


def _unconditional(where: Where) -> bool:
    """Whether `where` asks for nothing but the scope and the ids."""
    return all("has_id" in part or part.get("key") in ("tenant", "namespace") for part in where.get("must", ({},)))

"""Which row of a cache's columns each slot has. Knows neither columns nor memories."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtypes.stores.edge.sidecar.slots import Slots

_NONE = -1
_LEAST = 1_024


class Rows:
    """Rows that are given to slots, those that were taken back first."""

    def __init__(self) -> None:
        self._row_of = np.empty(0, dtype=np.int64)  # by slot
        self._slot_of = np.empty(0, dtype=np.int64)  # by row
        self._given_at = np.empty(0, dtype=np.int64)  # by row
        self._free: list[int] = []
        self._used = 0
        self._clock = 0

    def __len__(self) -> int:
        return self._used - len(self._free)

    @property
    def used(self) -> int:
        """Rows that a column must have."""
        return self._used

    @property
    def size(self) -> int:
        """Rows that there are before more must be made."""
        return len(self._slot_of)

    def of(self, slots: Slots) -> NDArray[np.int64]:
        """The row of each slot; -1 where it has none."""
        last = int(slots.max(initial=-1))
        if last >= len(self._row_of):
            self._row_of = grown(self._row_of, max(_LEAST, last + last // 4 + 1), _NONE)
        return self._row_of[slots]

    def give(self, slots: Slots) -> NDArray[np.int64]:
        """The row of each slot, which it has from now on. Each slot is named once."""
        rows = self.of(slots)
        without = np.flatnonzero(rows < 0)
        rows[without] = self._take(len(without))
        self._row_of[slots] = rows
        self._slot_of[rows] = slots
        self._given_at[rows] = np.arange(self._clock, self._clock + len(rows))
        self._clock += len(rows)
        return rows

    def take_back(self, slots: Slots) -> None:
        """Have the rows of these slots for others."""
        rows = self.of(slots)
        self._row_of[slots] = _NONE
        self._release(rows[rows >= 0])

    def slots(self) -> Slots:
        """The slots that have a row, those that got theirs last standing last."""
        return self._slot_of[self._in_order()]

    def keep_newest(self, count: int) -> NDArray[np.int64]:
        """The rows that were given last, in this order; from now on they are the only ones, numbered from 0."""
        kept = self._in_order()[-count:]
        self._slot_of, self._given_at = self._slot_of[kept], self._given_at[kept]
        self._row_of[:] = _NONE
        self._row_of[self._slot_of] = np.arange(len(kept))
        self._used, self._free = len(kept), []
        return kept

    def renumber(self, moved: Slots) -> None:
        """Give every row to another slot. moved: the new slot of each old one, -1 for none."""
        rows = np.flatnonzero(self._slot_of >= 0)
        slots = moved[self._slot_of[rows]]
        self._row_of = np.full(int(slots.max(initial=-1)) + 1, _NONE, dtype=np.int64)
        self._row_of[slots[slots >= 0]] = rows[slots >= 0]
        self._slot_of[rows] = slots
        self._release(rows[slots < 0])

    def _in_order(self) -> NDArray[np.int64]:
        used = np.flatnonzero(self._slot_of >= 0)
        return used[np.argsort(self._given_at[used])]

    def _take(self, count: int) -> list[int]:
        """So many rows that nobody has."""
        again = [self._free.pop() for _ in range(min(count, len(self._free)))]
        first = self._used
        self._used += count - len(again)
        if self._used > self.size:
            size = max(_LEAST, self._used + self._used // 4)
            self._slot_of, self._given_at = (grown(one, size, _NONE) for one in (self._slot_of, self._given_at))
        return [*again, *range(first, self._used)]

    def _release(self, rows: NDArray[np.int64]) -> None:
        self._slot_of[rows] = _NONE
        self._free += rows.tolist()


def grown(array: NDArray[Any], size: int, fill: Any) -> NDArray[Any]:
    """`array` with more rows, so that it has `size` of them."""
    more = np.full((size - len(array), *array.shape[1:]), fill, dtype=array.dtype)
    return np.concatenate([array, more])

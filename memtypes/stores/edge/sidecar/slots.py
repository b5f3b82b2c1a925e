"""Slots: the numbers that identify memories in a shard's engine. A shard never assigns a slot twice.

The engine creates a Python object for every UUID in an answer, which took a third of every search. A number costs
nothing, and is an index into the sidecar's arrays. The slot file has the 16 bytes of each slot's memory id. It is
written before the engine's point, so a slot may have no point, but a point has no slot only after a power cut (see
`Shard`). Removed ids become zeros. A rewritten shard has no gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from memtypes.stores.edge.sidecar.array_files import RowFile
from memtypes.stores.operations.uuids import ID, Ids, ids_of

Slots: TypeAlias = NDArray[np.int64]

DIRECTORY = "slots"
"""Name of the subdirectory of a shard's directory that contains the slot file."""

RECENT = 1 << 16
"""New slots are in a dictionary. When it has more entries than this, they are moved to the sorted index of ids."""


class SlotFile:
    """File with the memory id of each slot (point number) of a shard, and an index from ids to slots."""

    def __init__(self, shard: Path) -> None:
        self.directory = shard / DIRECTORY
        self._file = RowFile(self.directory / "ids.bin", ID)
        self._index()

    def __len__(self) -> int:
        return len(self._file)

    def places(self, ids: Ids) -> Slots:
        """The slot (point number) of each memory id; -1 for an id that has no slot."""
        slots = np.full(len(ids), -1, dtype=np.int64)
        if len(self._sorted):
            last = np.searchsorted(self._sorted, ids, side="right") - 1
            indexed = self._order[np.maximum(last, 0)]
            slots = np.where(self._file.rows[indexed] == ids, indexed, slots)  # it may have been removed since
        if self._recent:
            for place, memory_id in enumerate(ids.tolist()):
                slots[place] = self._recent.get(memory_id, slots[place])
        return slots

    def known(self, texts: Sequence[str]) -> Slots:
        """The slots (point numbers) of the memory ids in `texts`. Ids without a slot are left out."""
        slots = self.places(ids_of(texts))
        return slots[slots >= 0]

    def claim(self, ids: Ids) -> Slots:
        """The slot (point number) of each memory id. An id that has no slot is assigned a new one."""
        slots = self.places(ids)
        missing = ids[slots < 0]
        if not len(missing):
            return slots
        _, first = np.unique(missing, return_index=True)
        new = missing[np.sort(first)]  # in order: what is written together stays together
        start = self._file.append(new)
        self._recent.update(zip(new.tolist(), range(start, start + len(new)), strict=True))
        if len(self._recent) > RECENT:
            self._index()
        return self.places(ids)

    def ids(self, slots: Slots) -> Ids:
        """The memory id of each slot (point number); zeros for a removed memory."""
        return self._file.rows[slots]

    def used(self) -> Slots:
        """The slots (point numbers) that have a memory id."""
        return np.flatnonzero(self._file.rows != b"")

    def doubtful(self) -> Slots:
        """Slots (point numbers) with no id, or with the same id as another slot. A power cut can cause both."""
        shared = self._sorted[:-1] == self._sorted[1:]
        return np.unique(np.concatenate([self._empty, self._order[:-1][shared], self._order[1:][shared]]))

    def settle(self, doubtful: Slots, known: Mapping[int, str]) -> None:
        """Store the ids of the slots (point numbers) in `known`, and clear the ids of all other `doubtful` slots."""
        lost = np.setdiff1d(doubtful, slots_of(known))
        if known or len(np.setdiff1d(lost, self._empty)):
            self._file.put(lost, np.zeros(len(lost), ID))
            self._file.put(slots_of(known), ids_of(known.values()))
            self._index()

    def remove(self, slots: Slots) -> None:
        """Free these slots (numbers of points in the sidecar): overwrite their memory ids in the file with zeros."""
        for memory_id in self.ids(slots).tolist():
            self._recent.pop(memory_id, None)
        self._file.put(slots, np.zeros(len(slots), ID))

    def close(self) -> None:
        """Close the file of memory ids."""
        self._file.close()

    def _index(self) -> None:
        """Build the sorted index from memory ids to slots. Ids added later go to the dictionary `_recent`."""
        rows = self._file.rows
        used, self._empty = np.flatnonzero(rows != b""), np.flatnonzero(rows == b"")
        self._order = used[np.argsort(rows[used], kind="stable")]
        self._sorted = rows[self._order]
        self._recent: dict[bytes, int] = {}


def slots_of(numbers: Iterable[int]) -> Slots:
    """Slots (point numbers) as an array."""
    return np.fromiter(numbers, dtype=np.int64)

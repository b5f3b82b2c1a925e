"""Slots: the numbers that identify points (memories) in a shard's engine. A shard never assigns a
slot twice.

If UUIDs identified the points, the engine would create a Python object for each UUID in an answer,
which took a third of every search. A slot is also an index into the sidecar's arrays. The slot file
has, for each slot, the 16 bytes of its memory's id, or zeros if the memory was removed. It is
written before the point: so a slot may lack its point, but a point lacks its slot only after a
power cut (see `Shard`). A rewritten shard has no slots of removed memories.
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
"""New slots are looked up in a dictionary. When it exceeds this size, the sorted index of ids is
built again.
"""


class SlotFile:
    """File with the memory id of each slot (point number) of a shard, and an index from ids to
    slots.
    """

    def __init__(self, shard: Path) -> None:
        self.directory = shard / DIRECTORY
        self._file = RowFile(self.directory / "ids.bin", ID)
        self._index()

    def __len__(self) -> int:
        return len(self._file)

    def lookup(self, ids: Ids) -> Slots:
        """Find the slot (point number) of each memory id; -1 for an id that has no slot."""
        slots = np.full(len(ids), -1, dtype=np.int64)
        if len(self._sorted):
            positions = np.searchsorted(self._sorted, ids, side="right") - 1
            candidates = self._order[np.maximum(positions, 0)]
            # Not if removed after indexing
            slots = np.where(self._file.rows[candidates] == ids, candidates, slots)
        if self._recent:
            for position, memory_id in enumerate(ids.tolist()):
                slots[position] = self._recent.get(memory_id, slots[position])
        return slots

    def existing(self, texts: Sequence[str]) -> Slots:
        """The slots (point numbers) of those memory ids that have one. texts: the ids as UUID
        strings.
        """
        slots = self.lookup(ids_of(texts))
        return slots[slots >= 0]

    def claim(self, ids: Ids) -> Slots:
        """Return the slot (point number) of each memory id. Assigns a new slot to an id that has
        none.
        """
        slots = self.lookup(ids)
        unassigned = ids[slots < 0]
        if not len(unassigned):
            return slots
        _, first = np.unique(unassigned, return_index=True)
        # In the order of `ids`, so that memories written together are adjacent
        new = unassigned[np.sort(first)]
        start = self._file.append(new)
        self._recent.update(zip(new.tolist(), range(start, start + len(new)), strict=True))
        if len(self._recent) > RECENT:
            self._index()
        return self.lookup(ids)

    def ids(self, slots: Slots) -> Ids:
        """The memory id of each slot (point number); zeros for a removed memory."""
        return self._file.rows[slots]

    def used(self) -> Slots:
        """The slots (point numbers) that have a memory id."""
        return np.flatnonzero(self._file.rows != b"")

    def doubtful(self) -> Slots:
        """Slots (point numbers) with no id, or with the same id as another slot. A power cut can
        cause both.
        """
        repeated = self._sorted[:-1] == self._sorted[1:]
        return np.unique(
            np.concatenate([self._empty, self._order[:-1][repeated], self._order[1:][repeated]])
        )

    def repair(self, doubtful: Slots, ids: Mapping[int, str]) -> None:
        """Store the memory ids in `ids`, by slot (point number). Clear the ids of all other
        `doubtful` slots.
        """
        without_id = np.setdiff1d(doubtful, slots_of(ids))
        if ids or len(np.setdiff1d(without_id, self._empty)):
            self._file.put(without_id, np.zeros(len(without_id), ID))
            self._file.put(slots_of(ids), ids_of(ids.values()))
            self._index()

    def remove(self, slots: Slots) -> None:
        """Overwrite the memory ids of these slots (point numbers) with zeros. The slots are not
        assigned again.
        """
        for memory_id in self.ids(slots).tolist():
            self._recent.pop(memory_id, None)
        self._file.put(slots, np.zeros(len(slots), ID))

    def close(self) -> None:
        """Close the file of memory ids."""
        self._file.close()

    def _index(self) -> None:
        """Build the sorted index from memory ids to slots. Ids that are added later go to the
        dictionary `_recent`.
        """
        rows = self._file.rows
        used = np.flatnonzero(rows != b"")
        self._empty = np.flatnonzero(rows == b"")
        self._order = used[np.argsort(rows[used], kind="stable")]
        self._sorted = rows[self._order]
        self._recent: dict[bytes, int] = {}


def slots_of(numbers: Iterable[int]) -> Slots:
    """Convert slots (point numbers) to an array."""
    return np.fromiter(numbers, dtype=np.int64)

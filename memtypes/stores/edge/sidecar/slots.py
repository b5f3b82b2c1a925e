"""Slots: the number by which a shard's engine knows a memory, given once and never again while the shard lasts.

The engine makes a Python object for every UUID that it answers with, which took a third of every search; a number costs
nothing, and finds whatever else is kept of a memory in an array. The file holds the 16 bytes of an id for each slot. It
is written before the engine's point, so a slot may have no point, which harms nobody; but no point is without its slot,
unless a power cut took that (see `Shard`). What is removed becomes zeros; a shard that is written anew has no gaps.
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
"""Where in a shard's directory the file is; nothing else is there."""

RECENT = 1 << 16
"""Slots that are found by a dictionary; before it takes as much memory as the rest, they are sorted in with that."""


class SlotFile:
    """The slots of one shard. One process writes it: the engine's."""

    def __init__(self, shard: Path) -> None:
        self.directory = shard / DIRECTORY
        self._file = RowFile(self.directory / "ids.bin", ID)
        self._index()

    def __len__(self) -> int:
        return len(self._file)

    def find(self, texts: Sequence[str]) -> Slots:
        """The slot of each id; -1 where there is none."""
        return self.places(ids_of(texts))

    def places(self, ids: Ids) -> Slots:
        """The same of ids in their other form."""
        found = self._looked_up(ids)
        if self._recent:
            for place, one in enumerate(ids.tolist()):
                found[place] = self._recent.get(one, found[place])
        return found

    def known(self, texts: Sequence[str]) -> Slots:
        """The slots of those ids that have one."""
        found = self.find(texts)
        return found[found >= 0]

    def claim(self, texts: Sequence[str]) -> Slots:
        """The slot of each id, a new one where it has none."""
        return self.claim_ids(ids_of(texts))

    def claim_ids(self, ids: Ids) -> Slots:
        """The same of ids in their other form."""
        found = self.places(ids)
        missing = ids[found < 0]
        if not len(missing):
            return found
        _, first = np.unique(missing, return_index=True)
        new = missing[np.sort(first)]  # as they come: what is written together stays together
        start = self._file.append(new)
        self._recent.update(zip(new.tolist(), range(start, start + len(new)), strict=True))
        if len(self._recent) > RECENT:
            self._index()
        return self.places(ids)

    def ids(self, slots: Slots) -> Ids:
        """The id of each slot; zeros for one that was removed."""
        return self._file.rows[slots]

    def used(self) -> Slots:
        """The slots that have an id."""
        return np.flatnonzero(self._file.rows != b"")

    def doubtful(self) -> Slots:
        """The slots without an id, and those that share theirs with another: a power cut may leave such."""
        shared = self._sorted[:-1] == self._sorted[1:]
        return np.unique(np.concatenate([self._empty, self._order[:-1][shared], self._order[1:][shared]]))

    def settle(self, doubtful: Slots, known: Mapping[int, str]) -> None:
        """Keep what is `known` of slots, and forget the ids of all others that are doubtful."""
        lost = np.setdiff1d(doubtful, slots_of(known))
        if known or len(np.setdiff1d(lost, self._empty)):
            self._file.put(lost, np.zeros(len(lost), ID))
            self._file.put(slots_of(known), ids_of(known.values()))
            self._index()

    def remove(self, slots: Slots) -> None:
        """Forget the ids of these slots, in the file as well."""
        for one in self.ids(slots).tolist():
            self._recent.pop(one, None)
        self._file.put(slots, np.zeros(len(slots), ID))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _index(self) -> None:
        """Sort what is in the file; what comes later is few, and in a dictionary."""
        rows = self._file.rows
        used, self._empty = np.flatnonzero(rows != b""), np.flatnonzero(rows == b"")
        self._order = used[np.argsort(rows[used], kind="stable")]
        self._sorted = rows[self._order]
        self._recent: dict[bytes, int] = {}

    def _looked_up(self, ids: Ids) -> Slots:
        """The slot that each id had when the file was sorted, and has still; -1 for none."""
        if not len(self._sorted):
            return np.full(len(ids), -1, dtype=np.int64)
        last = np.searchsorted(self._sorted, ids, side="right") - 1
        slots = self._order[np.maximum(last, 0)]
        return np.where(self._file.rows[slots] == ids, slots, -1)


def slots_of(numbers: Iterable[int]) -> Slots:
    """Slots as the array in which they are used."""
    return np.fromiter(numbers, dtype=np.int64)

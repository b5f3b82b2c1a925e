"""Rows of a shard's memories, some for each, in files beside the engine: appended, found by slot.

One file has the rows, another says for each slot which are its own. Rows are written before their place, and that
before the memory that they belong to. What is removed is overwritten with zeros, and the files are written anew when
more than half of the rows is dead. Knows nothing of what a row says.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from memtypes.stores.edge.sidecar.array_file import RowFile
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.files import sync_directory

LEAST_DEAD = 1 << 13
"""Rows; with fewer dead ones the files are left as they are."""

_PLACE = np.dtype((np.int64, 2))
_PIECE = 4096


class Ragged:
    """The rows of one shard's memories. One process writes it: the engine's."""

    row: ClassVar[np.dtype[Any]]
    """The form of a row."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        _settle(directory)
        self._open()
        if self._dead() > max(LEAST_DEAD, len(self._content) // 2):
            self._compact()

    @property
    def content(self) -> NDArray[Any]:
        """All rows, of which `places_of` tells whose they are."""
        return self._content.rows

    def places_of(self, slots: Slots) -> NDArray[np.int64]:
        """First row and number of rows of each slot, zeros where it has none."""
        known = self._places.rows
        found = np.zeros((len(slots), 2), dtype=np.int64)
        inside = slots < len(known)
        found[inside] = known[slots[inside]]
        return found

    def copy(self, source: Self, slots: Slots, new: Slots) -> None:
        """Take over what `source` has for `slots`, as that of the slots `new`."""
        places = source.places_of(slots)
        some = np.flatnonzero(places[:, 1])
        content = source.content
        self.keep(new[some], [content[start : start + count] for start, count in places[some].tolist()])

    def keep(self, slots: Slots, rows: Sequence[NDArray[Any]]) -> None:
        """Have these rows for each slot, in place of those that it had."""
        self.remove(slots)
        if rows:
            lengths = np.array([len(one) for one in rows], dtype=np.int64)
            start = self._content.append(np.concatenate(rows))
            self._places.put(slots, np.stack([start + np.cumsum(lengths) - lengths, lengths], axis=1))

    def remove(self, slots: Slots) -> None:
        """Overwrite the rows of `slots`."""
        places = self.places_of(slots)
        had = np.flatnonzero(places[:, 1])
        self._places.put(slots[had], np.zeros((len(had), 2), dtype=np.int64))
        for start, count in places[had].tolist():
            self._content.zero(start, count)

    def close(self) -> None:
        """Let go of the files."""
        self._content.close()
        self._places.close()

    def _open(self) -> None:
        self._content = RowFile(self.directory / "vectors.bin", self.row)
        self._places = RowFile(self.directory / "places.bin", _PLACE)
        torn = np.flatnonzero(self._places.rows.sum(axis=1) > len(self._content))  # a power cut took their rows
        self._places.put(torn, np.zeros((len(torn), 2), dtype=np.int64))

    def _dead(self) -> int:
        """Rows that are nobody's."""
        return len(self._content) - int(self._places.rows[:, 1].sum())

    def _compact(self) -> None:
        """Write what is alive anew. A directory takes the place of another, so both files do at once."""
        fresh = type(self)(_beside(self.directory, "new"))
        for start in range(0, len(self._places), _PIECE):
            slots = np.arange(start, min(start + _PIECE, len(self._places)))
            fresh.copy(self, slots, slots)
        fresh.close()
        sync_directory(fresh.directory)
        self.close()
        self.directory.rename(_beside(self.directory, "old"))
        _settle(self.directory)
        self._open()


def _beside(directory: Path, name: str) -> Path:
    return directory.with_name(f"{directory.name}.{name}")


def _settle(directory: Path) -> None:
    """Leave one directory of up to three: the one of this name, or, once that has made room, the new one."""
    new, old = _beside(directory, "new"), _beside(directory, "old")
    if new.exists() and not directory.exists():
        new.rename(directory)
    for other in (new, old):
        shutil.rmtree(other, ignore_errors=True)

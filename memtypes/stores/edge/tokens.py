"""Token vectors of one shard, in files beside it: appended, found by slot, read without going through the engine.

The engine gives vectors as lists of Python floats, and a search needs millions of them; here they are rows of a mapped
file, in the form in which they are multiplied (see `matching`). Another file says for each slot which rows are its own.
Vectors are written before their place, and that before the memory that they belong to. What is removed is overwritten
with zeros, and the files are written anew when more than half of them is dead.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memtypes.stores.codec import TOKEN_DIMENSIONS
from memtypes.stores.edge.matching import FLIP, TokenRows
from memtypes.stores.edge.rowfile import RowFile
from memtypes.stores.edge.slots import Slots
from memtypes.stores.files import sync_directory

LEAST_DEAD = 1 << 13
"""Rows; with fewer dead ones the files are left as they are."""

_VECTOR = np.dtype((np.uint8, TOKEN_DIMENSIONS))
_PLACE = np.dtype((np.int64, 2))
_PIECE = 4096


class TokenFile:
    """The token vectors of one shard. One process writes it: the engine's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        _settle(directory)
        self._open()
        if self._dead() > max(LEAST_DEAD, len(self._vectors) // 2):
            self._compact()

    @classmethod
    def beside(cls, shard: Path) -> TokenFile:
        """The files of the shard in a directory."""
        return cls(shard / "tokens")

    def put(self, slots: Slots, tokens: Sequence[bytes]) -> None:
        """Keep token vectors (int8, 128 a token) by slot, in place of those that the slots had."""
        self._put(slots, [np.frombuffer(raw, np.uint8).reshape(-1, TOKEN_DIMENSIONS) ^ FLIP for raw in tokens])

    def rows(self, slots: Slots) -> TokenRows:
        """Where the token vectors of each memory are; of length 0 where there are none."""
        starts, lengths = self._places_of(slots).T
        return TokenRows(self._vectors.rows, starts, lengths)

    def copy(self, source: TokenFile, slots: Slots, new: Slots) -> None:
        """Take over what `source` has for `slots`, as that of the slots `new`."""
        rows = source.rows(slots)
        some = np.flatnonzero(rows.lengths)
        self._put(new[some], [rows.portion(slice(place, place + 1)) for place in some.tolist()])

    def remove(self, slots: Slots) -> None:
        """Overwrite the token vectors of `slots`."""
        places = self._places_of(slots)
        had = np.flatnonzero(places[:, 1])
        self._places.put(slots[had], np.zeros((len(had), 2), dtype=np.int64))
        for start, count in places[had].tolist():
            self._vectors.zero(start, count)

    def close(self) -> None:
        """Let go of the files."""
        self._vectors.close()
        self._places.close()

    def _put(self, slots: Slots, vectors: Sequence[NDArray[np.uint8]]) -> None:
        self.remove(slots)
        if vectors:
            lengths = np.array([len(one) for one in vectors], dtype=np.int64)
            start = self._vectors.append(np.concatenate(vectors))
            self._places.put(slots, np.stack([start + np.cumsum(lengths) - lengths, lengths], axis=1))

    def _places_of(self, slots: Slots) -> NDArray[np.int64]:
        """First row and number of rows of each slot, zeros where it has none."""
        known = self._places.rows
        found = np.zeros((len(slots), 2), dtype=np.int64)
        inside = slots < len(known)
        found[inside] = known[slots[inside]]
        return found

    def _open(self) -> None:
        self._vectors = RowFile(self.directory / "vectors.bin", _VECTOR)
        self._places = RowFile(self.directory / "places.bin", _PLACE)
        torn = np.flatnonzero(self._places.rows.sum(axis=1) > len(self._vectors))  # a power cut took their vectors
        self._places.put(torn, np.zeros((len(torn), 2), dtype=np.int64))

    def _dead(self) -> int:
        """Rows that are nobody's."""
        return len(self._vectors) - int(self._places.rows[:, 1].sum())

    def _compact(self) -> None:
        """Write what is alive anew. A directory takes the place of another, so both files do at once."""
        fresh = TokenFile(_beside(self.directory, "new"))
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

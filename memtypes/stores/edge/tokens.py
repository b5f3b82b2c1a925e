"""Token vectors of one shard, in a file beside it: appended, found by id, read without going through the engine.

The engine gives vectors as lists of Python floats, and a search needs millions of them; here they are rows of a mapped
file. A record is the id's 16 bytes, the number of tokens, and 128 bytes a token. It is written before the memory that
it belongs to, so a memory that is there has its record; one without a memory is found by nobody. The last record of an
id counts. What is removed is overwritten with zeros, and the file is written anew when more than half of it is dead.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memtypes.stores.codec import TOKEN_DIMENSIONS
from memtypes.stores.edge.matching import TokenRows
from memtypes.stores.keys import BYTES, Key, key_of, text_of

_HEAD = struct.Struct("<16sI")
_NOBODY = bytes(BYTES)
LEAST_DEAD_BYTES = 1 << 20


class TokenFile:
    """The token vectors of one shard. One process writes it: the engine's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[Key, tuple[int, int]] = {}
        self._live_bytes = 0
        self._mapped: mmap.mmap | None = None
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._size = self._scan()
        self._compact()

    @classmethod
    def beside(cls, shard: Path) -> TokenFile:
        """The file of the shard in a directory."""
        return cls(shard / "tokens" / "vectors.bin")

    @property
    def directory(self) -> Path:
        """Where the file is; nothing else is there."""
        return self._path.parent

    def put(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Keep token vectors (int8, 128 a token) by id, in place of those that the ids had."""
        content = bytearray()
        for one, raw in records:
            key = key_of(one)
            self._drop(key)
            start = self._size + len(content) + _HEAD.size
            self._places[key] = (start, len(raw))
            self._live_bytes += _HEAD.size + len(raw)
            content += _HEAD.pack(key.to_bytes(BYTES, "big"), len(raw) // TOKEN_DIMENSIONS) + raw
        if content:
            self._write(bytes(content), self._size)
            self._size += len(content)

    def rows(self, keys: Sequence[Key]) -> TokenRows:
        """Where the token vectors of each memory are; of length 0 where there are none."""
        nowhere = (0, 0)
        places = [self._places.get(one, nowhere) for one in keys]
        starts, sizes = np.array(places, dtype=np.int64).reshape(-1, 2).T
        return TokenRows(self._view(), starts, sizes // TOKEN_DIMENSIONS)

    def records(self, ids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Those of `ids` that have token vectors, with them as `put` takes them."""
        for one in ids:
            start, length = self._places.get(key_of(one), (0, 0))
            if length:
                yield one, os.pread(self._handle, length, start)

    def remove(self, ids: Iterable[str]) -> None:
        """Overwrite the token vectors of `ids`."""
        for one in ids:
            self._drop(key_of(one))

    def close(self) -> None:
        """Let go of the file."""
        self._mapped = None  # unmapped when the last row that was read is gone
        os.close(self._handle)

    def _drop(self, key: Key) -> None:
        """Forget a record; its id and its numbers become zeros, its length stays so that the next one is found."""
        place = self._places.pop(key, None)
        if place is None:
            return
        start, length = place
        self._live_bytes -= _HEAD.size + length
        if start < self._size:
            self._write(bytes(length), start)
            self._write(_NOBODY, start - _HEAD.size)

    def _scan(self) -> int:
        """Where the next record goes, once all are found; a torn one at the end is overwritten by it."""
        size = os.fstat(self._handle).st_size
        offset = 0
        while offset + _HEAD.size <= size:
            key, count = _HEAD.unpack(os.pread(self._handle, _HEAD.size, offset))
            start, length = offset + _HEAD.size, count * TOKEN_DIMENSIONS
            if start + length > size:
                break
            if key != _NOBODY:
                self._places[int.from_bytes(key, "big")] = (start, length)
            offset = start + length
        self._live_bytes = sum(_HEAD.size + length for _, length in self._places.values())
        os.ftruncate(self._handle, offset)
        return offset

    def _compact(self) -> None:
        dead = self._size - self._live_bytes
        if dead <= max(LEAST_DEAD_BYTES, self._live_bytes):
            return
        scratch = self._path.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        fresh = TokenFile(scratch)
        for record in self.records(map(text_of, self._places)):
            fresh.put([record])
        os.fsync(fresh._handle)
        os.close(self._handle)
        scratch.replace(self._path)
        self._handle, self._places = fresh._handle, fresh._places
        self._size, self._live_bytes = fresh._size, fresh._live_bytes

    def _write(self, content: bytes, offset: int) -> None:
        written = 0
        while written < len(content):
            written += os.pwrite(self._handle, content[written:], offset + written)

    def _view(self) -> NDArray[np.uint8]:
        """The file as bytes, mapped anew after it has grown."""
        if self._size == 0:
            return np.empty(0, dtype=np.uint8)
        if self._mapped is None or len(self._mapped) < self._size:
            self._mapped = mmap.mmap(self._handle, self._size, prot=mmap.PROT_READ)
        return np.frombuffer(self._mapped, dtype=np.uint8)

"""What a shard's light columns were when its engine left, in a file: so the next one need not read every payload again.

The file is there only while no engine is: whoever reads it deletes it at once. So a killed engine leaves none, none is
older than the memories, and nothing of a memory that is erased stays in one. Its columns are mapped, not read, and come
into memory as they are used.
"""

from __future__ import annotations

import logging
import mmap
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from memtypes.search.columns import DTYPES, KINDS, Columns
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.files import replace_file

_WORD = 8
_ALIGNED = 64
_SLOTS = np.dtype(np.int64)
_FORM = [f"{path} {kind} {DTYPES[kind]}" for path, kind in KINDS.items()]

_log = logging.getLogger(__name__)


class _Header(msgspec.Struct, frozen=True, array_like=True):
    """What follows: slots and then columns, of so many memories each. form: the fields that there were."""

    form: list[str]
    count: int
    columns: list[str]
    tables: dict[str, list[str]]


def leave(shard: Path, slots: Slots, light: Columns) -> None:
    """Write the columns of the memories in these slots for the next engine."""
    tables = {path: list(table) for path, table in light.tables.items()}
    header = msgspec.msgpack.encode(_Header(_FORM, len(slots), list(light.columns), tables))
    columns = [light.column(path).tobytes() for path in light.columns]
    head = len(header).to_bytes(_WORD, "big") + header
    body = b"".join(_padded(part) for part in (head, slots.tobytes(), *columns))
    replace_file(_place(shard), _checksum(body) + body)


def take(shard: Path) -> tuple[Slots, Columns] | None:
    """What was left, which is there no more then; None where nothing was, or nothing that can be used."""
    path = _place(shard)
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        path.unlink()
        _sync(shard)  # before anything changes: after a power cut it must not be there again
        left = _decoded(mmap.mmap(handle, 0, access=mmap.ACCESS_COPY)) if os.fstat(handle).st_size else None
    finally:
        os.close(handle)
    if left is None:
        _log.warning("%s was damaged or of another version; the memories are read again", path)
    return left


def _decoded(content: mmap.mmap) -> tuple[Slots, Columns] | None:
    body = memoryview(content)[_WORD:]
    if _checksum(body) != content[:_WORD]:
        return None
    length = int.from_bytes(body[:_WORD], "big")
    try:
        header = msgspec.msgpack.decode(body[_WORD : _WORD + length], type=_Header)
    except msgspec.MsgspecError:
        return None
    if header.form != _FORM:
        return None
    content.madvise(mmap.MADV_DONTNEED)  # the checksum has read it all, which counts as this process's memory
    parts = _parts(content, 2 * _WORD + length, header)
    slots = next(parts)
    return slots, Columns(header.count, dict(zip(header.columns, parts, strict=True)), header.tables)


def _parts(content: mmap.mmap, offset: int, header: _Header) -> Iterator[Any]:
    """The slots, then each column. offset: where the header ends."""
    for dtype in (_SLOTS, *(DTYPES[KINDS[path]] for path in header.columns)):
        offset += -(offset - _WORD) % _ALIGNED
        yield np.frombuffer(content, dtype, header.count, offset)
        offset += header.count * dtype.itemsize


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % _ALIGNED)


def _checksum(body: bytes | memoryview) -> bytes:
    return zlib.crc32(body).to_bytes(_WORD, "big")


def _place(shard: Path) -> Path:
    return shard / "light.bin"


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

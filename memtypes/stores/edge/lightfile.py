"""What a shard's light columns were when its engine left, in a file: so the next one need not read every payload again.

The file is there only while no engine is: whoever reads it deletes it at once. So a killed engine leaves none, none is
older than the memories, and nothing of a memory that is erased stays in one.
"""

from __future__ import annotations

import logging
import os
import zlib
from pathlib import Path

import msgspec
import numpy as np

from memtypes.light import DTYPES, KINDS, Light
from memtypes.stores.edge.slots import Slots
from memtypes.stores.files import replace_file

_CHECKSUM_BYTES = 4
_FORM = [f"{path} {kind} {DTYPES[kind]}" for path, kind in KINDS.items()]

_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """As in the file. form: the fields that there were. slots: int64. columns, tables: of `Light`, as raw bytes."""

    form: list[str]
    slots: bytes
    columns: dict[str, bytes]
    tables: dict[str, list[str]]


def leave(shard: Path, slots: Slots, light: Light) -> None:
    """Write the columns of the memories in these slots for the next engine."""
    columns = {path: light.column(path).tobytes() for path in light.columns}
    tables = {path: list(table) for path, table in light.tables.items()}
    body = msgspec.msgpack.encode(_Kept(_FORM, slots.tobytes(), columns, tables))
    replace_file(_place(shard), zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "big") + body)


def take(shard: Path) -> tuple[Slots, Light] | None:
    """What was left, which is there no more then; None where nothing was, or nothing that can be used."""
    path = _place(shard)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    path.unlink()
    _sync(shard)  # before anything changes: after a power cut it must not be there again
    kept = _decoded(content)
    if kept is None:
        _log.warning("%s was damaged or of another version; the memories are read again", path)
        return None
    columns = {one: np.frombuffer(raw, DTYPES[KINDS[one]]) for one, raw in kept.columns.items()}
    slots = np.frombuffer(kept.slots, np.int64)
    return slots, Light(len(slots), columns, kept.tables)


def _decoded(content: bytes) -> _Kept | None:
    body = memoryview(content)[_CHECKSUM_BYTES:]
    if zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "big") != content[:_CHECKSUM_BYTES]:
        return None
    try:
        kept = msgspec.msgpack.decode(body, type=_Kept)
    except msgspec.MsgspecError:
        return None
    return kept if kept.form == _FORM else None


def _place(shard: Path) -> Path:
    return shard / "light.bin"


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

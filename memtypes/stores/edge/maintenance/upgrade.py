"""Stores of an earlier version, whose engine knew memories by their ids: each type is written anew once, by slots.

Nobody else has the store open meanwhile. Until a type is written whole, the alias names the version that was there, and
that is deleted only then; so one that is killed over it is as it was, and goes on where it was at the next start.
"""

from __future__ import annotations

import logging
import mmap
import shutil
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.stores.edge.engine.errors import translated
from memtypes.stores.edge.engine.opening import CONFIG_FILE, open_shard
from memtypes.stores.edge.engine.shard import Shard
from memtypes.stores.edge.layout import Layout, next_version
from memtypes.stores.edge.maintenance.deletion_marker import delete_others
from memtypes.stores.edge.maintenance.shard_copy import copy_points
from memtypes.stores.edge.maintenance.shard_rewrite import adopt
from memtypes.stores.edge.sidecar.slots import slots_of
from memtypes.stores.operations.codec import TOKEN_DIMENSIONS
from memtypes.stores.operations.keys import ids_of
from memtypes.stores.operations.schema import indexes_of

_PIECE = 256
_HEAD = struct.Struct("<16sI")
"""What stood before each memory's token vectors: its id, and how many they are."""

_log = logging.getLogger(__name__)


def upgrade(layout: Layout) -> None:
    """Bring every type of a store to the form of today. Raises Unavailable; what is not done yet is as it was."""
    alias = layout.existing_alias()
    for kind, path in layout.shard_paths().items():
        with translated():
            old = _by_ids(path)
            if old is None:
                continue
            _log.warning("the %s memories are brought to another form, which takes a minute for some 100,000", kind)
            made = path.with_name(next_version(path.name))
            shutil.rmtree(made, ignore_errors=True)  # of one that did not end
            copy = Shard.of(made, open_shard(made, alias.dimensions, indexes_of(kind)))
            counts = old.info().points_count, _copied(old, path / "tokens" / "vectors.bin", copy)
            old.close()
            copy.engine.flush()
            copy.close()
        _take_over(layout, kind, copy, counts)


def _take_over(layout: Layout, kind: MemoryType, copy: Shard, counts: tuple[int, int]) -> None:
    if counts[0] != counts[1]:
        raise Unavailable(f"of {counts[0]} {kind} memories {counts[1]} could be brought over; nothing was changed")
    adopt(layout, kind, copy)
    delete_others(copy.path)


def _by_ids(path: Path) -> edge.EdgeShard | None:
    """The shard in `path`, where it is of the earlier form; one without points is of both."""
    if not (path / CONFIG_FILE).exists() or (path / "slots").exists():
        return None
    shard = edge.EdgeShard.load(str(path))
    if shard.info().points_count:
        return shard
    shard.close()
    return None


def _copied(old: edge.EdgeShard, tokens: Path, copy: Shard) -> int:
    """How many points were copied, which are all, with their vectors and token vectors."""
    content = _mapped(tokens)
    kept = dict(_records(content))
    count = 0
    for wanted in _pieces(old, kept):
        records = old.retrieve(wanted, True, True)
        ids = ids_of(str(one.id) for one in records)
        slots = copy.slots.claim_ids(ids)
        known = [(slot, kept[one]) for slot, one in zip(slots.tolist(), ids.tolist(), strict=True) if one in kept]
        copy.tokens.put(slots_of(slot for slot, _ in known), [content[place] for _, place in known])
        copy_points(copy, slots, records)
        count += len(records)
    return count


def _pieces(old: edge.EdgeShard, kept: Mapping[bytes, slice]) -> Iterator[list[Any]]:
    """The ids of all points as they were written, as far as the token vectors tell: those of one namespace together.

    A search is up to twice as slow where they are scattered, which they are in the order of their ids.
    """
    request = edge.ScrollRequest(limit=max(1, old.info().points_count), with_payload=False)
    found = [one.id for one in old.scroll(request)[0]]
    written = [kept.get(one) for one in ids_of(map(str, found)).tolist()]
    last = sys.maxsize
    order = sorted(range(len(found)), key=lambda place: last if (own := written[place]) is None else own.start)
    for start in range(0, len(order), _PIECE):
        yield [found[place] for place in order[start : start + _PIECE]]


def _mapped(path: Path) -> mmap.mmap | bytes:
    """The content of a file; nothing where there is none."""
    if not path.exists() or not path.stat().st_size:
        return b""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _records(content: mmap.mmap | bytes) -> Iterator[tuple[bytes, slice]]:
    """Each id, and where its token vectors are, in the order of the file: the last ones of an id count."""
    offset = 0
    while offset + _HEAD.size <= len(content):
        one, count = _HEAD.unpack_from(content, offset)
        start, offset = offset + _HEAD.size, offset + _HEAD.size + count * TOKEN_DIMENSIONS
        if offset <= len(content):  # the last one may be torn
            yield one.rstrip(b"\0"), slice(start, offset)

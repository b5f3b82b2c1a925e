"""A shard written anew while it is in use, so that what was removed leaves the disk: a step at a time.

Its successor is filled, the alias names it, and every other version of the type is deleted, those that embedding anew
has left included: they hold what was removed, too.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import msgspec

from memtypes.model.policy import MemoryType
from memtypes.stores.edge.engine.engine import EdgeEngine
from memtypes.stores.edge.engine.shard import Shard
from memtypes.stores.edge.layout import Layout, next_version
from memtypes.stores.files import sync_directory


def renewed(engine: EdgeEngine, layout: Layout, kind: MemoryType) -> Iterator[None]:
    """Do it; whoever asks the engine something may do so between two steps."""
    path = layout.directory / kind / next_version(layout.existing_alias().current[kind])
    shutil.rmtree(path, ignore_errors=True)  # of one that did not end
    made = yield from engine.succeed(kind, path)
    adopt(layout, kind, made)
    engine.replace(kind)


def adopt(layout: Layout, kind: MemoryType, shard: Shard) -> None:
    """Make a shard the current one of its type, once it is on the disk."""
    for written in (*shard.logs, shard.path, shard.path.parent):
        sync_directory(written)
    alias = layout.existing_alias()
    layout.write_alias(msgspec.structs.replace(alias, current={**alias.current, kind: shard.path.name}))

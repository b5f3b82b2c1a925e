"""A shard written anew while it is in use, so that what was removed leaves the disk: a step at a time.

Its successor is filled, the alias names it, and every other version of the type is deleted, those that embedding anew
has left included: they hold what was removed, too.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import msgspec

from memtypes.policy import MemoryType
from memtypes.stores.edge.engine import Engine
from memtypes.stores.edge.layout import Layout, next_version
from memtypes.stores.files import sync_directory


def renewed(engine: Engine, layout: Layout, kind: MemoryType) -> Iterator[None]:
    """Do it; whoever asks the engine something may do so between two steps."""
    alias = layout.existing_alias()
    path = layout.directory / kind / next_version(alias.current[kind])
    shutil.rmtree(path, ignore_errors=True)  # of one that did not end
    yield from engine.succeed(kind, path)
    for written in (path / "wal", path / "tokens", path, path.parent):
        sync_directory(written)
    layout.write_alias(msgspec.structs.replace(alias, current={**alias.current, kind: path.name}))
    engine.replace(kind)

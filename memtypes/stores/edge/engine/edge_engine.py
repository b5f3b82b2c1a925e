"""The embedded engine: a shard for each collection, and the engine operations on these shards.

Qdrant Edge never releases the GIL, so this runs in a separate process (see `worker`). No operation
awaits anything, so each request is atomic. A write is in the write-ahead log before it is
acknowledged, so it survives a crash of this process. Syncing the log makes it survive a power cut.
`flush_one` writes logged changes to the shard's segments.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.search.columns import ColumnKinds, payload_fields
from memtypes.search.vectors import TokenMaxima, TokenVectors
from memtypes.stores.edge.engine.reader import SlotPayloads
from memtypes.stores.edge.engine.shard import Shard, ShardCopy
from memtypes.stores.edge.engine.vendor import (
    SharedFilters,
    create_indexes,
    engine_call,
    open_shard,
)
from memtypes.stores.edge.sidecar.column_cache import ColumnCache
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.edge.sidecar.token_vectors import Matcher
from memtypes.stores.files import sync_directory
from memtypes.stores.operations.conditions import Condition, in_scope
from memtypes.stores.operations.schema import ITEMS, Collection, Kind, indexes_of
from memtypes.stores.operations.uuids import Ids
from memtypes.stores.operations.vector_engine import (
    Change,
    EngineOperations,
    ExistingColumns,
    FacetCounts,
    Keys,
    Payload,
    QueryHits,
    Scroll,
    VectorQuery,
)

PAYLOAD_BATCH = 64
"""Payloads in each batch that `payload_batches` yields. Re-embedding handles one batch at a
time.
"""

WARM_UP_STEP = 100
"""Memories read in the first warm-up step, which takes some milliseconds unless the memories are
long.
"""

LONG_STEP_S = 0.01
"""After a warm-up step that took more processor seconds than this, the next steps read half as many
memories.
"""

_log = logging.getLogger(__name__)


class EdgeEngine(EngineOperations):
    """Implements `EngineOperations` on Qdrant Edge: a shard for each collection, and a cache of
    the columns that searches read.
    """

    score_all_factor: ClassVar[int] = 10

    def __init__(
        self, shards: Mapping[Collection, Shard], dimensions: int, column_kinds: ColumnKinds
    ) -> None:
        super().__init__(column_kinds)
        self._shards = dict(shards)
        self._column_fields = payload_fields(self.column_kinds)
        self._columns = ColumnCache(self.column_kinds, self._read_columns)
        self._copies: dict[Collection, ShardCopy] = {}
        self._dimensions = dimensions
        self._matcher = Matcher()
        self._unsynced: set[Collection] = set()
        self._unflushed: set[Collection] = set()

    @classmethod
    def open(
        cls, paths: Mapping[Collection, Path], dimensions: int, column_kinds: ColumnKinds
    ) -> EdgeEngine:
        """Open the engine on the shards in `paths`; missing shards are created. Raises StoreInUse
        or Unavailable.
        """
        shards = {
            kind: Shard.opened(
                path, open_shard(path, dimensions, indexes_of(kind), texts=kind is ITEMS)
            )
            for kind, path in paths.items()
        }
        return cls(shards, dimensions, column_kinds)

    async def count(self, wheres: Mapping[Kind, Condition]) -> dict[Kind, int]:
        """For each collection in `wheres`, the exact number of points that meet its condition."""
        return {kind: self._shards[kind].reader.count(where) for kind, where in wheres.items()}

    async def facet(
        self, field: str, wheres: Mapping[Kind, Condition], limit: int
    ) -> dict[Kind, FacetCounts]:
        """By collection, up to `limit` values of a payload field, each with the number of points
        that have it.
        """
        return {
            kind: self._shards[kind].reader.facet(field, where, limit)
            for kind, where in wheres.items()
        }

    async def scroll(self, scrolls: Mapping[Kind, Scroll]) -> dict[Kind, dict[str, Payload]]:
        """Read points by each `Scroll`'s condition, in its order. Returns payloads by collection,
        then by point id.
        """
        return {kind: self._shards[kind].reader.scroll(scroll) for kind, scroll in scrolls.items()}

    async def search(
        self, queries: Mapping[Kind, Sequence[VectorQuery]]
    ) -> dict[Kind, list[QueryHits]]:
        """Run the vector queries of each collection. Returns, by collection, the hits of each
        query, in query order.
        """
        shared: SharedFilters = {}
        return {
            kind: self._shards[kind].reader.search(batch, shared) for kind, batch in queries.items()
        }

    async def columns(self, keys: Mapping[MemoryType, Keys]) -> ExistingColumns:
        """Return which memories in `keys` exist, and the columns of those that exist."""
        return self._columns.read(keys)

    async def token_maxima(
        self, query: TokenVectors, keys: Mapping[MemoryType, Keys]
    ) -> TokenMaxima:
        """The best cosine of each query token (a column) with any token of each memory (a row); NaN
        without tokens.
        """
        return self._matcher.maxima(
            query, [self._shards[kind].tokens.rows(slots) for kind, slots in keys.items()]
        )

    async def ids(self, keys: Mapping[Kind, Keys]) -> Ids:
        """The UUIDs of points, in the order of `keys`. keys: slots (point numbers) by
        collection.
        """
        return np.concatenate([self._shards[kind].slots.ids(slots) for kind, slots in keys.items()])

    async def payloads(
        self, scope: Scope, ids: Mapping[MemoryType, Sequence[str]]
    ) -> list[Payload]:
        """The payloads of the memories with these `ids` in the scope. Reading by slot is faster
        than by a filter.
        """
        payloads: list[Payload] = []
        for kind, ids_of_type in ids.items():
            shard = self._shards[kind]
            payloads += shard.reader.payloads(shard.slots.existing(ids_of_type)).values()
        return [payload for payload in payloads if in_scope(scope, payload)]

    async def fields(
        self, scope: Scope, ids: Mapping[MemoryType, Sequence[str]], names: tuple[str, ...]
    ) -> dict[str, bytes]:
        """The payload fields `names` of the memories with these `ids` that exist in the scope, as
        MessagePack, by id.
        """
        fields: dict[str, bytes] = {}
        for kind, ids_of_type in ids.items():
            shard = self._shards[kind]
            slots = shard.slots.existing(ids_of_type)
            fields |= shard.fields.read(scope, slots, names, shard.reader.payloads)
        return fields

    async def write(self, changes: Mapping[Kind, Sequence[Change]]) -> None:
        """Apply the changes of each collection in order. To survive a power cut, sync what
        `pop_unsynced` returns.
        """
        for kind, batch in changes.items():
            for change in batch:
                self._write(kind, change)

    @property
    def unflushed(self) -> bool:
        """True if any shard has changes that are only in its write-ahead log, not in its
        segments.
        """
        return bool(self._unflushed)

    def warm(self) -> Iterator[None]:
        """Cache the columns of all memories. Yields every few milliseconds, so that queries
        can run.
        """
        for kind in MemoryType:
            slots = self._shards[kind].slots.used()
            limit = WARM_UP_STEP
            while len(slots := self._columns.uncached(kind, slots)):
                began = time.thread_time()
                self._columns.add(kind, self._read_columns(kind, slots[:limit]).items())
                slow = time.thread_time() - began > LONG_STEP_S
                yield
                slots = slots[limit:]
                limit = max(1, limit // 2) if slow else limit

    def forget_columns(self) -> None:
        """Drop all cached columns; later searches read them again."""
        for kind in MemoryType:
            self._columns.invalidate(kind, None)

    def payload_batches(self, kind: Collection) -> Iterator[list[Payload]]:
        """Yield the payloads of all points of a collection, of all scopes, in batches. Used only
        for re-embedding.
        """
        last = -1
        while True:
            batch = self._shards[kind].reader.after(last, PAYLOAD_BATCH, None)
            if not batch:
                return
            yield [payload for _, payload in batch]
            last = batch[-1][0]

    def pop_unsynced(self) -> list[Path]:
        """The directories with files written since the last call. The caller must sync them to the
        disk.
        """
        directories = [
            directory for kind in self._unsynced for directory in self._shards[kind].directories
        ]
        self._unsynced.clear()
        return directories

    def flush_one(self) -> None:
        """Flush one of the shards with unflushed changes to its segments on disk, so that its log
        can be truncated.
        """
        kind = next(iter(self._unflushed))
        engine_call(self._shards[kind].engine.flush)
        self._unflushed.discard(kind)

    def with_deleted_bytes(self, removed_by: int) -> list[Collection]:
        """The collections whose shards contain bytes of points removed until the time `removed_by`
        (`time.time_ns`).
        """
        since = {kind: shard.deleted_since for kind, shard in self._shards.items()}
        return [
            kind for kind, time_ns in since.items() if time_ns is not None and time_ns <= removed_by
        ]

    def copy_shard(self, kind: Collection, path: Path) -> Iterator[None]:
        """Copy a shard to `path`, including the changes made meanwhile. Yields after each batch.
        Raises Unavailable.
        """
        self._drop_copy(kind)
        engine = open_shard(path, self._dimensions, {}, texts=kind is ITEMS)
        yield from create_indexes(engine, indexes_of(kind))
        copy = self._copies[kind] = ShardCopy(Shard.opened(path, engine, is_copy=True))
        while not copy.copy_batch(self._shards[kind]):
            yield
            if self._copies.get(kind) is not copy:
                raise Unavailable(f"the copy of the {kind} shard could not follow a change")
        self._unflushed.add(kind)
        for directory in (*copy.shard.directories, path, path.parent):
            sync_directory(directory)

    def use_copy(self, kind: Collection) -> None:
        """Replace the shard of a collection by the copy that `copy_shard` completed, and delete its
        other versions.
        """
        copy = self._copies.pop(kind)
        old = self._shards[kind]
        if isinstance(kind, MemoryType):
            self._columns.renumber(kind, copy.new_slots(old))
        self._shards[kind] = copy.shard
        old.close()
        copy.shard.delete_other_versions()

    def close(self) -> None:
        """Sync, flush and close every shard. Drops incomplete copies of shards."""
        for kind in list(self._copies):
            self._drop_copy(kind)
        for shard in self._shards.values():
            # All of them: who took the unsynced ones may have been interrupted.
            for directory in shard.directories:
                sync_directory(directory)
            engine_call(shard.engine.flush)
            shard.close()

    def _drop_copy(self, kind: Collection) -> None:
        if copy := self._copies.pop(kind, None):
            copy.shard.close()

    def _write(self, kind: Collection, change: Change) -> None:
        self._unsynced.add(kind)
        self._unflushed.add(kind)
        shard = self._shards[kind]
        try:
            slots = shard.write(change)
        except BaseException:
            if isinstance(kind, MemoryType):  # the change may have been applied in part
                self._columns.invalidate(kind, shard.listed_slots(change))
            raise
        if isinstance(kind, MemoryType):  # only memories are ranked
            self._columns.update(kind, change, slots)
        if copy := self._copies.get(kind):
            try:
                copy.apply(change, slots)
            # The shard itself has been changed, so the write succeeded
            except Exception:  # noqa: BLE001
                _log.exception("the copy of the %s shard is dropped", kind)
                self._drop_copy(kind)

    def _read_columns(self, kind: MemoryType, slots: Slots) -> SlotPayloads:
        return self._shards[kind].reader.payloads(slots, self._column_fields)

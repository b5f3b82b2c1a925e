"""Keyed items: JSON values that programs store under a path and a key, and read back unchanged.

Values are not screened, redacted or reviewed as memories are: a store must return what was stored.
The texts of a value are embedded before it is stored, so searches find an item as soon as
`KeyedItems.put` has returned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import anyio.to_thread
import numpy as np
from pydantic import Field

from memtypes.items.index_paths import IndexPaths, texts_at
from memtypes.items.item import MAX_TTL_S, Item, ItemAddress, ItemSearch, Key, Path, PathListing
from memtypes.model.memory import Number, StrictModel
from memtypes.model.scope import Name, Scope
from memtypes.model.times import Clock, Instant
from memtypes.ports.encoders import Embedder
from memtypes.ports.items import ItemStore
from memtypes.search.vectors import DenseVectors


@dataclass(frozen=True, slots=True)
class ItemPut:
    """A value to store at `address`. ttl: its time to live; None if it never expires.

    index: paths inside the value that lead to the texts to search. None means the whole value. If
    it is (), the item has no text to search, so searches by meaning list it last.
    """

    address: ItemAddress
    value: Any
    index: tuple[str, ...] | None = None
    ttl: timedelta | None = None


_SAME = ("agent_id", "value", "created_at", "updated_at", "expires_at")
"""Fields that an item and its line in an export have in the same form."""


class ExportedItem(StrictModel):
    """A keyed item (a JSON value under a path and a key) as a line of an export."""

    type: Literal["item"] = "item"
    agent_id: Name | None = None
    path: Path
    key: Key
    value: Any
    index: IndexPaths | None = None
    ttl_s: Annotated[Number, Field(gt=0, le=MAX_TTL_S)] | None = None
    created_at: Instant
    updated_at: Instant
    expires_at: Instant | None = None

    @classmethod
    def from_item(cls, item: Item) -> ExportedItem:
        """The export line for `item`."""
        return cls(
            path=item.address.path,
            key=item.address.key,
            index=None if item.index is None else list(item.index),
            ttl_s=None if item.ttl is None else item.ttl.total_seconds(),
            **{name: getattr(item, name) for name in _SAME},
        )

    def item(self) -> Item:
        """The keyed item that this line of an export describes."""
        return Item(
            address=ItemAddress(path=self.path, key=self.key),
            index=None if self.index is None else tuple(self.index),
            ttl=None if self.ttl_s is None else timedelta(seconds=self.ttl_s),
            **{name: getattr(self, name) for name in _SAME},
        )


@dataclass(slots=True)
class KeyedItems:
    """Stores, reads and searches keyed items, that is, JSON values that programs store under a path
    and a key.

    Unless its docstring says otherwise, a method reaches only the items of the agent
    `scope.agent_id` or, if that is None, the items that belong to no agent.
    """

    store: ItemStore
    embedder: Embedder
    clock: Clock
    _last_put: datetime | None = field(default=None, init=False)

    async def put(self, scope: Scope, put: ItemPut) -> Item:
        """Store a value, replacing any item at the same address. Returns the stored item."""
        vectors = await self._vectors(put.value, put.index)
        at = self._put_time()
        expires_at = None if put.ttl is None else at + put.ttl
        item = Item(put.address, put.value, at, at, scope.agent_id, put.index, put.ttl, expires_at)
        return await self.store.put(scope, item, vectors)

    async def get(self, scope: Scope, address: ItemAddress, *, refresh: bool) -> Item | None:
        """The item at an address, or None if there is none. refresh: whether to restart the item's
        time to live.
        """
        return await self.store.get(scope, address, self.clock(), refresh=refresh)

    async def delete(self, scope: Scope, address: ItemAddress) -> None:
        """Remove the item at an address, if there is one."""
        await self.store.delete(scope, address)

    async def search(self, scope: Scope, search: ItemSearch, query: str | None) -> list[Item]:
        """The items that `search` selects, most similar to `query` first; if `query` is None,
        latest updated first.
        """
        if query is not None:
            search = replace(search, vector=(await self.embedder.embed_query(query)).dense)
        return await self.store.search(scope, search, self.clock())

    async def paths(self, scope: Scope, listing: PathListing) -> list[tuple[str, ...]]:
        """The paths (folders of items) that `listing` selects, sorted; only paths that hold at
        least one item.
        """
        return await self.store.paths(scope, listing, self.clock())

    async def count(self, scope: Scope) -> int:
        """The number of items of all agents in the namespace of `scope`."""
        return await self.store.count(scope, self.clock())

    def every(self, scope: Scope) -> AsyncIterator[Item]:
        """Every item of every agent in the namespace of `scope`."""
        return self.store.every(scope, self.clock())

    async def restore(self, scope: Scope, line: ExportedItem) -> str:
        """Store an item from an export, with its original times and for its original agent. Returns
        the item's id.
        """
        item = line.item()
        agent_scope = replace(scope, agent_id=item.agent_id)
        await self.store.put(
            agent_scope, item, await self._vectors(item.value, item.index), restored=True
        )
        return item.address.id_in(scope, item.agent_id)

    async def delete_expired(self) -> int:
        """Remove the expired items of all tenants. Returns how many were removed."""
        return await self.store.delete_expired(self.clock())

    async def _vectors(self, value: Any, index: tuple[str, ...] | None) -> DenseVectors:
        texts = await anyio.to_thread.run_sync(texts_at, value, index)
        if not texts:
            return np.empty((0, self.embedder.dimensions), np.float32)
        return np.vstack(
            [embedding.dense for embedding in await self.embedder.embed_documents(texts)]
        )

    def _put_time(self) -> datetime:
        """The update time of an item that is stored now: the current time, but always later than
        the previous put's.

        So listings by update time show the latest put first, even if the clock stands still or goes
        back.
        """
        now = self.clock()
        if self._last_put is not None and now <= self._last_put:
            now = self._last_put + timedelta(microseconds=1)
        self._last_put = now
        return now

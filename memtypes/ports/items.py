"""Port of the store of keyed items, JSON values under a path and a key. See also the suite in
tests/contracts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from memtypes.items.item import Item, ItemAddress, ItemSearch, PathListing
from memtypes.model.scope import Scope
from memtypes.search.vectors import DenseVectors


class ItemStore(Protocol):
    """Stores keyed items: JSON values under a path and a key, in a namespace. An item belongs to an
    agent or to none.

    A call reaches only the items of its scope's tenant, namespace and agent; if `scope.agent_id` is
    None, the items that belong to no agent. Calls whose docstring says "every agent" reach all
    items of the namespace. An expired item counts as absent. Every method raises Unavailable when
    the engine can't be reached. An acknowledged write survives the death of every process; no read
    sees part of a write.
    """

    async def put(
        self, scope: Scope, item: Item, vectors: DenseVectors, *, restored: bool = False
    ) -> Item:
        """Store an item, replacing the item at its address; return the stored item.

        vectors: of the item's texts. restored: whether the item comes from an export, so that it
        keeps its `created_at`. Otherwise it gets that of the item that it replaces, unless this had
        expired by `item.updated_at`.
        """

    async def get(
        self, scope: Scope, address: ItemAddress, at: datetime, *, refresh: bool = False
    ) -> Item | None:
        """Return the item at an address; None if missing or expired at `at`. refresh: restart its
        time to live.
        """

    async def delete(self, scope: Scope, address: ItemAddress) -> None:
        """Remove the item at an address, if there is one."""

    async def search(self, scope: Scope, search: ItemSearch, at: datetime) -> list[Item]:
        """Return the items whose paths begin with the search's prefix and that match its filter.

        If the search has a query vector, the item with the best score comes first; items without
        searchable texts follow at the end, without a score. Without a vector, and among items
        without a score, the latest update comes first. Raises InvalidRequest if the items' values
        are too large for one answer.
        """

    async def paths(
        self, scope: Scope, listing: PathListing, at: datetime
    ) -> list[tuple[str, ...]]:
        """Return the page of paths that `listing` requests. Paths whose items have all expired at
        `at` are left out.
        """

    async def count(self, scope: Scope, at: datetime | None) -> int:
        """Return the number of items of every agent in the namespace, without those expired at `at`
        if it is set.
        """

    def every(self, scope: Scope, at: datetime) -> AsyncIterator[Item]:
        """Yield the unexpired items of every agent in the namespace, in no particular order."""

    async def delete_all(self, scope: Scope) -> int:
        """Remove the items of every agent in the namespace, also expired items; return the number
        removed.
        """

    async def delete_expired(self, at: datetime) -> int:
        """Remove the items of all tenants that expired by `at`; return how many. The only call
        without a scope.
        """

"""The port of the store of keyed items. Its contract is the docstrings here and the suite in tests/contracts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from datetime import datetime

from memtypes.items.item import Item, ItemAddress, ItemSearch, PathListing
from memtypes.model.scope import Scope
from memtypes.search.vectors import DenseVectors


class ItemStore(ABC):
    """Stores keyed items. A call reaches only items of its scope: of its tenant, its namespace and its agent.

    If `scope.agent_id` is None, it reaches items of no agent; calls whose docstring says "every agent" reach all items
    of the namespace. An expired item counts as absent. Raises Unavailable when the engine can't be reached. An
    acknowledged write survives the death of every process, and no read sees a part of a write.
    """

    @abstractmethod
    async def put(self, scope: Scope, item: Item, vectors: DenseVectors, *, restored: bool = False) -> Item:
        """Store an item, replacing the one at its address; return the stored item.

        vectors: of its texts. restored: the item comes from an export and keeps its own `created_at`. Otherwise it gets
        the `created_at` of the item that it replaces, unless that item had expired by `item.updated_at`.
        """

    @abstractmethod
    async def get(self, scope: Scope, address: ItemAddress, at: datetime, *, refresh: bool = False) -> Item | None:
        """The item at an address, or None. refresh: restart its time to live."""

    @abstractmethod
    async def delete(self, scope: Scope, address: ItemAddress) -> None:
        """Remove the item at an address, if there is one."""

    @abstractmethod
    async def search(self, scope: Scope, search: ItemSearch, at: datetime) -> list[Item]:
        """The items under a path that meet the filter, the best score first; without a vector, the latest update first.

        With a vector, items without texts follow at the end, the latest update first, without a score. Raises
        InvalidRequest if the values are too large for one answer.
        """

    @abstractmethod
    async def paths(self, scope: Scope, listing: PathListing, at: datetime) -> list[tuple[str, ...]]:
        """The paths that have items and that `listing` selects, sorted."""

    @abstractmethod
    async def count(self, scope: Scope, at: datetime | None) -> int:
        """The number of items of every agent in the namespace. at: leaves out those expired by then."""

    @abstractmethod
    def every(self, scope: Scope, at: datetime) -> AsyncIterator[Item]:
        """Every item of every agent in the namespace, in no particular order."""

    @abstractmethod
    async def delete_all(self, scope: Scope) -> int:
        """Remove the items of every agent in the namespace, expired ones too; return how many there were."""

    @abstractmethod
    async def delete_expired(self, at: datetime) -> int:
        """Remove the items of all tenants that expired by `at`; return how many. The only call without a scope."""

"""Implements `ItemStore`, the store of keyed items, by calls of functions on a vector engine,
embedded or on a server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

from memtypes.items.filters import MANY
from memtypes.items.item import Item, ItemAddress, ItemSearch, MatchType, PathListing
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope
from memtypes.ports.items import ItemStore
from memtypes.search.vectors import DenseVectors
from memtypes.stores.operations import items
from memtypes.stores.operations.conditions import Condition, equals
from memtypes.stores.operations.engine_store import EngineStore

MAX_ANSWER_BYTES = 32 * 1024 * 1024

_LARGEST_WINDOW = 4_096
_EXPORTED = 100


class EngineItems(ItemStore):
    """Stores keyed items in a store's engine. window: first read of a filtered search. most_bytes:
    of an answer.
    """

    def __init__(
        self, store: EngineStore, *, window: int = 256, most_bytes: int = MAX_ANSWER_BYTES
    ) -> None:
        self._store = store
        self._window = window
        self._most_bytes = most_bytes

    async def put(
        self, scope: Scope, item: Item, vectors: DenseVectors, *, restored: bool = False
    ) -> Item:
        """Store an item, replacing the item with the same address (path and key). Returns it with
        its creation time.
        """
        payload = items.payload_of(scope, item, indexed=len(vectors) > 0)
        created_at = await self._store.call(
            items.put_item,
            scope=scope,
            payload=payload,
            vectors=vectors,
            at=item.updated_at,
            restored=restored,
        )
        return replace(item, created_at=datetime.fromisoformat(created_at))

    async def get(
        self, scope: Scope, address: ItemAddress, at: datetime, *, refresh: bool = False
    ) -> Item | None:
        """The item at an address (path and key); None if missing or expired. refresh: restart its
        time to live.
        """
        item_id = address.id_in(scope, scope.agent_id)
        payload = await self._store.call(
            items.get_item, scope=scope, item_id=item_id, at=at, refresh=refresh
        )
        return None if payload is None else items.item_of(payload)

    async def delete(self, scope: Scope, address: ItemAddress) -> None:
        """Remove the item at an address (path and key), if there is one."""
        await self._store.call(
            items.delete_item, scope=scope, item_id=address.id_in(scope, scope.agent_id)
        )

    async def search(self, scope: Scope, search: ItemSearch, at: datetime) -> list[Item]:
        """The unexpired items that a search finds. If `search.refresh` is set, restarts their time
        to live.
        """
        hits = await self._hits(scope, search, at)
        if search.refresh and hits:
            ids = [item.address.id_in(scope, scope.agent_id) for item in hits]
            await self._store.call(items.refresh_items, scope=scope, ids=ids, at=at)
        return hits

    async def paths(
        self, scope: Scope, listing: PathListing, at: datetime
    ) -> list[tuple[str, ...]]:
        """One page of the paths that contain unexpired items and meet the conditions of `listing`,
        sorted.
        """
        where = [
            equals("prefixes", ".".join(condition.path))
            for condition in listing.match
            if condition.type is MatchType.PREFIX and condition.path and "*" not in condition.path
        ]
        texts = await self._store.call(items.list_item_paths, scope=scope, where=where, at=at)
        return listing.select(map(items.path_of_text, texts))

    async def count(self, scope: Scope, at: datetime | None) -> int:
        """The number of items of every agent in the namespace. at: exclude items expired by then;
        None for all.
        """
        return await self._store.call(items.count_items, scope=scope, at=at)

    async def every(self, scope: Scope, at: datetime) -> AsyncIterator[Item]:
        """Yield every item of every agent in the namespace that had not expired by `at`, ordered by
        id.
        """
        after: str | None = None
        while payloads := await self._store.call(
            items.list_items, scope=scope, after=after, limit=_EXPORTED, at=at
        ):
            for payload in payloads:
                yield items.item_of(payload)
            after = payloads[-1]["id"]

    async def delete_all(self, scope: Scope) -> int:
        """Remove the items of every agent in the namespace, expired ones too. Returns how many
        there were.
        """
        return await self._store.call(items.delete_items, scope=scope)

    async def delete_expired(self, at: datetime) -> int:
        """Remove the items of all tenants that expired by `at`. Returns how many there were."""
        total = 0
        while removed := await self._store.call(items.delete_expired_items, at=at):
            total += removed
        return total

    async def _hits(self, scope: Scope, search: ItemSearch, at: datetime) -> list[Item]:
        """The items that a search finds, read page by page until enough pass its filter. Raises
        InvalidRequest.
        """
        hits = list[Item]()
        size = 0
        where = _conditions(search)
        skipped, start, window = (
            (search.offset, 0, self._window) if search.filter else (0, search.offset, search.limit)
        )
        while len(hits) < search.limit:
            page = await self._store.call(
                items.find_items,
                scope=scope,
                where=where,
                vector=search.vector,
                limit=window,
                offset=start,
                at=at,
            )
            if not page.read:
                break
            for payload, score in zip(page.payloads, page.scores, strict=True):
                item = items.item_of(payload, score)
                if search.filter is not None and not search.filter.holds(item.value):
                    continue
                if skipped:
                    skipped -= 1
                elif len(hits) < search.limit:
                    hits.append(item)
                    size += payload[items.SIZE]
            if size > self._most_bytes:
                raise InvalidRequest(
                    f"the values of {len(hits)} items have {size} bytes, and one answer "
                    "has at most "
                    f"{self._most_bytes}: ask for fewer items",
                    path="limit",
                    got=search.limit,
                )
            start += page.read
            window = min(2 * window, _LARGEST_WINDOW) if search.filter else search.limit - len(hits)
        return hits


def _conditions(search: ItemSearch) -> list[Condition]:
    """The conditions by which the engine preselects items. The caller must check the filter on each
    item.
    """
    conditions = [equals("prefixes", ".".join(search.prefix))] if search.prefix else []
    facts = search.filter.facts() if search.filter else ()
    return [
        *conditions,
        *({"should": [equals("facts", fact), equals("facts", MANY)]} for fact in facts),
    ]

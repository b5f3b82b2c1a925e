"""A store that remembers what it was asked, so that one question in many budgets is searched for once.

For a store that nothing writes to meanwhile. Knows the port alone: what comes back is what the store would say again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from memtypes.model.filters import Filter
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore, Page, Record, TypeStats
from memtypes.search.candidates import Candidates

_SEARCHES = 64
"""Searches that are remembered: some times those of the questions under way, at a few hundred candidates each."""


class RememberedStore(MemoryStore):
    """`store`, with each memory read once and each of the last searches made once."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._memories: dict[tuple[Scope, str], Memory] = {}
        self._found: OrderedDict[Hashable, Candidates] = OrderedDict()

    async def get(self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]) -> dict[str, Memory]:
        """The memories of `ids`; the store is asked for those alone that were never read."""
        unread = [one for one in ids if (scope, one) not in self._memories]
        if unread:
            wanted = {one: ids[one] for one in unread} if isinstance(ids, Mapping) else unread
            found = await self._store.get(scope, wanted)
            self._memories |= {(scope, one): memory for one, memory in found.items()}
        return {one: self._memories[scope, one] for one in ids if (scope, one) in self._memories}

    async def candidates(self, scope: Scope, searches: Sequence[CandidateSearch]) -> list[Candidates]:
        """What each search finds; the store is asked for those alone that it was not asked lately."""
        keys = [_key(scope, search) for search in searches]
        found = {key: self._found.pop(key) for key in keys if key in self._found}
        new = {key: search for key, search in zip(keys, searches, strict=True) if key not in found}
        if new:
            answers = await self._store.candidates(scope, list(new.values()))
            found |= dict(zip(new, answers, strict=True))
        self._found |= found
        while len(self._found) > _SEARCHES:
            self._found.popitem(last=False)
        return [found[key] for key in keys]

    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """As the store does, after which nothing is remembered."""
        self._forget()
        await self._store.upsert(scope, records)

    async def patch(
        self,
        scope: Scope,
        changes: Mapping[str, Mapping[str, Any]],
        *,
        removed: Sequence[str] = (),
        fence: int | None = None,
    ) -> None:
        """As the store does, after which nothing is remembered."""
        self._forget()
        await self._store.patch(scope, changes, removed=removed, fence=fence)

    async def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """As the store does, after which nothing is remembered."""
        self._forget()
        return await self._store.delete(scope, ids)

    async def delete_where(self, scope: Scope, types: Sequence[MemoryType], where: Filter | None) -> int:
        """As the store does, after which nothing is remembered."""
        self._forget()
        return await self._store.delete_where(scope, types, where)

    async def page(self, scope: Scope, listing: Listing) -> Page:
        """What the store says."""
        return await self._store.page(scope, listing)

    async def stats(self, scope: Scope) -> dict[MemoryType, TypeStats]:
        """What the store says."""
        return await self._store.stats(scope)

    async def namespaces(self, tenant: str) -> list[str]:
        """What the store says."""
        return await self._store.namespaces(tenant)

    async def ping(self) -> None:
        """What the store says."""
        await self._store.ping()

    async def aclose(self) -> None:
        """Nothing: who opened the store closes it."""

    def _forget(self) -> None:
        self._memories.clear()
        self._found.clear()


def _key(scope: Scope, search: CandidateSearch) -> Hashable:
    """The search as a value; vectors by their bytes. A filter shows itself whole in its repr."""
    sparse = search.sparse
    return (
        scope,
        tuple(search.filters),
        search.depth,
        repr(dict(search.filters)),
        _bytes(search.dense),
        None if sparse is None else (_bytes(sparse.indices), _bytes(sparse.values)),
        _bytes(search.tokens),
    )


def _bytes(array: NDArray[Any] | None) -> bytes | None:
    return None if array is None else array.tobytes()

"""The ports: what ingestion, retrieval and the API ask of a store, an encoder and a tokenizer.

Each contract is the docstrings here, and one suite in tests/contracts that runs on every implementation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from memtypes.model.filters import Filter
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.search.candidates import Candidates
from memtypes.search.passage import Passage, passage_of
from memtypes.search.vectors import DenseVector, SparseVector, TokenVectors, Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A memory with its vectors, ready to be kept."""

    memory: Memory
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of memories: newest first by created_at, ties by id.

    types: which collections; empty for all. limit: 1-500. cursor: what the page before gave, or None for the first.
    """

    types: tuple[MemoryType, ...] = ()
    filter: Filter | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """memories: at most the limit. next_cursor: None on the last page. total: how many match in all."""

    memories: tuple[Memory, ...]
    next_cursor: str | None
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class CandidateSearch:
    """A query over one or several types.

    filters: the types to search, each with a filter on top of the scope. dense, sparse: the query as vectors; None
    leaves that leg out. depth: candidates of each leg and type. tokens: the query's token vectors, for late interaction
    with the candidates; None leaves that out. columns: whether candidates come with the columns that ranking needs;
    without, ids and scores alone may come.
    """

    filters: Mapping[MemoryType, Filter | None]
    dense: DenseVector | None
    sparse: SparseVector | None
    depth: int = 200
    tokens: TokenVectors | None = None
    columns: bool = True


@dataclass(frozen=True, slots=True)
class TypeStats:
    """How many memories of a type, and how many tokens their contents have."""

    count: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Use:
    """A memory was used so many times, last at `at`."""

    id: str
    type: MemoryType
    times: int
    at: datetime


class MemoryStore(ABC):
    """Where memories are kept: one collection a type.

    Every call is bounded by its scope: no call reads, changes or removes anything outside its tenant and namespace,
    and an id of another scope is as unknown as one that does not exist. Raises Unavailable when the engine is away or
    too slow; an acknowledged write survives the death of every process.
    """

    @abstractmethod
    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """Keep `records`, replacing those with the same id; all of a type or none."""

    @abstractmethod
    async def get(self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]) -> dict[str, Memory]:
        """The memories of `ids` that exist, by id: of whatever type, or each of the type that it is mapped to."""

    async def list_all(self, scope: Scope, listing: Listing, most: int | None = None) -> AsyncIterator[Memory]:
        """The memories of `listing` and of all pages after it, at most `most`."""
        count = 0
        while most is None or count < most:
            page = await self.page(scope, listing)
            for memory in page.memories[: None if most is None else most - count]:
                yield memory
            count += len(page.memories)
            if page.next_cursor is None:
                return
            listing = replace(listing, cursor=page.next_cursor)

    async def passages(self, scope: Scope, ids: Mapping[str, MemoryType]) -> dict[str, Passage]:
        """How a context shows those of `ids` that exist, by id: what `get` gives, in short."""
        return {one: passage_of(memory) for one, memory in (await self.get(scope, ids)).items()}

    @abstractmethod
    async def patch(
        self,
        scope: Scope,
        changes: Mapping[str, Mapping[str, Any]],
        *,
        removed: Sequence[str] = (),
        fence: int | None = None,
    ) -> None:
        """Set top-level payload fields of existing memories, by id; drop the fields `removed`; vectors stay.

        The values are JSON as in `Memory.to_payload`. Unknown ids are left out without an error. With the fence of a
        lock a memory that was patched under a higher one stays as it is, and LockLost is raised at the end.
        """

    async def note_uses(self, scope: Scope, uses: Sequence[Use]) -> None:
        """Add uses, one an id, to the access counts of those that exist."""
        known = await self.get(scope, {one.id: one.type for one in uses})
        counts = {one.id: known[one.id].access_count + one.times for one in uses if one.id in known}
        times = {one.id: rfc3339(one.at) for one in uses}
        await self.patch(scope, {one: {"access_count": n, "accessed_at": times[one]} for one, n in counts.items()})

    @abstractmethod
    async def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Remove the memories of `ids`; how many there were."""

    @abstractmethod
    async def delete_where(self, scope: Scope, types: Sequence[MemoryType], where: Filter | None) -> int:
        """Remove every memory of `types` (empty: all) that matches; how many there were."""

    @abstractmethod
    async def page(self, scope: Scope, listing: Listing) -> Page:
        """One page of memories. Raises InvalidRequest for a cursor that this store did not give."""

    @abstractmethod
    async def candidates(self, scope: Scope, searches: Sequence[CandidateSearch]) -> list[Candidates]:
        """For each search the union of its legs' best of every type, in no particular order; one request for all.

        Besides the search's own filter, a memory that only its session may see is found only when it is
        `scope.session_id`. IDF is that of the scope's namespace, so other tenants' texts leave no trace.
        """

    @abstractmethod
    async def stats(self, scope: Scope) -> dict[MemoryType, TypeStats]:
        """Counts of every type in the scope; all five types are keys."""

    @abstractmethod
    async def namespaces(self, tenant: str) -> list[str]:
        """The tenant's namespaces that hold any memory, in order. The one call that is bounded by a tenant alone."""

    @abstractmethod
    async def ping(self) -> None:
        """Return when the store can answer; raise Unavailable when it can't."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of everything that opening took."""

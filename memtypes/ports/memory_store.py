"""The port of a memory store. Its contract is the docstrings here and the suite in tests/contracts."""

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
from memtypes.search.candidates import Candidates
from memtypes.search.passage import Passage
from memtypes.search.vectors import DenseVector, SparseVector, TokenVectors, Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A memory with its vectors, ready to be stored."""

    memory: Memory
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of memories: newest first by created_at, ties by id.

    types: empty for all. limit: 1-500. cursor: `next_cursor` of the page before, None for the first page.
    """

    types: tuple[MemoryType, ...] = ()
    filter: Filter | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """memories: at most the limit. next_cursor: None on the last page. total: the number of all that match."""

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
    """The number of memories of a type, and of the tokens of their contents."""

    count: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Use:
    """Uses of a memory: their number, and the time of the last."""

    id: str
    type: MemoryType
    times: int
    at: datetime


class MemoryStore(ABC):
    """Stores memories, one collection for each type.

    Every call is bounded by its scope: it reads, changes and removes nothing outside its tenant and namespace, and an
    id of another scope is as unknown as one that does not exist. Raises Unavailable when the engine is away or too
    slow. An acknowledged write survives the death of every process.
    """

    @abstractmethod
    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """Store `records`, replacing those with the same id; all of a type or none."""

    @abstractmethod
    async def get(self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]) -> dict[str, Memory]:
        """The memories of `ids` that exist, by id; of any type, or of the type that an id is mapped to."""

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

    @abstractmethod
    async def passages(self, scope: Scope, ids: Mapping[str, MemoryType]) -> dict[str, Passage]:
        """The passages of those `ids` that exist, by id: the fields that a context shows."""

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

        The values are JSON as in `Memory.to_payload`. Unknown ids are ignored. With the fence of a lock, a memory that
        was patched under a higher fence stays as it is, and LockLost is raised at the end.
        """

    @abstractmethod
    async def note_uses(self, scope: Scope, uses: Sequence[Use]) -> None:
        """Add uses, at most one for each id, to the access counts of the memories that exist."""

    @abstractmethod
    async def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Remove the memories of `ids`; the number that were removed."""

    @abstractmethod
    async def delete_where(self, scope: Scope, types: Sequence[MemoryType], where: Filter | None) -> int:
        """Remove every memory of `types` (empty: all) that matches; the number that were removed."""

    @abstractmethod
    async def page(self, scope: Scope, listing: Listing) -> Page:
        """One page of memories. Raises InvalidRequest for a cursor that is not of this store."""

    @abstractmethod
    async def candidates(self, scope: Scope, searches: Sequence[CandidateSearch]) -> list[Candidates]:
        """For each search the union of its legs' best of every type, in no particular order; one request for all.

        A memory with session visibility is found only from its session, `scope.session_id`. IDF is computed over the
        scope's namespace, so the texts of other tenants have no influence.
        """

    @abstractmethod
    async def stats(self, scope: Scope) -> dict[MemoryType, TypeStats]:
        """Counts of every type in the scope, zeros included."""

    @abstractmethod
    async def namespaces(self, tenant: str) -> list[str]:
        """The tenant's namespaces with any memory, in order. The only call that is not bounded by a namespace."""

    @abstractmethod
    async def ping(self) -> None:
        """Return when the store answers. Raises Unavailable."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close connections and files."""

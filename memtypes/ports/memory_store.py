"""The port of a memory store. Its contract is the docstrings here and the suite in tests/contracts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from memtypes.model.filters import Filter
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.search.candidates import Candidates
from memtypes.search.columns import TERMS
from memtypes.search.passage import Passage
from memtypes.search.vectors import DenseVector, SparseVector, TokenVectors, Vectors, heaviest


class Record(msgspec.Struct, frozen=True, array_like=True, eq=False):
    """A memory with its vectors, as stores keep it. payload: a JSON object, see `Memory.to_payload` and TERMS."""

    id: str
    type: MemoryType
    payload: dict[str, Any]
    vectors: Vectors

    @classmethod
    def of(cls, memory: Memory, vectors: Vectors) -> Record:
        """The record of a memory."""
        return cls(memory.id, memory.type, memory.to_payload() | {TERMS: heaviest(vectors.sparse)}, vectors)


@dataclass(frozen=True, slots=True)
class Listing:
    """Request for a page of memories: newest first by created_at, ties by id.

    types: empty for all. limit: 1-500. cursor: `next_cursor` of the page before, None for the first page.
    """

    types: tuple[MemoryType, ...] = ()
    filter: Filter | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of memories. next_cursor: None on the last page. total: number of matching memories on all pages."""

    memories: tuple[Memory, ...]
    next_cursor: str | None
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class CandidateSearch:
    """A search for candidates of one or several types.

    filters: the types to search, each with a filter in addition to the scope. dense, sparse: the query's vectors; each
    makes a search of its own, and None omits that search. depth: maximum number of candidates by each vector, of each
    type. tokens: the query's token vectors, for late interaction with the candidates; None omits late interaction.
    columns: whether ranking needs the candidates' columns; if not, they may have only ids and scores.
    """

    filters: Mapping[MemoryType, Filter | None]
    dense: DenseVector | None
    sparse: SparseVector | None
    depth: int = 200
    tokens: TokenVectors | None = None
    columns: bool = True


@dataclass(frozen=True, slots=True)
class TypeStats:
    """Number of memories of a type, and of tokens in their contents."""

    count: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Use:
    """Uses to add to a memory's access count. times: number of uses. at: time of the last use."""

    id: str
    type: MemoryType
    times: int
    at: datetime


class MemoryStore(ABC):
    """Stores memories, one collection for each type.

    Every call is limited to its scope: it reads, changes and removes nothing outside its tenant and namespace, and
    treats ids of other scopes like ids that do not exist. Raises Unavailable when the engine can't be reached or is too
    slow. An acknowledged write survives the death of every process.
    """

    @abstractmethod
    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """Store `records`, replacing those with the same id. Of each type, either all of them are stored or none."""

    @abstractmethod
    async def get(self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]) -> dict[str, Memory]:
        """The existing memories with these ids, by id. ids: a sequence, or a mapping of ids to memory types."""

    async def list_all(self, scope: Scope, listing: Listing, most: int | None = None) -> AsyncIterator[Memory]:
        """The memories of the page that `listing` requests and of all pages after it, at most `most` memories."""
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
        """The passages (the fields that a context shows) of the existing memories with these ids, by id."""

    @abstractmethod
    async def patch(
        self,
        scope: Scope,
        changes: Mapping[str, Mapping[str, Any]],
        *,
        removed: Sequence[str] = (),
        fence: int | None = None,
    ) -> None:
        """Set payload fields of existing memories and drop the fields `removed` from them; vectors are not changed.

        changes: by memory id, the new values of top-level fields: JSON as in `Memory.to_payload`, or None for no value.
        Unknown ids are ignored. fence: number of the caller's lock (see `Lease`). Memories patched under a higher fence
        stay unchanged, which raises LockLost.
        """

    @abstractmethod
    async def note_uses(self, scope: Scope, uses: Sequence[Use]) -> None:
        """Add `uses`, at most one entry for each id, to the access counts of the memories that exist."""

    @abstractmethod
    async def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Remove the memories of `ids`; return the number removed."""

    @abstractmethod
    async def delete_where(self, scope: Scope, types: Sequence[MemoryType], where: Filter | None) -> int:
        """Remove every memory of `types` (empty: all) that matches `where`; return the number removed."""

    @abstractmethod
    async def page(self, scope: Scope, listing: Listing) -> Page:
        """Return one page of memories. Raises InvalidRequest for a cursor from another store."""

    @abstractmethod
    async def candidates(self, scope: Scope, searches: Sequence[CandidateSearch]) -> list[Candidates]:
        """For each search, the `depth` best memories of each type by each of its vectors, unordered; all in one call.

        A memory with session visibility is found only from its session, `scope.session_id`. IDF is computed over the
        scope's namespace, so the texts of other tenants have no influence.
        """

    @abstractmethod
    async def stats(self, scope: Scope) -> dict[MemoryType, TypeStats]:
        """Number of memories and tokens of every type in the scope, zeros included."""

    @abstractmethod
    async def counts(self, scope: Scope, filters: Sequence[Filter]) -> list[dict[MemoryType, int]]:
        """For each filter, the number of matching memories of every type, zeros included; all in one request."""

    @abstractmethod
    async def namespaces(self, tenant: str) -> list[str]:
        """Names of the tenant's namespaces that have memories, sorted. The only call not bounded by a namespace."""

    @abstractmethod
    async def ping(self) -> None:
        """Return if the store answers; raise Unavailable if it does not."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close connections and files."""

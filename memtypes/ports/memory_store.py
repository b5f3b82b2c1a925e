"""Port of the memory store. The contract is these docstrings and the test suite in
tests/contracts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec

from memtypes.model.filters import Filter
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.search.candidates import Candidates
from memtypes.search.columns import TERMS
from memtypes.search.vectors import DenseVector, SparseVector, TokenVectors, Vectors, heaviest

Form = TypeVar("Form", bound=msgspec.Struct)


class Record(msgspec.Struct, frozen=True, array_like=True, eq=False):
    """A memory with its vectors, as stores keep it. payload: its JSON object, with its heaviest
    terms added (TERMS).
    """

    id: str
    type: MemoryType
    payload: dict[str, Any]
    vectors: Vectors

    @classmethod
    def from_memory(cls, memory: Memory, vectors: Vectors) -> Record:
        """Make the record to store for `memory` with its `vectors`."""
        return cls(
            memory.id, memory.type, memory.to_payload() | {TERMS: heaviest(vectors.sparse)}, vectors
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """Request for a page of memories of `types` (empty: all), newest first. cursor: that of the
    page before.
    """

    types: tuple[MemoryType, ...] = ()
    filter: Filter | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of memories. total: number of matching memories on all pages. next_cursor: None on the
    last page.
    """

    memories: tuple[Memory, ...]
    next_cursor: str | None
    total: int


@dataclass(frozen=True, slots=True)
class Newest:
    """The `limit` newest memories of some types, together, that match a filter."""

    types: tuple[MemoryType, ...]
    filter: Filter
    limit: int


@dataclass(frozen=True, slots=True, eq=False)
class CandidateSearch:
    """A search for candidates (memories that ranking then orders) in one or several types of
    memory.

    filters: the types to search, each with a filter; None for no filter. dense, sparse: the query's
    vectors, each of which is a search of its own; None omits the search. depth: maximum number of
    candidates for each vector and type. tokens: the query's token vectors for late interaction with
    the candidates; None omits late interaction. columns: whether to return, besides ids and
    scores, the payload fields for which the store was opened. linked: whether the memories to which
    the best candidates link become candidates, too, if the filters accept them. newest: memories
    that become candidates, too, whatever their scores.
    """

    filters: Mapping[MemoryType, Filter | None]
    dense: DenseVector | None
    sparse: SparseVector | None
    depth: int = 200
    tokens: TokenVectors | None = None
    columns: bool = True
    linked: bool = False
    newest: Newest | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SimilarSearch:
    """A search for the public memories of the type `kind` that are nearest to a text about to be
    written, at most `depth`.

    vector: the text's dense vector, or its sparse vector to search by words. minimum: the lowest
    cosine of a hit; of a sparse search, the lowest share (0-1) of the text's heaviest terms that a
    hit must contain.
    """

    kind: MemoryType
    vector: DenseVector | SparseVector
    minimum: float
    depth: int


@dataclass(frozen=True, slots=True, eq=False)
class RelatedSearch:
    """What to read before texts are written, at the time `now`. ids: memory ids with their types.

    similar: searches for similar memories. tasks: content hashes; tasks with one of them are read.
    """

    now: datetime
    ids: Mapping[str, MemoryType]
    similar: Sequence[SimilarSearch]
    tasks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Related:
    """The answer to a `RelatedSearch`.

    memories: all memories that were found by id, similarity, text or link, by id. absent: ids that
    were looked up and that no memory has. similar: for each search, the ids of its hits with their
    cosines, the nearest first; None as the cosine of a hit of a sparse search.
    """

    memories: Mapping[str, Memory]
    absent: frozenset[str]
    similar: Sequence[Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class TypeStats:
    """Statistics of one type of memory. count: number of memories. tokens: number of tokens in
    their contents.
    """

    count: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Use:
    """Uses of a memory to add to its `access_count`. times: number of uses. at: time of the last of
    these uses.
    """

    id: str
    type: MemoryType
    times: int
    at: datetime


class MemoryStore(Protocol):
    """Stores memories, in one collection for each type of memory.

    Every call is limited to its scope: it reads, changes and removes nothing outside the scope's
    tenant and namespace, and treats ids of other scopes like ids that do not exist. Every method
    raises Unavailable when the engine can't be reached or is too slow. An acknowledged write
    survives the death of every process.
    """

    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """Store `records`, replacing memories with the same ids. Of each type, all records are
        stored or none.
        """

    async def write(
        self,
        scope: Scope,
        records: Sequence[Record],
        changes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Store `records` as `upsert` does, then set fields of other memories as `patch` does.

        Everything is one call of the engine unless there are very many records. If it is cut short,
        no change is made before all records are stored.
        """

    async def related(self, scope: Scope, search: RelatedSearch) -> Related:
        """Return what the store has that concerns texts about to be written, by one call of the
        engine.

        If a search has as many hits as it may have, and one of them is past (a replaced memory, or
        a task that was completed or cancelled), the nearest current memories are among its hits,
        too. Memories with a link `contradicts` from a memory that was found, or that replaced one,
        are also read, and those that these link to; links beyond that may be missing.
        """

    async def get(
        self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]
    ) -> dict[str, Memory]:
        """Return the memories with these ids that exist, by id. A mapping gives the memory types,
        which is faster.
        """

    async def list_all(
        self, scope: Scope, listing: Listing, most: int | None = None
    ) -> AsyncIterator[Memory]:
        """Yield the memories of the page that `listing` requests and of all later pages, at most
        `most` if set.
        """
        count = 0
        while most is None or count < most:
            page = await self.page(scope, listing)
            for memory in page.memories[: None if most is None else most - count]:
                yield memory
            count += len(page.memories)
            if page.next_cursor is None:
                return
            listing = replace(listing, cursor=page.next_cursor)

    async def read_as(
        self, scope: Scope, ids: Mapping[str, MemoryType], form: type[Form]
    ) -> dict[str, Form]:
        """Return those memories in `ids` that exist, by id, with only the fields of `form`.

        form: a msgspec struct whose fields are fields of payloads (see `Memory.to_payload`). It is
        faster than `get`; a store may keep the fields of one form at hand.
        """

    async def patch(self, scope: Scope, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Set payload fields of memories; vectors are not changed. Unknown ids are ignored.

        changes: for each memory id, the new values of top-level fields, as JSON (see
        `Memory.to_payload`); None clears a field.
        """

    async def note_uses(self, scope: Scope, uses: Sequence[Use]) -> None:
        """Add `uses`, at most one for each memory, to the memories' access counts. Unknown ids are
        ignored.
        """

    async def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Remove the memories with these ids; return the number removed."""

    async def delete_where(
        self, scope: Scope, types: Sequence[MemoryType], where: Filter | None
    ) -> int:
        """Remove the memories of `types` (empty: all) that match `where` (None: all); return the
        number removed.
        """

    async def page(self, scope: Scope, listing: Listing) -> Page:
        """Return the page that `listing` requests. Raises InvalidRequest if its cursor is from
        another store.
        """

    async def candidates(
        self, scope: Scope, searches: Sequence[CandidateSearch]
    ) -> list[Candidates]:
        """Return the candidates of each search, unordered: for each type and query vector, the
        `depth` best memories.

        All searches are one call of the engine. A memory with session visibility is found only from
        its own session, `scope.session_id`. IDF is computed over the scope's namespace, so texts of
        other tenants have no influence.
        """

    async def stats(self, scope: Scope, where: Filter | None = None) -> dict[MemoryType, TypeStats]:
        """Return, for every type, the number of memories that match `where` (None: all) and of
        their tokens.
        """

    async def counts(self, scope: Scope, filters: Sequence[Filter]) -> list[dict[MemoryType, int]]:
        """Return, for each filter, the number of matching memories by memory type; types without a
        match have 0.
        """

    async def namespaces(self, tenant: str) -> list[str]:
        """Return the names of the tenant's namespaces with memories, sorted. The only call without
        a namespace.
        """

    async def ping(self) -> None:
        """Check that the store answers. Raises Unavailable if it does not."""

    async def aclose(self) -> None:
        """Close the store's connections and files."""

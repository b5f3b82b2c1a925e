"""What a vector engine must do, for every store: typed operations on the collections of several types at once.

The store's messages (see `messages`) are answered with these. Each operation takes a mapping by memory type, so that a
server is asked about all types concurrently and an embedded engine in a plain loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.search.columns import Columns
from memtypes.search.passage import Passage, passage_in
from memtypes.search.vectors import DenseVector, SparseVector, TokenMaxima, TokenVectors, Vectors
from memtypes.stores.operations.conditions import Condition, has_ids, within
from memtypes.stores.operations.uuids import Ids

Payload: TypeAlias = dict[str, Any]
"""A memory as JSON (see `Memory.to_payload`)."""

Keys: TypeAlias = NDArray[Any]
"""How an engine identifies memories: by id, or by internal numbers. Sortable; opaque to callers."""


FacetCounts: TypeAlias = list[tuple[str | int, int]]
"""Values of a payload field, each with the number of memories that have it."""


class EnginePoint(msgspec.Struct, frozen=True, array_like=True, eq=False):
    """A memory as an engine stores it."""

    id: str
    vectors: Vectors
    payload: Payload


@dataclass(frozen=True, slots=True, eq=False)
class VectorQuery:
    """The best `limit` memories by one vector.

    corpus: the memories over which the sparse IDF is computed. among: score exactly these and no others, without an
    approximate index; None for every memory that meets `where`.
    """

    vector: DenseVector | SparseVector
    limit: int
    where: Condition
    corpus: Condition
    among: Keys | None = None


@dataclass(frozen=True, slots=True, eq=False)
class QueryHits:
    """The hits of one query, best first. scores: float64."""

    keys: Keys
    scores: NDArray[np.float64]


class ScrollOrder(StrEnum):
    """The order in which memories are read."""

    ANY = "any"
    NEWEST_FIRST = "newest first"
    BY_ID = "by id"


@dataclass(frozen=True, slots=True, eq=False)
class Scroll:
    """The first `limit` memories that meet a condition.

    fields: the top-level payload fields to read; None for all. start_id: where to begin in the order of ids, inclusive.
    """

    where: Condition
    limit: int
    fields: tuple[str, ...] | None = None
    order: ScrollOrder = ScrollOrder.ANY
    start_id: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ExistingColumns:
    """Which of the requested keys exist, and the columns of those, in the order of the request."""

    exists: NDArray[np.bool_]
    columns: Columns


@dataclass(frozen=True, slots=True, eq=False)
class PutPoints:
    """Insert points; replace those that exist and meet the condition."""

    points: Sequence[EnginePoint]
    where: Condition


@dataclass(frozen=True, slots=True, eq=False)
class SetFields:
    """Merge `fields` into the payloads that meet the condition."""

    where: Condition
    fields: Payload


@dataclass(frozen=True, slots=True, eq=False)
class DropFields:
    """Drop top-level fields of the payloads that meet the condition."""

    where: Condition
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RemovePoints:
    """Remove the points that meet the condition."""

    where: Condition


Change: TypeAlias = PutPoints | SetFields | DropFields | RemovePoints


class EngineOperations(ABC):
    """One collection a memory type, each point with a dense and a sparse vector, token vectors and a payload.

    An answer has the types of the request, in its order. Raises Unavailable when the engine is away, InvalidRequest
    for what it refuses.
    """

    score_all_factor: ClassVar[int] = 2
    """In a namespace of at most so many times the search depth, scoring all is cheaper than a second query."""

    @abstractmethod
    async def count(self, wheres: Mapping[MemoryType, Condition]) -> dict[MemoryType, int]:
        """The exact number of memories that meet each condition."""

    @abstractmethod
    async def facet(
        self, field: str, wheres: Mapping[MemoryType, Condition], limit: int
    ) -> dict[MemoryType, FacetCounts]:
        """How often each value of a payload field occurs, at most `limit` values a type."""

    @abstractmethod
    async def scroll(self, scrolls: Mapping[MemoryType, Scroll]) -> dict[MemoryType, dict[str, Payload]]:
        """Payloads by id, in the order that each scroll asks for."""

    @abstractmethod
    async def search(self, queries: Mapping[MemoryType, Sequence[VectorQuery]]) -> dict[MemoryType, list[QueryHits]]:
        """The hits of every query. A sparse query finds only memories that share a term with it."""

    @abstractmethod
    async def columns(self, keys: Mapping[MemoryType, Keys]) -> ExistingColumns:
        """What ranking needs of these memories, the types one after the other."""

    @abstractmethod
    async def token_maxima(self, query: TokenVectors, keys: Mapping[MemoryType, Keys]) -> TokenMaxima:
        """The best cosine of each query token in each of these memories, the types one after the other."""

    @abstractmethod
    async def ids(self, keys: Mapping[MemoryType, Keys]) -> Ids:
        """The ids of these memories, the types one after the other."""

    @abstractmethod
    async def write(self, changes: Mapping[MemoryType, Sequence[Change]]) -> None:
        """Make the changes of each type, in order, and return when they are durable."""

    async def payloads(self, scope: Scope, ids: Mapping[MemoryType, Sequence[str]]) -> list[Payload]:
        """The payloads of those `ids` that exist in the namespace, in no particular order."""
        scrolls = {kind: Scroll(within(scope, has_ids(few)), len(few)) for kind, few in ids.items()}
        payloads = await self.scroll(scrolls)
        return [payload for by_id in payloads.values() for payload in by_id.values()]

    async def passages(self, scope: Scope, ids: Mapping[MemoryType, Sequence[str]]) -> list[Passage]:
        """The passages of those `ids` that exist in the namespace, in no particular order."""
        return [passage_in(payload) for payload in await self.payloads(scope, ids)]

"""The operations that every vector engine implements, on several collections at once: of memory types, and of items.

The store's requests (see `messages`) are answered with these. Each operation takes a mapping by collection, so that a
server is asked about all of them concurrently and an embedded engine in a plain loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import from_payload
from memtypes.ports.memory_store import Record
from memtypes.search.columns import TERMS, Columns
from memtypes.search.passage import Passage, passage_of
from memtypes.search.vectors import DenseVector, SparseVector, TokenMaxima, TokenVectors, Vectors
from memtypes.stores.operations.conditions import Condition, has_ids, within
from memtypes.stores.operations.schema import Kind
from memtypes.stores.operations.uuids import Ids

Payload: TypeAlias = dict[str, Any]
"""A memory (see `Memory.to_payload`) or an item as a JSON object."""

Keys: TypeAlias = NDArray[Any]
"""Memories as an engine identifies them: ids or internal numbers. Sortable; callers must not interpret them."""


FacetCounts: TypeAlias = list[tuple[str | int, int]]
"""Values of a payload field, each with the number of memories that have it."""


@dataclass(frozen=True, slots=True, eq=False)
class VectorQuery:
    """Asks for the best `limit` memories by one vector.

    where: the condition that they meet. corpus: the memories over which the sparse IDF is computed. among: search these
    memories only, without an approximate index; None for every memory that meets `where`.
    """

    vector: DenseVector | SparseVector
    limit: int
    where: Condition
    corpus: Condition
    among: Keys | None = None


@dataclass(frozen=True, slots=True, eq=False)
class QueryHits:
    """The hits of one query, best first: keys (the engine's own ids of memories) and scores."""

    keys: Keys
    scores: NDArray[np.float64]


class ScrollOrder(StrEnum):
    """The order in which a scroll reads memories."""

    ANY = "any"
    NEWEST_FIRST = "newest first"
    BY_ID = "by id"


@dataclass(frozen=True, slots=True, eq=False)
class Scroll:
    """Asks for the first `limit` memories that meet a condition.

    fields: the top-level payload fields to read; None for all. start_id: where to begin in the order of ids, inclusive.
    """

    where: Condition
    limit: int
    fields: tuple[str, ...] | None = None
    order: ScrollOrder = ScrollOrder.ANY
    start_id: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ExistingColumns:
    """Whether each requested memory exists, and the columns of those that do, in the order of the request."""

    exists: NDArray[np.bool_]
    columns: Columns


@dataclass(frozen=True, slots=True, eq=False)
class ItemPoint:
    """An item as a point. Its `created_at` is the time of the last put, as engines order by it; see `items.item_of`.

    vectors: the dense one is a matrix, a row for each of the item's texts.
    """

    id: str
    payload: Payload
    vectors: Vectors


Point: TypeAlias = Record | ItemPoint
"""What a collection stores under an id, a UUID in lower case with hyphens."""


@dataclass(frozen=True, slots=True, eq=False)
class PutPoints:
    """Insert points; an existing point is replaced only if it meets the condition."""

    points: Sequence[Point]
    where: Condition


@dataclass(frozen=True, slots=True, eq=False)
class SetFields:
    """Set the top-level `fields` in all payloads that meet the condition."""

    where: Condition
    fields: Payload


@dataclass(frozen=True, slots=True, eq=False)
class DropFields:
    """Remove the top-level `fields` from all payloads that meet the condition."""

    where: Condition
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RemovePoints:
    """Remove all points that meet the condition."""

    where: Condition


Change: TypeAlias = PutPoints | SetFields | DropFields | RemovePoints


class EngineOperations(ABC):
    """What a vector engine does. It has a collection for each memory type and one for items, of points with payloads.

    An answer has the same collections as the request, in the same order. Raises Unavailable when the engine can't be
    reached, InvalidRequest if it refuses a request.
    """

    score_all_factor: ClassVar[int] = 2
    """If a namespace has at most this factor times `depth` memories, a search scores all instead of asking twice."""

    @abstractmethod
    async def count(self, wheres: Mapping[Kind, Condition]) -> dict[Kind, int]:
        """The exact number of points that meet each condition."""

    @abstractmethod
    async def facet(self, field: str, wheres: Mapping[Kind, Condition], limit: int) -> dict[Kind, FacetCounts]:
        """The values of a payload field, each with the number of points that have it, at most `limit` a collection."""

    @abstractmethod
    async def scroll(self, scrolls: Mapping[Kind, Scroll]) -> dict[Kind, dict[str, Payload]]:
        """The payloads that each scroll selects, by id, in the order of the scroll."""

    @abstractmethod
    async def search(self, queries: Mapping[Kind, Sequence[VectorQuery]]) -> dict[Kind, list[QueryHits]]:
        """The hits of each query. A sparse query finds only memories that share a term with it.

        An item scores by its nearest text; one without texts is not found.
        """

    @abstractmethod
    async def columns(self, keys: Mapping[MemoryType, Keys]) -> ExistingColumns:
        """Which of the memories exist, and the columns of those (payload fields that ranking uses), type after type."""

    @abstractmethod
    async def token_maxima(self, query: TokenVectors, keys: Mapping[MemoryType, Keys]) -> TokenMaxima:
        """The best cosine of each query token with any token of each memory, type after type."""

    @abstractmethod
    async def ids(self, keys: Mapping[Kind, Keys]) -> Ids:
        """The UUIDs of the points with these keys (the engine's own ids), collection after collection."""

    @abstractmethod
    async def write(self, changes: Mapping[Kind, Sequence[Change]]) -> None:
        """Apply the changes of each collection in order; return when they are durable."""

    async def payloads(self, scope: Scope, ids: Mapping[MemoryType, Sequence[str]]) -> list[Payload]:
        """The payloads of those `ids` that exist in the namespace, in no particular order."""
        scrolls = {kind: Scroll(within(scope, has_ids(few)), len(few)) for kind, few in ids.items()}
        payloads = await self.scroll(scrolls)
        return [payload for by_id in payloads.values() for payload in by_id.values()]

    async def passages(self, scope: Scope, ids: Mapping[MemoryType, Sequence[str]]) -> list[Passage]:
        """The passages of those `ids` that exist in the namespace, in no particular order."""
        return [passage_of(memory_of(payload)) for payload in await self.payloads(scope, ids)]


def memory_of(payload: Payload) -> Memory:
    """The memory in a point's payload."""
    return from_payload({name: value for name, value in payload.items() if name != TERMS})

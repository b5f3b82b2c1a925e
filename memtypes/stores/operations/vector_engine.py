"""The operations that every vector engine (a Qdrant server or the embedded engine) implements.

An engine has a collection for the memories of each type, and one for keyed items. The store's
functions (see `engine_store`) are written in terms of these operations. Each operation takes a
mapping from collections to queries or changes: a server is asked about several collections
concurrently, while the embedded engine handles them one by one.
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

from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import from_payload
from memtypes.ports.memory_store import Record
from memtypes.search.columns import LINKS, TERMS, ColumnKind, ColumnKinds, Columns
from memtypes.search.vectors import DenseVector, SparseVector, TokenMaxima, TokenVectors, Vectors
from memtypes.stores.operations.conditions import Condition, has_ids, within
from memtypes.stores.operations.schema import Kind
from memtypes.stores.operations.uuids import Ids

Payload: TypeAlias = dict[str, Any]
"""A memory (see `Memory.to_payload`) or an item as a JSON object."""

Keys: TypeAlias = NDArray[Any]
"""The engine's identifiers of memories: UUIDs or point numbers. Callers may sort and compare them,
nothing else.
"""

FacetCounts: TypeAlias = list[tuple[str | int, int]]
"""Values of a payload field, each with the number of memories that have it."""


@dataclass(frozen=True, slots=True, eq=False)
class VectorQuery:
    """A query for the `limit` memories nearest to one dense or sparse vector.

    where: the condition that hits must meet. corpus: condition for the memories over which the IDF
    of a sparse query is computed. among: search only these memories, without an approximate index;
    None to search all that meet `where`.
    """

    vector: DenseVector | SparseVector
    limit: int
    where: Condition
    corpus: Condition
    among: Keys | None = None


@dataclass(frozen=True, slots=True, eq=False)
class QueryHits:
    """The hits of one query, best first: the engine's identifiers of the memories (keys), and their
    scores.
    """

    keys: Keys
    scores: NDArray[np.float64]


class ScrollOrder(StrEnum):
    """The order in which a scroll reads memories."""

    ANY = "any"
    NEWEST_FIRST = "newest first"
    BY_ID = "by id"


@dataclass(frozen=True, slots=True, eq=False)
class Scroll:
    """A request for the first `limit` memories that meet a condition. fields: None for all.
    start_id: the least id.
    """

    where: Condition
    limit: int
    fields: tuple[str, ...] | None = None
    order: ScrollOrder = ScrollOrder.ANY
    start_id: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ExistingColumns:
    """A mask of the requested memories that exist, and the columns of these, in the order of the
    request.
    """

    exists: NDArray[np.bool_]
    columns: Columns


@dataclass(frozen=True, slots=True, eq=False)
class ItemPoint:
    """A keyed item as a point: a row of dense vectors for each text. Its payload is that of
    `items.payload_of`.
    """

    id: str
    payload: Payload
    vectors: Vectors


Point: TypeAlias = Record | ItemPoint
"""What a collection stores under an id, a UUID in lower case with hyphens."""


@dataclass(frozen=True, slots=True, eq=False)
class PutPoints:
    """Insert points. An existing point with the same id is replaced only if it meets the condition
    `where`.
    """

    points: Sequence[Point]
    where: Condition


@dataclass(frozen=True, slots=True, eq=False)
class SetFields:
    """Set the top-level `fields` in the payloads of all points that meet the condition."""

    where: Condition
    fields: Payload


@dataclass(frozen=True, slots=True, eq=False)
class RemovePoints:
    """Remove all points that meet the condition."""

    where: Condition


Change: TypeAlias = PutPoints | SetFields | RemovePoints


_SEARCH_COLUMNS: ColumnKinds = {LINKS: ColumnKind.LIST, TERMS: ColumnKind.TERMS}


class EngineOperations(ABC):
    """Base class of vector engines. An engine has a collection of points for each memory type, and
    one for items.

    A point has an id, a payload and vectors. An answer has the same collections as the request, in
    the same order. Operations raise Unavailable when the engine can't be reached, and
    InvalidRequest if it refuses a request.

    column_kinds: the columns (payload fields) of candidates that its caller reads, and those that
    searches for linked and for similar memories read.
    """

    score_all_factor: ClassVar[int] = 2
    """Up to this many times `depth` memories of a type in a namespace, a hybrid search asks for all
    scores at once.

    With more memories, it asks for the best hits of each of its two vectors. A second call then
    gets the missing scores of the hits that only one of the vectors found.
    """

    def __init__(self, column_kinds: ColumnKinds) -> None:
        self.column_kinds: ColumnKinds = {**column_kinds, **_SEARCH_COLUMNS}

    @abstractmethod
    async def count(self, wheres: Mapping[Kind, Condition]) -> dict[Kind, int]:
        """For each collection in `wheres`, the exact number of points that meet its condition."""

    @abstractmethod
    async def facet(
        self, field: str, wheres: Mapping[Kind, Condition], limit: int
    ) -> dict[Kind, FacetCounts]:
        """By collection, up to `limit` values of a payload field, each with the number of points
        that have it.
        """

    @abstractmethod
    async def scroll(self, scrolls: Mapping[Kind, Scroll]) -> dict[Kind, dict[str, Payload]]:
        """Read points by each `Scroll`'s condition, in its order. Returns payloads by collection,
        then by point id.
        """

    @abstractmethod
    async def search(
        self, queries: Mapping[Kind, Sequence[VectorQuery]]
    ) -> dict[Kind, list[QueryHits]]:
        """Run the vector queries of each collection. Returns, by collection, the hits of each
        query, in query order.

        A sparse query finds only points that share a term with it. A keyed item (a stored JSON
        value) has a vector for each of its texts. Its score is that of its nearest text; without
        texts it is never found.
        """

    @abstractmethod
    async def columns(self, keys: Mapping[MemoryType, Keys]) -> ExistingColumns:
        """Return which memories in `keys` exist, and the columns of those that exist."""

    @abstractmethod
    async def token_maxima(
        self, query: TokenVectors, keys: Mapping[MemoryType, Keys]
    ) -> TokenMaxima:
        """The best cosine of each query token (a column) with any token of each memory (a row); NaN
        without tokens.
        """

    @abstractmethod
    async def ids(self, keys: Mapping[Kind, Keys]) -> Ids:
        """The UUIDs of the points with these keys (the engine's identifiers, by collection), in the
        order of `keys`.
        """

    @abstractmethod
    async def write(self, changes: Mapping[Kind, Sequence[Change]]) -> None:
        """Apply the changes of each collection in order. Returns when they are durable."""

    async def payloads(
        self, scope: Scope, ids: Mapping[MemoryType, Sequence[str]]
    ) -> list[Payload]:
        """The payloads of the memories with these `ids` that exist in the scope, in no particular
        order.
        """
        scrolls = {
            kind: Scroll(within(scope, has_ids(ids_of_type)), len(ids_of_type))
            for kind, ids_of_type in ids.items()
        }
        payloads = await self.scroll(scrolls)
        return [payload for by_id in payloads.values() for payload in by_id.values()]

    async def fields(
        self, scope: Scope, ids: Mapping[MemoryType, Sequence[str]], names: tuple[str, ...]
    ) -> dict[str, bytes]:
        """The payload fields `names` of the memories with these `ids` that exist in the scope, as
        MessagePack, by id.
        """
        scrolls = {
            kind: Scroll(within(scope, has_ids(ids_of_type)), len(ids_of_type), names)
            for kind, ids_of_type in ids.items()
        }
        payloads = await self.scroll(scrolls)
        return {
            memory_id: msgspec.msgpack.encode(payload)
            for by_id in payloads.values()
            for memory_id, payload in by_id.items()
        }


def memory_of(payload: Payload) -> Memory:
    """The memory that is stored in a point's payload."""
    return from_payload({name: value for name, value in payload.items() if name != TERMS})

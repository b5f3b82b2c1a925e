"""What a store is asked and what it answers, as values that can travel between processes.

Knows neither the port nor a vendor: `asking` turns the port's calls into these, `plans` says how each is carried out.
Vectors are raw little-endian bytes; `where` is a condition in Qdrant's JSON form (see `conditions`).
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import msgspec

from memtypes.model.policy import MemoryType
from memtypes.search.passage import Passage


class Point(msgspec.Struct, frozen=True, array_like=True):
    """A memory as it is kept. dense: float32; terms: uint32; weights: float32; tokens: int8, 128 a token."""

    id: str
    dense: bytes
    terms: bytes
    weights: bytes
    tokens: bytes | None
    payload: dict[str, Any]


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag_field="ask"):
    """The base of every question: the tenant and the namespace that bound it."""

    answer: ClassVar[Any] = None
    repeatable: ClassVar[bool] = True
    """Whether asking twice gives the same answer as asking once."""

    tenant: str
    namespace: str


class Upsert(Ask, frozen=True, kw_only=True, tag=True):
    """Keep `points`, replacing those with the same id."""

    type: MemoryType
    points: list[Point]


class Get(Ask, frozen=True, kw_only=True, tag=True):
    """The payloads of those ids that exist, each looked for among the types that it is listed under."""

    answer: ClassVar[Any] = list[dict[str, Any]]

    ids: dict[MemoryType, list[str]]


class Passages(Ask, frozen=True, kw_only=True, tag=True):
    """The passages of those ids that exist, each looked for in its type."""

    answer: ClassVar[Any] = list[Passage]

    ids: dict[MemoryType, list[str]]


class FieldChange(msgspec.Struct, frozen=True, array_like=True):
    """The same new values for several ids."""

    ids: list[str]
    fields: dict[str, Any]


class Patch(Ask, frozen=True, kw_only=True, tag=True):
    """Set fields of those ids that exist, and drop the fields `removed` of all of them; how many a fence held back."""

    answer: ClassVar[Any] = int

    changes: list[FieldChange]
    removed: list[str]
    fence: int | None = None


class Used(msgspec.Struct, frozen=True, array_like=True):
    """So many uses of a memory, the last at a time."""

    id: str
    times: int
    at: str


class NoteUses(Ask, frozen=True, kw_only=True, tag=True):
    """Add to the access counts of those that exist, each looked for in its type."""

    repeatable: ClassVar[bool] = False

    uses: dict[MemoryType, list[Used]]


class Delete(Ask, frozen=True, kw_only=True, tag=True):
    """Remove `ids`; how many there were."""

    answer: ClassVar[Any] = int
    repeatable: ClassVar[bool] = False

    ids: list[str]


class DeleteWhere(Ask, frozen=True, kw_only=True, tag=True):
    """Remove what matches; how many there were."""

    answer: ClassVar[Any] = int
    repeatable: ClassVar[bool] = False

    types: list[MemoryType]
    where: dict[str, Any]


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """A page's payloads, whether more follow, and how many match in all."""

    payloads: list[dict[str, Any]]
    more: bool
    total: int


class List(Ask, frozen=True, kw_only=True, tag=True):
    """One page, newest first. after: created_at and id of the last one of the page before."""

    answer: ClassVar[Any] = Listed

    types: list[MemoryType]
    where: dict[str, Any]
    limit: int
    after: tuple[str, str] | None


class TypeSearch(msgspec.Struct, frozen=True, array_like=True):
    """One type's legs; a leg whose bytes are None was not asked for."""

    type: MemoryType
    dense: bytes | None
    terms: bytes | None
    weights: bytes | None
    depth: int
    where: dict[str, Any]
    tokens: bytes | None = None
    """The query's token vectors, int8, 128 a token; None asks for no late interaction."""
    light: bool = True


class Found(msgspec.Struct, frozen=True, array_like=True):
    """Candidates as columns of equal length; None for a leg that was not asked for.

    keys: 16 bytes each. dense, sparse: float64. columns, tables: of `memtypes.search.columns.Light`, as raw bytes.
    late: the best cosine of each query token in each candidate, float32, row by row.
    """

    keys: bytes
    dense: bytes | None
    sparse: bytes | None
    columns: dict[str, bytes]
    tables: dict[str, list[str]]
    late: bytes | None = None


class Candidates(Ask, frozen=True, kw_only=True, tag=True):
    """For each search the union of its legs' best."""

    answer: ClassVar[Any] = list[Found]

    searches: list[TypeSearch]


class Stats(Ask, frozen=True, kw_only=True, tag=True):
    """Count and tokens of each type."""

    answer: ClassVar[Any] = dict[MemoryType, tuple[int, int]]


class Namespaces(Ask, frozen=True, kw_only=True, tag=True):
    """The tenant's namespaces; that of the question says nothing."""

    answer: ClassVar[Any] = list[str]


AnyAsk: TypeAlias = (
    Upsert | Get | Passages | Patch | NoteUses | Delete | DeleteWhere | List | Candidates | Stats | Namespaces
)

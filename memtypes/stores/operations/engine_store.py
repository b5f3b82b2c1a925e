"""Implements the `MemoryStore` port by calls of functions on an engine, embedded or Qdrant. Checks
the arguments first.

The functions are those of `reads`, `writes`, `searching` and `items`. Each takes an engine and
plain values, which can be pickled: the embedded engine runs in a worker process.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import msgspec

from memtypes.model.errors import InvalidRequest
from memtypes.model.filters import AnyOf, Compare, Filter, Op, all_of
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import (
    CandidateSearch,
    Form,
    Listing,
    MemoryStore,
    Page,
    Record,
    Related,
    RelatedSearch,
    TypeStats,
    Use,
)
from memtypes.search.candidates import Candidates
from memtypes.search.vectors import DenseVector, SparseVector
from memtypes.stores.operations import reads, writes
from memtypes.stores.operations.conditions import to_condition
from memtypes.stores.operations.reads import cursor_of, parse_cursor
from memtypes.stores.operations.related import current_at, read_related
from memtypes.stores.operations.searching import NewestOf, TypedSearch, find_candidates
from memtypes.stores.operations.uuids import valid_ids
from memtypes.stores.operations.vector_engine import EngineOperations, memory_of
from memtypes.stores.operations.writes import (
    FieldChange,
    batches,
    check_integers,
    fits_one_write,
    group_changes,
)

MAX_PAGE = 500
IDENTITY = frozenset({"id", "type", "tenant", "namespace"})

Answer = TypeVar("Answer")
Parameters = ParamSpec("Parameters")

EngineFunction: TypeAlias = Callable[Concatenate[EngineOperations, Parameters], Awaitable[Answer]]
"""A function of an engine and of plain values, which the engine's process runs."""


class EngineStore(MemoryStore):
    """A memory store that runs functions on its engine by `call`. dimensions: the length of its
    dense vectors.
    """

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions

    @abstractmethod
    async def call(
        self,
        function: EngineFunction[Parameters, Answer],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Answer:
        """Run `function` on the engine with these arguments, and return its answer.

        Raises Unavailable if the engine can't be reached; a write may then have taken effect or
        not.
        """

    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """Check all memories, then store them with their vectors, in batches. A failed call can be
        repeated.
        """
        for record in records:
            self._check_record(scope, record)
        for batch in batches({record.id: record for record in records}.values()):
            await self.call(writes.write, scope=scope, points=batch, changes=[])

    async def write(
        self,
        scope: Scope,
        records: Sequence[Record],
        changes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Store memories, then set fields of others, in one call if the memories fit in one."""
        for record in records:
            self._check_record(scope, record)
        grouped = self._grouped(changes)
        points = list({record.id: record for record in records}.values())
        if not fits_one_write(points):
            await self.upsert(scope, points)
            points = []
        if points or grouped:
            await self.call(writes.write, scope=scope, points=points, changes=grouped)

    async def related(self, scope: Scope, search: RelatedSearch) -> Related:
        """What the store has that concerns texts about to be written; see `MemoryStore`."""
        for similar in search.similar:
            if not isinstance(similar.vector, SparseVector):
                self._check_dense(similar.vector)
        valid = valid_ids(search.ids)
        found = await self.call(
            read_related,
            scope=scope,
            ids=by_type(valid, search.ids),
            searches=list(search.similar),
            current=to_condition(current_at(search.now)),
            tasks=list(search.tasks),
        )
        memories = {payload["id"]: memory_of(payload) for payload in found.payloads}
        absent = frozenset(search.ids.keys() - memories.keys()) | frozenset(found.absent)
        return Related(memories, absent, found.similar)

    async def get(
        self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]
    ) -> dict[str, Memory]:
        """The memories that exist, by id, in the order of `ids`. If `ids` maps ids to types, reads
        only these types.
        """
        valid = valid_ids(ids)
        if not valid:
            return {}
        payloads = await self.call(reads.get_payloads, scope=scope, ids=by_type(valid, ids))
        memories = {payload["id"]: memory_of(payload) for payload in payloads}
        return {memory_id: memories[memory_id] for memory_id in valid if memory_id in memories}

    async def read_as(
        self, scope: Scope, ids: Mapping[str, MemoryType], form: type[Form]
    ) -> dict[str, Form]:
        """The memories that exist, by id, in the order of `ids`, with only the fields of `form`."""
        valid = valid_ids(ids)
        if not valid:
            return {}
        names = form.__struct_fields__
        encoded = await self.call(
            reads.get_fields, scope=scope, ids=by_type(valid, ids), names=names
        )
        decoder = msgspec.msgpack.Decoder(form)
        return {
            memory_id: decoder.decode(encoded[memory_id])
            for memory_id in valid
            if memory_id in encoded
        }

    async def patch(self, scope: Scope, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Set payload fields; see `MemoryStore`. Raises InvalidRequest for a field of IDENTITY."""
        if grouped := self._grouped(changes):
            await self.call(writes.patch, scope=scope, changes=grouped)

    async def note_uses(self, scope: Scope, uses: Sequence[Use]) -> None:
        """Add to the memories' access counts. On a Qdrant server, concurrent uses of a memory may
        be counted once.
        """
        valid = set(valid_ids([use.id for use in uses]))
        typed: dict[MemoryType, list[Use]] = {}
        for use in uses:
            if use.id in valid:
                typed.setdefault(use.type, []).append(use)
        # One request for each type, so that a search waits for one type only
        for kind, same_type in typed.items():
            await self.call(writes.note_uses, scope=scope, kind=kind, uses=same_type)

    async def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Remove the memories with these `ids`. Returns how many were removed."""
        valid = valid_ids(ids)
        return await self.call(writes.delete, scope=scope, ids=valid) if valid else 0

    async def delete_where(
        self, scope: Scope, types: Sequence[MemoryType], where: Filter | None
    ) -> int:
        """Remove every memory of `types` that matches the filter `where`. Returns how many were
        removed.
        """
        return await self.call(
            writes.delete_where, scope=scope, types=_types(types), where=to_condition(where)
        )

    async def page(self, scope: Scope, listing: Listing) -> Page:
        """One page of the memories that match the listing, newest first."""
        if not 1 <= listing.limit <= MAX_PAGE:
            raise InvalidRequest(f"must be 1 to {MAX_PAGE}", path="limit", got=listing.limit)
        page = await self.call(
            reads.get_page,
            scope=scope,
            types=_types(listing.types),
            where=to_condition(listing.filter),
            limit=listing.limit,
            after=None if listing.cursor is None else parse_cursor(listing.cursor),
        )
        next_cursor = cursor_of(page.payloads[-1]) if page.more and page.payloads else None
        return Page(tuple(map(memory_of, page.payloads)), next_cursor, page.total)

    async def candidates(
        self, scope: Scope, searches: Sequence[CandidateSearch]
    ) -> list[Candidates]:
        """The candidates of each search: the best hits of its dense vector and of its sparse
        vector.
        """
        if not searches:
            return []
        visible = visible_to(scope.session_id)
        typed = [self._typed(search, visible) for search in searches]
        return await self.call(find_candidates, scope=scope, searches=typed)

    async def stats(self, scope: Scope, where: Filter | None = None) -> dict[MemoryType, TypeStats]:
        """The number of memories of every type in the scope that match `where`, and of their
        tokens.
        """
        return await self.call(reads.count_tokens, scope=scope, where=to_condition(where))

    async def counts(self, scope: Scope, filters: Sequence[Filter]) -> list[dict[MemoryType, int]]:
        """For each filter, the number of memories that match it, by memory type."""
        return await self.call(
            reads.count_each, scope=scope, wheres=[to_condition(where) for where in filters]
        )

    async def namespaces(self, tenant: str) -> list[str]:
        """The names of the tenant's namespaces, sorted."""
        return await self.call(reads.list_namespaces, tenant=tenant)

    def _grouped(self, changes: Mapping[str, Mapping[str, Any]]) -> list[FieldChange]:
        """The changes of memories whose id is valid. Raises InvalidRequest for a field of
        IDENTITY.
        """
        for fields in changes.values():
            _check_changeable(fields)
        return group_changes({memory_id: changes[memory_id] for memory_id in valid_ids(changes)})

    def _check_record(self, scope: Scope, record: Record) -> None:
        if (record.payload["tenant"], record.payload["namespace"]) != (
            scope.tenant,
            scope.namespace,
        ):
            raise InvalidRequest(f"memory {record.id} belongs to another scope", path="namespace")
        if not valid_ids([record.id]):
            raise InvalidRequest(
                "must be a UUID in lower case with hyphens", path="id", got=record.id
            )
        self._check_dense(record.vectors.dense)
        check_integers(record.payload, record.id)

    def _check_dense(self, vector: DenseVector) -> None:
        if vector.shape != (self._dimensions,):
            raise InvalidRequest(
                f"the dense vector has shape {vector.shape}; the store needs ({self._dimensions},)"
            )

    def _typed(self, search: CandidateSearch, visible: Filter) -> TypedSearch:
        if search.depth < 1:
            raise InvalidRequest("must be at least 1", path="depth", got=search.depth)
        if search.dense is not None:
            self._check_dense(search.dense)
        filters = {id(where): where for where in search.filters.values()}  # types often share one
        conditions = {
            filter_id: to_condition(all_of(where, visible)) for filter_id, where in filters.items()
        }
        wheres = {kind: conditions[id(where)] for kind, where in search.filters.items()}
        newest = None
        if search.newest is not None:
            where = to_condition(search.newest.filter)
            newest = NewestOf(search.newest.types, where, search.newest.limit)
        return TypedSearch(
            wheres,
            search.dense,
            search.sparse,
            search.depth,
            search.tokens,
            search.columns,
            search.linked,
            newest,
        )


def _check_changeable(fields: Iterable[str]) -> None:
    immutable = sorted(IDENTITY.intersection(fields))
    if immutable:
        raise InvalidRequest(f"can't be changed: {', '.join(immutable)}", path=immutable[0])


def visible_to(session_id: str | None) -> Filter:
    """The filter for memories that a search may find: of the whole namespace, and of the session,
    if any.
    """
    public = Compare("visibility", Op.EQ, Visibility.NAMESPACE.value)
    return (
        public if session_id is None else AnyOf((public, Compare("session_id", Op.EQ, session_id)))
    )


def by_type(
    valid: Sequence[str], ids: Sequence[str] | Mapping[str, MemoryType]
) -> dict[MemoryType, list[str]]:
    """Group the memory ids `valid` by memory type. ids: maps ids to types; if it does not, every
    type gets all ids.
    """
    if not isinstance(ids, Mapping):
        return {kind: list(valid) for kind in MemoryType}
    typed: dict[MemoryType, list[str]] = {}
    for memory_id in valid:
        typed.setdefault(ids[memory_id], []).append(memory_id)
    return typed


def _types(types: Sequence[MemoryType]) -> list[MemoryType]:
    return list(dict.fromkeys(types)) or list(MemoryType)

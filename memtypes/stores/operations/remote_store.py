"""The port, turned into questions: what every store that answers `asks` has in common.

Checks what only the port's caller can have got wrong; knows no vendor. A store adds how a question is answered.
"""

from __future__ import annotations

import asyncio
import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from memtypes.model.errors import InvalidRequest, LockLost
from memtypes.model.filters import AnyOf, Compare, Filter, Op, all_of
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore, Page, Record, TypeStats, Use
from memtypes.search.candidates import TYPES, Candidates
from memtypes.search.columns import DTYPES, KINDS, Light
from memtypes.search.passage import Passage
from memtypes.search.vectors import DenseVector
from memtypes.stores.operations import messages
from memtypes.stores.operations.codec import dense_bytes, sparse_bytes, tokens_bytes
from memtypes.stores.operations.conditions import to_where
from memtypes.stores.operations.keys import ID, texts_of
from memtypes.stores.operations.paging import cursor_of, parse_cursor
from memtypes.stores.operations.points import group_changes, memory_of, pieces, point_of

MAX_PAGE = 500
IDENTITY = frozenset({"id", "type", "tenant", "namespace"})
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class AskingStore(MemoryStore):
    """A store that answers questions. dimensions: of its dense vectors."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions

    @abstractmethod
    async def _answer(self, ask: messages.AnyAsk) -> Any:
        """The answer, of the type that `ask.answer` names."""

    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """Keep `records`. Everything is checked before anything is written.

        When the engine dies midway some pieces may have been kept; repeating the call completes it.
        """
        checked = list({record.memory.id: self._checked(scope, record) for record in records}.values())
        writes = []
        for piece in pieces(checked):
            writes.append(
                messages.Upsert(**_bounds(scope), type=piece[0].memory.type, points=[point_of(r) for r in piece])
            )
            await asyncio.sleep(0)  # a long list must not hold up the event loop
        for write in writes:
            await self._answer(write)

    async def get(self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]) -> dict[str, Memory]:
        """The memories of `ids` that exist, in the order of `ids`. Where the types are known no other is searched."""
        wanted = known_ids(ids)
        if not wanted:
            return {}
        payloads = await self._answer(messages.Get(**_bounds(scope), ids=by_type(wanted, ids)))
        found = {payload["id"]: memory_of(payload) for payload in payloads}
        return {one: found[one] for one in wanted if one in found}

    async def passages(self, scope: Scope, ids: Mapping[str, MemoryType]) -> dict[str, Passage]:
        """The passages of those of `ids` that exist, in the order of `ids`."""
        wanted = known_ids(ids)
        if not wanted:
            return {}
        passages = await self._answer(messages.Passages(**_bounds(scope), ids=by_type(wanted, ids)))
        found = {passage.id: passage for passage in passages}
        return {one: found[one] for one in wanted if one in found}

    async def patch(
        self,
        scope: Scope,
        changes: Mapping[str, Mapping[str, Any]],
        *,
        removed: Sequence[str] = (),
        fence: int | None = None,
    ) -> None:
        """Set and drop top-level payload fields; the identity of a memory can't be patched."""
        for fields in (*changes.values(), dict.fromkeys(removed)):
            fixed = sorted(IDENTITY.intersection(fields))
            if fixed:
                raise InvalidRequest(f"can't be changed: {', '.join(fixed)}", path=fixed[0])
        known = known_ids(list(changes))
        if known:
            grouped = group_changes({one: changes[one] for one in known})
            ask = messages.Patch(**_bounds(scope), changes=grouped, removed=list(removed), fence=fence)
            if held_back := await self._answer(ask):
                raise LockLost(f"{held_back} memories were patched by a later holder of the lock")

    async def note_uses(self, scope: Scope, uses: Sequence[Use]) -> None:
        """Add to the access counts where they are: what others write meanwhile is counted too."""
        known = set(known_ids([one.id for one in uses]))
        typed: dict[MemoryType, list[messages.Used]] = {}
        written = {at: rfc3339(at) for at in {one.at for one in uses}}  # what one answer shows has one time
        for one in uses:
            if one.id in known:
                typed.setdefault(one.type, []).append(messages.Used(one.id, one.times, written[one.at]))
        for kind, own in typed.items():  # one by one, so that a search in between waits for a type and not for all
            await self._answer(messages.NoteUses(**_bounds(scope), uses={kind: own}))

    async def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """Remove the memories of `ids`; how many there were."""
        wanted = known_ids(ids)
        if not wanted:
            return 0
        removed: int = await self._answer(messages.Delete(**_bounds(scope), ids=wanted))
        return removed

    async def delete_where(self, scope: Scope, types: Sequence[MemoryType], where: Filter | None) -> int:
        """Remove every memory of `types` that matches; how many there were."""
        ask = messages.DeleteWhere(**_bounds(scope), types=_types(types), where=to_where(where))
        removed: int = await self._answer(ask)
        return removed

    async def page(self, scope: Scope, listing: Listing) -> Page:
        """One page of memories."""
        if not 1 <= listing.limit <= MAX_PAGE:
            raise InvalidRequest(f"must be 1 to {MAX_PAGE}", path="limit", got=listing.limit)
        ask = messages.List(
            **_bounds(scope),
            types=_types(listing.types),
            where=to_where(listing.filter),
            limit=listing.limit,
            after=None if listing.cursor is None else parse_cursor(listing.cursor),
        )
        listed: messages.Listed = await self._answer(ask)
        following = cursor_of(listed.payloads[-1]) if listed.more and listed.payloads else None
        return Page(tuple(map(memory_of, listed.payloads)), following, listed.total)

    async def candidates(self, scope: Scope, searches: Sequence[CandidateSearch]) -> list[Candidates]:
        """For each search the union of its legs' best; all searches are one question."""
        if not searches:
            return []
        asked = [self._type_search(scope, search) for search in searches]
        answers: list[messages.Found] = await self._answer(messages.Candidates(**_bounds(scope), searches=asked))
        return [candidates_of(search.type, found) for search, found in zip(searches, answers, strict=True)]

    async def stats(self, scope: Scope) -> dict[MemoryType, TypeStats]:
        """Counts of every type in the scope."""
        counted: dict[MemoryType, tuple[int, int]] = await self._answer(messages.Stats(**_bounds(scope)))
        return {kind: TypeStats(*counted[kind]) for kind in MemoryType}

    async def namespaces(self, tenant: str) -> list[str]:
        """The tenant's namespaces."""
        names: list[str] = await self._answer(messages.Namespaces(tenant=tenant, namespace=""))
        return names

    def _checked(self, scope: Scope, record: Record) -> Record:
        memory = record.memory
        if (memory.tenant, memory.namespace) != (scope.tenant, scope.namespace):
            raise InvalidRequest(f"memory {memory.id} belongs to another scope", path="namespace")
        if not known_ids([memory.id]):
            raise InvalidRequest("must be a UUID in lower case with hyphens", path="id", got=memory.id)
        self._check_dense(record.vectors.dense)
        return record

    def _check_dense(self, vector: DenseVector) -> None:
        if vector.shape != (self._dimensions,):
            raise InvalidRequest(f"a dense vector of shape {vector.shape}; the store keeps ({self._dimensions},)")

    def _type_search(self, scope: Scope, search: CandidateSearch) -> messages.TypeSearch:
        if search.depth < 1:
            raise InvalidRequest("must be at least 1", path="depth", got=search.depth)
        if search.dense is not None:
            self._check_dense(search.dense)
        terms, weights = (None, None) if search.sparse is None else sparse_bytes(search.sparse)
        return messages.TypeSearch(
            search.type,
            None if search.dense is None else dense_bytes(search.dense),
            terms,
            weights,
            search.depth,
            to_where(all_of(search.filter, visible_to(scope.session_id))),
            None if search.tokens is None else tokens_bytes(search.tokens),
            search.light,
        )


def visible_to(session_id: str | None) -> Filter:
    """What a caller in this session may find: what the namespace sees, and the session's own."""
    public = Compare("visibility", Op.EQ, Visibility.NAMESPACE.value)
    return public if session_id is None else AnyOf((public, Compare("session_id", Op.EQ, session_id)))


def by_type(wanted: Sequence[str], ids: Sequence[str] | Mapping[str, MemoryType]) -> dict[MemoryType, list[str]]:
    """Which of `wanted` to look for in which type: in its own where `ids` tells it, else in every one."""
    if not isinstance(ids, Mapping):
        return {kind: list(wanted) for kind in MemoryType}
    typed: dict[MemoryType, list[str]] = {}
    for one in wanted:
        typed.setdefault(ids[one], []).append(one)
    return typed


def known_ids(ids: Iterable[str]) -> list[str]:
    """Those of `ids` that can name a memory, each once: UUIDs in their usual form. Others are unknown to any store."""
    return list(dict.fromkeys(one for one in ids if _is_id(one)))


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def candidates_of(kind: MemoryType, found: messages.Found) -> Candidates:
    """The candidates of one search, from the bytes in which they came."""
    ids = texts_of(np.frombuffer(found.keys, ID))
    columns = {path: np.frombuffer(raw, DTYPES[KINDS[path]]) for path, raw in found.columns.items()}
    late = None if found.late is None else np.frombuffer(found.late, np.float32).reshape(len(ids), -1)
    return Candidates(
        ids,
        np.full(len(ids), TYPES.index(kind), dtype=np.int8),
        None if found.dense is None else np.frombuffer(found.dense, np.float64),
        None if found.sparse is None else np.frombuffer(found.sparse, np.float64),
        Light(len(ids), columns, found.tables),
        late,
    )


def _bounds(scope: Scope) -> dict[str, str]:
    return {"tenant": scope.tenant, "namespace": scope.namespace}


def _types(types: Sequence[MemoryType]) -> list[MemoryType]:
    return list(dict.fromkeys(types)) or list(MemoryType)

"""Functions that read memories of a namespace: by id, in pages, or as counts.

Pages list the newest memories first, and memories with the same `created_at` by id. An engine
orders only by `created_at`, so a limited read may return some memories of its oldest time and miss
others. The memories of that time are then read again by id, so no memory is missing or repeated.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.memory_store import TypeStats
from memtypes.stores.operations.conditions import Condition, in_range, of_tenant, within
from memtypes.stores.operations.vector_engine import (
    EngineOperations,
    FacetCounts,
    Payload,
    Scroll,
    ScrollOrder,
)

CREATED = "created_at"
TOKENS = "tokens.count"
NAMESPACE = "namespace"


async def get_payloads(
    engine: EngineOperations, *, scope: Scope, ids: dict[MemoryType, list[str]]
) -> list[Payload]:
    """The payloads of the requested memories that exist, in no particular order. ids: memory ids by
    type.
    """
    return await engine.payloads(scope, ids)


async def get_fields(
    engine: EngineOperations,
    *,
    scope: Scope,
    ids: dict[MemoryType, list[str]],
    names: tuple[str, ...],
) -> dict[str, bytes]:
    """The payload fields `names` of the requested memories that exist, as MessagePack, by id."""
    return await engine.fields(scope, ids, names)


@dataclass(frozen=True, slots=True)
class PayloadPage:
    """One page of memories' payloads. more: whether another page follows. total: number of memories
    on all pages.
    """

    payloads: list[Payload]
    more: bool
    total: int


async def get_page(
    engine: EngineOperations,
    *,
    scope: Scope,
    types: list[MemoryType],
    where: Condition,
    limit: int,
    after: tuple[str, str] | None,
) -> PayloadPage:
    """A page of the memories that meet `where`, newest first. after: created_at and id of the
    memory before it.
    """
    where = within(scope, where)
    total = sum((await engine.count(dict.fromkeys(types, where))).values())
    # One more, to know if there is a next page
    positions = await list_page(engine, where, types, limit + 1, after)
    ids: dict[MemoryType, list[str]] = {}
    for position in positions[:limit]:
        ids.setdefault(position.type, []).append(position.id)
    # Without those just removed
    by_id = {payload["id"]: payload for payload in await engine.payloads(scope, ids)}
    payloads = [by_id[position.id] for position in positions[:limit] if position.id in by_id]
    return PayloadPage(payloads, len(positions) > limit, total)


async def newest_ids(
    engine: EngineOperations,
    *,
    scope: Scope,
    types: Sequence[MemoryType],
    where: Condition,
    limit: int,
) -> list[str]:
    """The ids of the newest `limit` memories of these types that meet `where`, newest first."""
    positions = await list_page(engine, within(scope, where), types, limit, None)
    return [position.id for position in positions]


async def count_tokens(
    engine: EngineOperations, *, scope: Scope, where: Condition
) -> dict[MemoryType, TypeStats]:
    """By type, the number of memories that meet `where`, and the sum of their tokens from the
    engine's facets.
    """
    counts, facets = await _facets(engine, TOKENS, within(scope, where))
    return {
        kind: TypeStats(
            count, sum(int(tokens) * memories for tokens, memories in facets.get(kind, ()))
        )
        for kind, count in counts.items()
    }


async def count_each(
    engine: EngineOperations, *, scope: Scope, wheres: list[Condition]
) -> list[dict[MemoryType, int]]:
    """For each condition, the number of memories that meet it, by type."""
    return [await engine.count(dict.fromkeys(MemoryType, within(scope, where))) for where in wheres]


async def list_namespaces(engine: EngineOperations, *, tenant: str) -> list[str]:
    """The names of the tenant's namespaces that have at least one memory, sorted."""
    _, facets = await _facets(engine, NAMESPACE, of_tenant(tenant))
    return sorted({str(name) for values in facets.values() for name, _ in values})


async def _facets(
    engine: EngineOperations, field: str, where: Condition
) -> tuple[dict[MemoryType, int], dict[MemoryType, FacetCounts]]:
    """The number of memories of each type, and of types with memories, how many have each value of
    `field`.
    """
    counts = await engine.count(dict.fromkeys(MemoryType, where))
    filled = dict.fromkeys((kind for kind, count in counts.items() if count), where)
    return counts, await engine.facet(field, filled, max(counts.values())) if filled else {}


class Position(NamedTuple):
    """A memory's position in the order of pages: its created_at, then its id."""

    created: datetime
    id: str
    type: MemoryType


def cursor_of(payload: Payload) -> str:
    """The opaque cursor of the page that follows the memory of `payload`."""
    return base64.urlsafe_b64encode(json.dumps([payload[CREATED], payload["id"]]).encode()).decode()


def parse_cursor(cursor: str) -> tuple[str, str]:
    """The created_at and id that `cursor_of` encoded in a cursor. Raises InvalidRequest for any
    other text.
    """
    try:
        created, last_id = json.loads(
            base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        )
        valid = (
            rfc3339(datetime.fromisoformat(created)) == created
            and str(uuid.UUID(last_id)) == last_id
        )
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        valid = False
    if not valid:
        raise InvalidRequest("is not a cursor of this store", path="cursor", got=cursor)
    return created, last_id


async def list_page(
    engine: EngineOperations,
    where: Condition,
    types: Sequence[MemoryType],
    limit: int,
    after: tuple[str, str] | None,
) -> list[Position]:
    """Positions of the first `limit` memories that meet `where` and follow `after` (created_at,
    id), newest first.
    """
    same_time: list[Position] = []
    older = where
    if after is not None:
        created, last_id = after
        # One more than the limit, as the engine begins with the cursor's own id.
        scrolls = dict.fromkeys(types, _ties(where, created, limit + 1, last_id))
        same_time = [
            position for position in await _positions(engine, scrolls) if position.id > last_id
        ]
        older = _and(where, in_range(CREATED, lt=created))
    newest = Scroll(older, limit, (CREATED,), ScrollOrder.NEWEST_FIRST)
    positions = await _positions(engine, dict.fromkeys(types, newest))
    complete: list[Position] = []
    incomplete: dict[MemoryType, Scroll] = {}
    for kind in types:
        newer, oldest = split_off_oldest(
            [position for position in positions if position.type is kind], limit
        )
        complete += newer
        if oldest is not None:
            incomplete[kind] = _ties(where, rfc3339(oldest), limit - len(newer))
    return newest_first([*same_time, *complete, *await _positions(engine, incomplete)])[:limit]


def _ties(where: Condition, instant: str, limit: int, start_id: str | None = None) -> Scroll:
    """A scroll of the first `limit` memories created at `instant`, ordered by id, from the id
    `start_id` on.
    """
    return Scroll(
        _and(where, in_range(CREATED, gte=instant, lte=instant)),
        limit,
        (CREATED,),
        ScrollOrder.BY_ID,
        start_id,
    )


def _and(where: Condition, condition: Condition) -> Condition:
    return {"must": [*where["must"], condition]}


async def _positions(
    engine: EngineOperations, scrolls: Mapping[MemoryType, Scroll]
) -> list[Position]:
    answers = await engine.scroll(scrolls)
    return [
        Position(datetime.fromisoformat(payload[CREATED]), memory_id, kind)
        for kind, payloads in answers.items()
        for memory_id, payload in payloads.items()
    ]


def newest_first(positions: Iterable[Position]) -> list[Position]:
    """Sort positions: newest first, those of the same time by id."""
    by_id = sorted(positions, key=lambda position: position.id)
    return sorted(by_id, key=lambda position: position.created, reverse=True)


def split_off_oldest(
    positions: list[Position], limit: int
) -> tuple[list[Position], datetime | None]:
    """Split positions into those newer than the oldest time, and that time, of which a full read
    may lack some.

    Returns all positions and None if there are fewer than `limit`, so that the read is complete.
    """
    if len(positions) < limit:
        return positions, None
    oldest = min(position.created for position in positions)
    return [position for position in positions if position.created > oldest], oldest

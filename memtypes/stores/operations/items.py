"""Functions on keyed items (JSON values that agents store under a path and a key), and conversion
to payloads.

`_within` makes the condition of every function except `delete_expired_items`. It contains the
tenant, the namespace and, unless the function is for the items of every agent, the agent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from memtypes.items.filters import facts_of
from memtypes.items.item import Item, ItemAddress, value_text
from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.search.vectors import DenseVector, DenseVectors, SparseVector, Vectors
from memtypes.stores.operations.conditions import (
    Condition,
    equals,
    has_ids,
    in_range,
    negated,
    within,
)
from memtypes.stores.operations.schema import ITEMS
from memtypes.stores.operations.uuids import strings_of
from memtypes.stores.operations.vector_engine import (
    Change,
    EngineOperations,
    ItemPoint,
    Payload,
    PutPoints,
    RemovePoints,
    Scroll,
    ScrollOrder,
    SetFields,
    VectorQuery,
)

MAX_PAGE_BYTES = 8 * 1024 * 1024
"""Maximum total size in bytes of the values on a page of items. A page has at least one item,
whatever its size.
"""

EXPIRED_AT_ONCE = 500

NO_AGENT = ""
EXPIRES = "expires_at"
FIRST_PUT = "first_put_at"
SIZE = "size"

NO_TERMS = SparseVector(np.empty(0, np.uint32), np.empty(0, np.float32))


def payload_of(scope: Scope, item: Item, *, indexed: bool) -> Payload:
    """The payload that an engine stores for a keyed item. indexed: True if the item has texts, and
    so vectors.
    """
    text = value_text(item.value)
    path = item.address.path
    fields = {
        "id": item.address.id_in(scope, item.agent_id),
        "tenant": scope.tenant,
        "namespace": scope.namespace,
        "agent": item.agent_id or NO_AGENT,
        "path": ".".join(path),
        "prefixes": [".".join(path[:length]) for length in range(1, len(path) + 1)],
        "key": item.address.key,
        "value": text,
        SIZE: len(text.encode()),
        "facts": facts_of(item.value),
        "indexed": indexed,
        "index": None if item.index is None else list(item.index),
        "created_at": rfc3339(item.updated_at),
        FIRST_PUT: rfc3339(item.created_at),
        "ttl_s": None if item.ttl is None else item.ttl.total_seconds(),
        EXPIRES: None if item.expires_at is None else rfc3339(item.expires_at),
    }
    return {name: value for name, value in fields.items() if value is not None}


def item_of(payload: Payload, score: float | None = None) -> Item:
    """The keyed item in a point's payload. score: its score by a vector search; None without such a
    search.
    """
    index = payload.get("index")
    ttl = payload.get("ttl_s")
    expires = payload.get(EXPIRES)
    return Item(
        address=ItemAddress.model_construct(path=path_of_text(payload["path"]), key=payload["key"]),
        value=json.loads(payload["value"]),
        created_at=datetime.fromisoformat(payload[FIRST_PUT]),
        updated_at=datetime.fromisoformat(payload["created_at"]),
        agent_id=payload["agent"] or None,
        index=None if index is None else tuple(index),
        ttl=None if ttl is None else timedelta(seconds=ttl),
        expires_at=None if expires is None else datetime.fromisoformat(expires),
        score=score,
    )


def path_of_text(text: str) -> tuple[str, ...]:
    """Split a stored path into its labels, such as ("users", "ada") for "users.ada"."""
    return tuple(text.split(".")) if text else ()


def _within(
    scope: Scope, *conditions: Condition, at: datetime | None, every_agent: bool = False
) -> Condition:
    agent = {} if every_agent else equals("agent", scope.agent_id or NO_AGENT)
    alive = {} if at is None else negated(in_range(EXPIRES, lte=rfc3339(at)))
    return within(scope.unbound, agent, alive, *conditions)


async def put_item(
    engine: EngineOperations,
    *,
    scope: Scope,
    payload: Payload,
    vectors: DenseVectors,
    at: datetime,
    restored: bool,
) -> str:
    """Insert or replace a keyed item. Returns its creation time: that of the replaced item, unless
    `restored`.
    """
    is_item = _within(scope, has_ids([payload["id"]]), at=at)
    before = (await engine.scroll({ITEMS: Scroll(is_item, 1, (FIRST_PUT,))}))[ITEMS]
    created_at = payload[FIRST_PUT]
    if before and not restored:
        created_at = next(iter(before.values()))[FIRST_PUT]
    point = ItemPoint(payload["id"], {**payload, FIRST_PUT: created_at}, Vectors(vectors, NO_TERMS))
    await engine.write({ITEMS: [PutPoints([point], within(scope.unbound))]})
    if not (await engine.count({ITEMS: _within(scope, has_ids([point.id]), at=None)}))[ITEMS]:
        raise Unavailable("the item was not found after it had been stored; put it again")
    return str(created_at)


async def get_item(
    engine: EngineOperations, *, scope: Scope, item_id: str, at: datetime, refresh: bool
) -> Payload | None:
    """The payload of a keyed item; None if it is missing or had expired by `at`. refresh: restart
    its time to live.
    """
    where = _within(scope, has_ids([item_id]), at=at)
    payload = (await engine.scroll({ITEMS: Scroll(where, 1)}))[ITEMS].get(item_id)
    if payload is None or not refresh:
        return payload
    return (await _restart_ttl(engine, scope, [payload], at))[0]


async def delete_item(engine: EngineOperations, *, scope: Scope, item_id: str) -> None:
    """Remove a keyed item, if it exists, even if it has expired."""
    await engine.write({ITEMS: [RemovePoints(_within(scope, has_ids([item_id]), at=None))]})


@dataclass(frozen=True, slots=True)
class ItemPage:
    """One page of keyed items, in order. scores: one for each payload; None for an item that no
    vector search found.

    read: the number of items by which the next page's offset is larger; 0 if there are no more
    items.
    """

    payloads: list[Payload]
    scores: list[float | None]
    read: int


async def find_items(  # noqa: PLR0913 - all by name
    engine: EngineOperations,
    *,
    scope: Scope,
    where: list[Condition],
    vector: DenseVector | None,
    limit: int,
    offset: int,
    at: datetime,
) -> ItemPage:
    """A page of at most `limit` keyed items from `offset` on; fewer if their values exceed
    MAX_PAGE_BYTES together.

    With a vector, the nearest items are first, and items without texts last. Without one, the last
    put item is first.
    """
    bounds = _within(scope, *where, at=at)
    end = offset + limit
    ranked = await (
        _latest(engine, bounds, end) if vector is None else _nearest(engine, bounds, vector, end)
    )
    scores = dict(ranked[offset:end])
    sizes = await _read_payloads(engine, bounds, scores, (SIZE,))
    chosen: list[str] = []
    total = 0
    for item_id in scores:
        total += sizes.get(item_id, {}).get(SIZE, 0)
        if chosen and total > MAX_PAGE_BYTES:
            break
        chosen.append(item_id)
    payloads = await _read_payloads(engine, bounds, chosen, None)
    existing = [item_id for item_id in chosen if item_id in payloads]
    return ItemPage(
        [payloads[item_id] for item_id in existing],
        [scores[item_id] for item_id in existing],
        len(chosen),
    )


async def refresh_items(
    engine: EngineOperations, *, scope: Scope, ids: list[str], at: datetime
) -> None:
    """Restart the time to live of keyed items, except those without one and those that had expired
    by `at`.
    """
    payloads = await _read_payloads(engine, _within(scope, at=at), ids, ("id", "ttl_s"))
    await _restart_ttl(engine, scope, list(payloads.values()), at)


async def list_item_paths(
    engine: EngineOperations, *, scope: Scope, where: list[Condition], at: datetime
) -> list[str]:
    """The distinct paths (labels joined by dots) of the items that meet `where` and had not expired
    by `at`.
    """
    bounds = _within(scope, *where, at=at)
    count = (await engine.count({ITEMS: bounds}))[ITEMS]
    return (
        [str(path) for path, _ in (await engine.facet("path", {ITEMS: bounds}, count))[ITEMS]]
        if count
        else []
    )


async def count_items(engine: EngineOperations, *, scope: Scope, at: datetime | None) -> int:
    """The number of keyed items of every agent in the namespace. at: exclude items expired by then;
    None for all.
    """
    return (await engine.count({ITEMS: _within(scope, at=at, every_agent=True)}))[ITEMS]


async def list_items(
    engine: EngineOperations, *, scope: Scope, after: str | None, limit: int, at: datetime
) -> list[Payload]:
    """A page of items (JSON values) of all agents in the namespace, ordered by id. after: last id
    before the page.
    """
    where = _within(scope, at=at, every_agent=True)
    # One more than the limit, as the engine begins with `after` itself.
    ordered = Scroll(where, limit + 1, order=ScrollOrder.BY_ID, start_id=after)
    payloads = (await engine.scroll({ITEMS: ordered}))[ITEMS]
    return [payload for item_id, payload in payloads.items() if item_id != after][:limit]


async def delete_items(engine: EngineOperations, *, scope: Scope) -> int:
    """Remove the keyed items of every agent in the namespace, also expired items. Returns how many
    there were.
    """
    where = _within(scope, at=None, every_agent=True)
    count = (await engine.count({ITEMS: where}))[ITEMS]
    if count:
        await engine.write({ITEMS: [RemovePoints(where)]})
    return count


async def delete_expired_items(engine: EngineOperations, *, at: datetime) -> int:
    """Remove keyed items of all tenants that expired by `at`, at most EXPIRED_AT_ONCE; return how
    many were removed.
    """
    expired = in_range(EXPIRES, lte=rfc3339(at))
    ids = list(
        (await engine.scroll({ITEMS: Scroll({"must": [expired]}, EXPIRED_AT_ONCE, ())}))[ITEMS]
    )
    if ids:
        await engine.write({ITEMS: [RemovePoints({"must": [has_ids(ids), expired]})]})
    return len(ids)


async def _latest(
    engine: EngineOperations, where: Condition, limit: int
) -> list[tuple[str, float | None]]:
    """The ids of the `limit` items that were put last, latest first, each with None as its
    score.
    """
    newest = Scroll(where, limit, (), ScrollOrder.NEWEST_FIRST)
    return [(item_id, None) for item_id in (await engine.scroll({ITEMS: newest}))[ITEMS]]


async def _nearest(
    engine: EngineOperations, where: Condition, vector: DenseVector, limit: int
) -> list[tuple[str, float | None]]:
    """The `limit` items nearest to `vector`, as (id, score), ordered by score, then by id.

    If there are fewer hits, the latest items without texts follow, with None as their score. An
    engine may cut a group of equal scores anywhere, so more hits are read until the group is
    complete.
    """
    count = limit + 1
    while True:
        (hits,) = (await engine.search({ITEMS: [VectorQuery(vector, count, where, where)]}))[ITEMS]
        if len(hits.keys) < count or hits.scores[-1] != hits.scores[limit - 1]:
            break
        count *= 4
    ids = strings_of(await engine.ids({ITEMS: hits.keys})) if len(hits.keys) else []
    ordered = sorted(zip((-hits.scores).tolist(), ids, strict=True))[:limit]
    scored: list[tuple[str, float | None]] = [(item_id, -negative) for negative, item_id in ordered]
    if len(scored) == limit:
        return scored
    unindexed = {"must": [*where["must"], equals("indexed", False)]}
    return [*scored, *await _latest(engine, unindexed, limit - len(scored))]


async def _read_payloads(
    engine: EngineOperations,
    where: Condition,
    ids: Sequence[str] | Mapping[str, Any],
    fields: tuple[str, ...] | None,
) -> dict[str, Payload]:
    if not ids:
        return {}
    return (
        await engine.scroll(
            {ITEMS: Scroll({"must": [*where["must"], has_ids(ids)]}, len(ids), fields)}
        )
    )[ITEMS]


async def _restart_ttl(
    engine: EngineOperations, scope: Scope, payloads: Sequence[Payload], at: datetime
) -> list[Payload]:
    """Restart the time to live of the items in `payloads` at `at`. Returns the payloads with the
    new expiry times.
    """
    by_ttl: dict[float, list[str]] = {}
    for payload in payloads:
        if "ttl_s" in payload:
            by_ttl.setdefault(payload["ttl_s"], []).append(payload["id"])
    expiries = {ttl_s: rfc3339(at + timedelta(seconds=ttl_s)) for ttl_s in by_ttl}
    changes: list[Change] = [
        SetFields(_within(scope, has_ids(ids), at=at), {EXPIRES: expiries[ttl_s]})
        for ttl_s, ids in by_ttl.items()
    ]
    if changes:
        await engine.write({ITEMS: changes})
    return [
        {**payload, EXPIRES: expiries[payload["ttl_s"]]} if "ttl_s" in payload else payload
        for payload in payloads
    ]

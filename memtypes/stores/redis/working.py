"""Live working memory in Redis or Valkey: a hash a session, all sessions of a namespace in one slot.

Which namespaces are due is noted beside them, in a slot of its own, after the change itself: a crash between the two
costs a later sweep of what had expired by itself, and nothing else.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from redis.asyncio import Redis

from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope
from memtypes.model.working import Working
from memtypes.ports.working import Clearing, Due, LiveItem, LiveItems
from memtypes.stores.redis.connection.availability import COMMAND, READ
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key, service_key
from memtypes.stores.redis.working_scripts import CLEAR, PUT, REST, SETTLE, TOUCH

NAMESPACES = service_key("working-due")

_TIMES = ("accessed", "cleared", "expires")


class RedisWorking(LiveItems):
    """Live items on one server, sentinel set or cluster."""

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def put(self, scope: Scope, entry: LiveItem) -> None:
        """Keep `entry`; its copy is looked at soon."""
        at = _ms(entry.memory.updated_at)
        args: list[str | int] = [entry.memory.id, _envelope(entry), _session(scope), at]
        await self._live.script(PUT, _keys(scope), args, idempotent=True)
        await self._note(scope, at)

    async def items(self, scope: Scope, *, optional: bool = False) -> list[LiveItem]:
        """Every item of the session, oldest first. optional: as a retrieval asks, which can do without."""
        key, _ = _keys(scope)
        workload = READ if optional else COMMAND
        kept = await self._live.run(partial(_all_of, key=key), idempotent=not optional, workload=workload, key=key)
        return sorted(map(_item, kept), key=lambda one: (one.memory.created_at, one.memory.id))

    async def touch(self, scope: Scope, ids: Sequence[str], at: datetime) -> None:
        """Begin the time limits again; it is synced to the disk, and no answer waits for it: it may take its time."""
        args: list[str | int] = [_ms(at), _session(scope), *ids]
        if await self._live.script(TOUCH, _keys(scope), args, idempotent=False):
            await self._note(scope, _ms(at))

    async def clear(self, scope: Scope, which: Clearing, at: datetime) -> list[str]:
        """Clear what lives."""
        args = (_ms(at), _session(scope), which.todo_id or "", which.id or "")
        ids: list[str] = await self._live.script(CLEAR, _keys(scope), args, idempotent=False)
        if ids:
            await self._note(scope, _ms(at))
        return ids

    async def due(self, at: datetime, limit: int) -> list[Due]:
        """The namespaces that are due, the longest first."""
        found = await self._live.run(
            partial(_until, key=NAMESPACES, at=_ms(at), limit=limit), idempotent=True, key=NAMESPACES
        )
        return [Due(Scope(*json.loads(name)), _score(score)) for name, score in found]

    async def sessions_due(self, scope: Scope, at: datetime, limit: int) -> list[str]:
        """The sessions that are due, the longest first."""
        key = live_key(scope, "working-sessions")
        found = await self._live.run(partial(_until, key=key, at=_ms(at), limit=limit), idempotent=True, key=key)
        return [name for name, _ in found]

    async def settle(self, scope: Scope, entries: Sequence[LiveItem], at: datetime) -> None:
        """Compare each state with the present one before it is taken off."""
        pairs = [part for entry in entries for part in (entry.memory.id, entry.state)]
        await self._live.script(SETTLE, _keys(scope), (_ms(at), _session(scope), *pairs), idempotent=True)

    async def rest(self, due: Due) -> None:
        """The namespace is due when its first session is, or never."""
        key = live_key(due.scope, "working-sessions")
        first = await self._live.run(partial(_first, key=key), idempotent=True, key=key)
        following = _score(first[0][1]) if first else ""
        await self._live.script(REST, [NAMESPACES], (_name(due.scope), due.seen, following), idempotent=True)

    async def _note(self, scope: Scope, at: int) -> None:
        await self._live.run(partial(_noted, name=_name(scope), at=at), idempotent=True, key=NAMESPACES)


async def _all_of(redis: Redis, key: str) -> list[str]:
    found: Any = await redis.hvals(key)
    return list(found)


async def _until(redis: Redis, key: str, at: int, limit: int) -> Any:
    return await redis.zrangebyscore(key, "-inf", at, start=0, num=limit, withscores=True)


async def _first(redis: Redis, key: str) -> Any:
    return await redis.zrange(key, 0, 0, withscores=True)


async def _noted(redis: Redis, name: str, at: int) -> Any:
    return await redis.zadd(NAMESPACES, {name: at}, lt=True)


def _keys(scope: Scope) -> list[str]:
    return [live_key(scope, "working", _session(scope)), live_key(scope, "working-sessions")]


def _session(scope: Scope) -> str:
    if scope.session_id is None:
        raise InvalidRequest("live items are a session's: name it", path="session_id")
    return scope.session_id


def _name(scope: Scope) -> str:
    return json.dumps([scope.tenant, scope.namespace])


def _score(score: float) -> str:
    return f"{score:.0f}"


def _envelope(entry: LiveItem) -> str:
    memory = entry.memory
    return json.dumps(
        {
            "memory": json.dumps(memory.to_payload()),
            "todo": memory.todo_id or "",
            "ttl": round(entry.ttl.total_seconds() * 1000),
            "expires": _ms(memory.expires_at or memory.updated_at + entry.ttl),
            "accessed": 0 if memory.accessed_at is None else _ms(memory.accessed_at),
            "cleared": 0 if memory.cleared_at is None else _ms(memory.cleared_at),
            "behind": True,
            "turn": secrets.randbelow(10**9),
        }
    )


def _item(envelope: str) -> LiveItem:
    kept = json.loads(envelope)
    times = {f"{name}_at": _instant(kept[name]) for name in _TIMES}
    memory = Working.model_validate_json(kept["memory"]).model_copy(update=times)
    return LiveItem(memory, timedelta(milliseconds=kept["ttl"]), bool(kept["behind"]), envelope)


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def _instant(ms: float) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, UTC) if ms else None

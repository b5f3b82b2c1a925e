"""Live working memory (notes on the current task) on Redis: a hash of items for each session.

A background job moves ended items to the memory store. A sorted set has the namespaces with items,
by the time at which the job must look at them next. The sessions of a namespace are in one cluster
slot; the sorted set is in another, so it is updated after the items. A crash in between only delays
the move until an item of the namespace changes or ends.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope
from memtypes.model.times import milliseconds
from memtypes.model.working import ClearReason, Working
from memtypes.ports.working import DueNamespace, ItemSelection, LiveItem, LiveItemStore
from memtypes.stores.redis.connection.availability import COMMAND, READ
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key, service_key
from memtypes.stores.redis.scripts import Argument, Script

DUE_NAMESPACES = service_key("working-due")

_PUT, _TOUCH, _CLEAR, _REMOVE = (
    Script.load("working_common", f"working_{name}") for name in ("put", "touch", "clear", "remove")
)
_FIND = Script.load("working_find")
_RESCHEDULE = Script.load("working_reschedule")

_SESSIONS = 500
"""Maximum sessions in which one script looks for an item."""


class RedisWorking(LiveItemStore):
    """Implements `LiveItemStore` on Redis: stores the live working items of the sessions of all
    namespaces.
    """

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def put(self, scope: Scope, item: LiveItem) -> None:
        """Store a working memory item in the scope's session; see `LiveItemStore`."""
        at = milliseconds(item.memory.updated_at)
        arguments = (item.memory.id, _record(item), _session(scope), at, _agents(scope))
        due: int = await self._live.script(_PUT, _keys(scope), arguments, idempotent=True)
        await self._set_due(scope, due)

    async def items(self, scope: Scope, *, optional: bool = False) -> list[LiveItem]:
        """Return the working memory items of the scope's session, oldest first; see
        `LiveItemStore`.
        """
        key, _ = _keys(scope)
        workload = READ if optional else COMMAND
        records: list[str] = await self._live.run(
            lambda redis: redis.hvals(key), idempotent=not optional, workload=workload, key=key
        )
        items = [item for item in map(_item, records) if scope.reaches(item.memory.agent_id)]
        return sorted(
            items, key=lambda item: (item.memory.created_at, item.memory.seq, item.memory.id)
        )

    async def find(self, scope: Scope, memory_id: str) -> LiveItem | None:
        """Return the item with this id from any session of the namespace; see `LiveItemStore`."""
        sessions: list[str] = await self._live.command("zrange", _sessions_key(scope), 0, -1)
        keys = [_session_key(scope, session) for session in sessions]
        for start in range(0, len(keys), _SESSIONS):
            record = await self._live.script(
                _FIND, keys[start : start + _SESSIONS], [memory_id], idempotent=True
            )
            if record is not None:
                item = _item(record)
                return item if scope.reaches(item.memory.agent_id) else None
        return None

    async def touch(self, scope: Scope, ids: Sequence[str], at: datetime) -> None:
        """Restart the items' time to live. Call this after the API answer is sent, as it waits for
        a disk write.
        """
        arguments: list[Argument] = [milliseconds(at), *ids]
        await self._live.script(_TOUCH, _keys(scope), arguments, idempotent=False)

    async def clear(
        self, scope: Scope, selection: ItemSelection, at: datetime, reason: ClearReason
    ) -> list[str]:
        """Mark the selected items of the session as cleared, so that prompts no longer show them.
        Returns their ids.
        """
        arguments = (
            milliseconds(at),
            _session(scope),
            selection.todo_id,
            selection.id,
            _agents(scope),
            reason,
        )
        ids: list[str] = await self._live.script(_CLEAR, _keys(scope), arguments, idempotent=False)
        if ids:
            await self._set_due(scope, milliseconds(at))
        return ids

    async def due_namespaces(self, at: datetime, limit: int) -> list[DueNamespace]:
        """Return namespaces in which working memory items may have ended; see `LiveItemStore`."""
        due = await self._due(DUE_NAMESPACES, at, limit)
        return [DueNamespace(Scope(*json.loads(name)), f"{score:.0f}") for name, score in due]

    async def due_sessions(self, scope: Scope, at: datetime, limit: int) -> list[str]:
        """Return sessions in which working memory items may have ended; see `LiveItemStore`."""
        return [session for session, _ in await self._due(_sessions_key(scope), at, limit)]

    async def remove(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete the items with these ids, in any state; return how many."""
        arguments: list[Argument] = [_session(scope)]
        for memory_id in ids:
            arguments += [memory_id, None]
        removed: int = await self._live.script(_REMOVE, _keys(scope), arguments, idempotent=False)
        return removed

    async def remove_unchanged(self, scope: Scope, items: Sequence[LiveItem]) -> None:
        """Delete `items`, except those changed since they were read; see `LiveItemStore`."""
        arguments: list[Argument] = [_session(scope)]
        for item in items:
            arguments += [item.memory.id, item.revision]
        await self._live.script(_REMOVE, _keys(scope), arguments, idempotent=True)

    async def reschedule(self, due: DueNamespace) -> None:
        """Set when items of a namespace may end next; see `LiveItemStore`."""
        key = _sessions_key(due.scope)
        first: list[tuple[str, float]] = await self._live.command(
            "zrange", key, 0, 0, withscores=True
        )
        arguments = (_member(due.scope), due.due_at, f"{first[0][1]:.0f}" if first else None)
        await self._live.script(_RESCHEDULE, [DUE_NAMESPACES], arguments, idempotent=True)

    async def _due(self, key: str, at: datetime, limit: int) -> list[tuple[str, float]]:
        until = milliseconds(at)
        page = {"start": 0, "num": limit, "withscores": True}
        due: list[tuple[str, float]] = await self._live.command(
            "zrangebyscore", key, "-inf", until, **page
        )
        return due

    async def _set_due(self, scope: Scope, at: int) -> None:
        await self._live.command("zadd", DUE_NAMESPACES, {_member(scope): at}, lt=True)


def _keys(scope: Scope) -> list[str]:
    return [_session_key(scope, _session(scope)), _sessions_key(scope)]


def _session_key(scope: Scope, session_id: str) -> str:
    return live_key(scope, "working", session_id)


def _sessions_key(scope: Scope) -> str:
    return live_key(scope, "working-sessions")


def _session(scope: Scope) -> str:
    if scope.session_id is None:
        raise InvalidRequest("live items belong to a session; name it", path="session_id")
    return scope.session_id


def _agents(scope: Scope) -> str:
    return json.dumps([agent or "" for agent in scope.agents])


def _member(scope: Scope) -> str:
    return json.dumps([scope.tenant, scope.namespace])


def _record(item: LiveItem) -> str:
    """Encode an item as JSON, in the format of working_common.lua. The text is also the item's
    `revision`.
    """
    memory = item.memory
    return json.dumps(
        {
            "memory": json.dumps(memory.to_payload()),
            "todo": memory.todo_id or "",
            "agent": memory.agent_id or "",
            "ttl": round(item.ttl.total_seconds() * 1000),
            "expires": milliseconds(memory.expires_at or memory.updated_at + item.ttl),
            "accessed": 0 if memory.accessed_at is None else milliseconds(memory.accessed_at),
            "cleared": 0 if memory.cleared_at is None else milliseconds(memory.cleared_at),
            "is_todo": item.is_todo,
            "reason": memory.cleared_reason or "",
            "revision": secrets.randbelow(10**9),
        }
    )


def _item(record: str) -> LiveItem:
    stored = json.loads(record)
    times = {
        f"{name}_at": datetime.fromtimestamp(stored[name] / 1000, UTC) if stored[name] else None
        for name in ("accessed", "cleared", "expires")
    }
    reason = ClearReason(stored["reason"]) if stored.get("reason") else None
    memory = Working.model_validate_json(stored["memory"]).model_copy(
        update={**times, "cleared_reason": reason}
    )
    return LiveItem(
        memory,
        timedelta(milliseconds=stored["ttl"]),
        is_todo=bool(stored.get("is_todo")),
        revision=record,
    )

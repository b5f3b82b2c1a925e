"""Live working memory (notes on the current task) on Redis: a hash of items for each session.

A background job copies changed items to the memory store. A sorted set contains the namespaces that
have such items, with the times at which the job must handle them. The sessions of a namespace are
in one cluster slot; the sorted set is in another, so it is updated after the items. A crash in
between only delays deletions.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope
from memtypes.model.times import milliseconds
from memtypes.model.working import Working
from memtypes.ports.working import DueNamespace, ItemSelection, LiveItem, LiveItemStore
from memtypes.stores.redis.connection.availability import COMMAND, READ
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key, service_key
from memtypes.stores.redis.scripts import Argument, Script

DUE_NAMESPACES = service_key("working-due")

_PUT, _TOUCH, _CLEAR, _PAUSE, _MARK_SYNCED = (
    Script.load("working_common", f"working_{name}")
    for name in ("put", "touch", "clear", "pause", "mark_synced")
)
_RESCHEDULE = Script.load("working_reschedule")


class RedisWorking(LiveItemStore):
    """Implements `LiveItemStore` on Redis: stores the live working items of the sessions of all
    namespaces.
    """

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def put(self, scope: Scope, item: LiveItem) -> None:
        """Store a working memory item in the scope's session. A background job copies it to the
        memory store.
        """
        at = milliseconds(item.memory.updated_at)
        arguments = (item.memory.id, _record(item), _session(scope), at, _agents(scope))
        await self._live.script(_PUT, _keys(scope), arguments, idempotent=True)
        await self._set_due(scope, at)

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

    async def touch(self, scope: Scope, ids: Sequence[str], at: datetime) -> None:
        """Restart the items' time to live. Call this after the API answer is sent, as it waits for
        a disk write.
        """
        arguments: list[Argument] = [milliseconds(at), _session(scope), *ids]
        if await self._live.script(_TOUCH, _keys(scope), arguments, idempotent=False):
            await self._set_due(scope, milliseconds(at))

    async def clear(self, scope: Scope, selection: ItemSelection, at: datetime) -> list[str]:
        """Mark the selected items of the session as cleared, so that prompts no longer show them.
        Returns their ids.
        """
        arguments = (
            milliseconds(at),
            _session(scope),
            selection.todo_id,
            selection.id,
            _agents(scope),
        )
        ids: list[str] = await self._live.script(_CLEAR, _keys(scope), arguments, idempotent=False)
        if ids:
            await self._set_due(scope, milliseconds(at))
        return ids

    async def set_paused(self, scope: Scope, at: datetime, *, paused: bool) -> int:
        """Pause the session's to-dos and their notes, or resume all of its items; return how many
        changed.
        """
        arguments = (milliseconds(at), int(paused), _agents(scope))
        changed: int = await self._live.script(_PAUSE, _keys(scope), arguments, idempotent=True)
        return changed

    async def due_namespaces(self, at: datetime, limit: int) -> list[DueNamespace]:
        """Return namespaces with working memory items that are due to be copied to the memory
        store, or deleted.
        """
        due = await self._due(DUE_NAMESPACES, at, limit)
        return [DueNamespace(Scope(*json.loads(name)), f"{score:.0f}") for name, score in due]

    async def due_sessions(self, scope: Scope, at: datetime, limit: int) -> list[str]:
        """Return sessions with working memory items that are due to be copied to the memory store,
        or deleted.
        """
        return [session for session, _ in await self._due(_sessions_key(scope), at, limit)]

    async def mark_synced(self, scope: Scope, items: Sequence[LiveItem], at: datetime) -> None:
        """Mark items as copied to the memory store, or delete them if cleared or expired. Skips
        items changed since.
        """
        arguments: list[Argument] = [milliseconds(at), _session(scope)]
        for item in items:
            arguments += [item.memory.id, item.revision]
        await self._live.script(_MARK_SYNCED, _keys(scope), arguments, idempotent=True)

    async def reschedule(self, due: DueNamespace) -> None:
        """Set when a namespace's items must next be copied or deleted; see `LiveItemStore`."""
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
    return [live_key(scope, "working", _session(scope)), _sessions_key(scope)]


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
            "unsynced": True,
            "is_todo": item.is_todo,
            "paused": item.paused,
            "revision": secrets.randbelow(10**9),
        }
    )


def _item(record: str) -> LiveItem:
    stored = json.loads(record)
    times = {
        f"{name}_at": datetime.fromtimestamp(stored[name] / 1000, UTC) if stored[name] else None
        for name in ("accessed", "cleared", "expires")
    }
    memory = Working.model_validate_json(stored["memory"]).model_copy(update=times)
    flags = {name: bool(stored.get(name)) for name in ("unsynced", "is_todo", "paused")}
    return LiveItem(memory, timedelta(milliseconds=stored["ttl"]), **flags, revision=record)

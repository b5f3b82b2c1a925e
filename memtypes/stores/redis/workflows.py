"""Workflows on Redis: one hash and one list each, every change one script and one round trip.

A workflow's hash holds its version, status, place in its chain, first and newest snapshot; the list is its log, where
the event of version v stands at v - 1. What has ended keeps its hash for a day and its log for an hour.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from redis.asyncio import Redis

from memtypes.live.events import Event
from memtypes.live.workflow_state import STATUS_AFTER, WorkflowState, WorkflowStatus
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.workflows import (
    MAX_CHAIN,
    MAX_EVENTS,
    AppendEvent,
    ChainLink,
    EventAppended,
    NewWorkflow,
    WorkflowLog,
    WorkflowStore,
)
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.scripts import Script

LIFE_S = 24 * 3_600
"""Seconds a workflow lives after its last event, or its last descendant's."""

ENDED_LOG_S = 3_600
"""Seconds the log of an ended workflow can still be read; its state stays for LIFE_S."""

CLAIM_S = 60
"""Seconds that recording an ended workflow may take before another tries."""

_KIND = "workflow"
_OUTBOX = "workflows-ended"


_CREATE, _APPEND, _LOAD, _SNAPSHOT, _CHAIN = (
    Script.load(f"workflow_{name}") for name in ("create", "append", "load", "snapshot", "chain")
)


class RedisWorkflows(WorkflowStore):
    """The store of workflows on a live client."""

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def create(self, scope: Scope, new: NewWorkflow) -> None:
        """Begin a workflow; see the port."""
        own = _key(scope, new.workflow_id)
        parent = own if new.parent_id is None else _key(scope, new.parent_id)
        base = new.base.to_json().decode()
        arguments: list[str | int | float] = [
            new.workflow_id,
            new.parent_id or "",
            base,
            rfc3339(new.created_at),
            LIFE_S,
            MAX_CHAIN,
        ]
        answer = (await self._live.script(_CREATE, [own, parent], arguments, idempotent=False))[0]
        if answer == "taken":
            raise Conflict(f"workflow {new.workflow_id!r} exists; leave out workflow_id to get a new one")
        if answer == "no_parent":
            raise NotFound(f"there is no workflow {new.parent_id!r} in this namespace to be the parent")
        if answer == "cycle":
            raise InvalidRequest(f"{new.workflow_id!r} would be its own ancestor", path="parent_id", got=new.parent_id)
        if answer == "deep":
            raise InvalidRequest(f"a chain has at most {MAX_CHAIN} workflows", path="parent_id", got=new.parent_id)

    async def append(self, scope: Scope, append: AppendEvent) -> EventAppended:
        """Append an event; see the port."""
        own = _key(scope, append.workflow_id)
        once = append.once
        answers = live_key(scope, _KIND, append.workflow_id, "once", once.key) if once else own
        keys = [own, f"{own}:log", live_key(scope, _OUTBOX), answers]
        arguments: list[str | int | float] = [
            append.event.to_json().decode(),
            STATUS_AFTER.get(append.event.type, ""),
            "" if append.expected is None else append.expected,
            LIFE_S,
            ENDED_LOG_S,
            MAX_EVENTS,
            json.dumps([scope.tenant, scope.namespace, append.workflow_id]),
            once.digest if once else "",
            once.answer if once else "",
        ]
        answer = await self._live.script(_APPEND, keys, arguments, idempotent=once is not None)
        return _appended(append, answer)

    async def load(self, scope: Scope, workflow_id: str, at_version: int | None = None) -> WorkflowLog:
        """The workflow; see the port."""
        own = _key(scope, workflow_id)
        asked = "" if at_version is None else at_version
        answer = await self._live.script(_LOAD, [own, f"{own}:log"], [asked], idempotent=True)
        if answer[0] == "missing":
            raise _unknown(workflow_id)
        if answer[0] == "ahead":
            raise InvalidRequest(f"the newest version is {answer[1]}", path="at_version", got=at_version)
        return _log(workflow_id, at_version, answer)

    async def events(self, scope: Scope, workflow_id: str, after: int, limit: int) -> tuple[Event, ...]:
        """A part of the log; see the port."""
        own = _key(scope, workflow_id)

        async def read(redis: Redis) -> list[Any]:
            async with redis.pipeline(transaction=True) as both:
                both.hget(own, "version")
                both.exists(f"{own}:log")
                both.lrange(f"{own}:log", after, after + limit - 1)
                return list(await both.execute())

        version, kept, found = await self._live.run(read, idempotent=True, key=own)
        if version is None:
            raise _unknown(workflow_id)
        if int(version) and not kept:
            raise _log_gone(workflow_id)
        return tuple(Event.from_json(one, after + number) for number, one in enumerate(found, 1))

    async def snapshot(self, scope: Scope, workflow_id: str, state: WorkflowState) -> None:
        """Keep a state; see the port."""
        arguments: list[str | int | float] = [state.version, state.to_json().decode()]
        await self._live.script(_SNAPSHOT, [_key(scope, workflow_id)], arguments, idempotent=True)

    async def chain(self, scope: Scope, workflow_id: str) -> tuple[ChainLink, ...]:
        """The chain; see the port."""
        answer = await self._live.script(_CHAIN, [_key(scope, workflow_id)], [], idempotent=True)
        if answer[0] == "missing":
            raise _unknown(workflow_id)
        ids = [*_ids(answer[1]), workflow_id]
        return tuple(_link(one, found) for one, found in zip(ids, answer[2], strict=True))

    async def claim(self, scope: Scope, workflow_id: str) -> bool:
        """Whether the caller may record it; see the port."""
        key = live_key(scope, _KIND, workflow_id, "recording")
        member = json.dumps([scope.tenant, scope.namespace, workflow_id])

        async def take(redis: Redis) -> bool:
            waiting = await redis.sismember(live_key(scope, _OUTBOX), member)
            return bool(waiting) and bool(await redis.set(key, "1", nx=True, ex=CLAIM_S))

        return await self._live.run(take, idempotent=False, key=key)

    async def recorded(self, scope: Scope, workflow_id: str) -> None:
        """Take it from those to be recorded; see the port."""
        member = json.dumps([scope.tenant, scope.namespace, workflow_id])

        async def done(redis: Redis) -> None:
            await redis.srem(live_key(scope, _OUTBOX), member)
            await redis.delete(live_key(scope, _KIND, workflow_id, "recording"))

        await self._live.run(done, idempotent=True, key=_key(scope, workflow_id))

    async def unrecorded(self) -> AsyncIterator[tuple[Scope, str]]:
        """What is still to be recorded; see the port."""
        for key in await self._live.keys_matching(f"rm:*:{_OUTBOX}"):
            for member in await self._live.run(partial(_members, key=key), idempotent=True, key=key):
                tenant, namespace, workflow_id = json.loads(member)
                yield Scope(tenant, namespace), workflow_id


async def _members(redis: Redis, key: str) -> Any:
    return await redis.smembers(key)


def _key(scope: Scope, workflow_id: str) -> str:
    return live_key(scope, _KIND, workflow_id)


def _unknown(workflow_id: str) -> NotFound:
    return NotFound(f"there is no workflow {workflow_id!r} in this namespace; it lives 24 hours after its last event")


def _log_gone(workflow_id: str) -> NotFound:
    return NotFound(f"workflow {workflow_id!r} has ended, and its events are gone; its last state can still be read")


def _ids(kept: str) -> list[str]:
    return list(json.loads(kept))  # an empty list is kept as {} by Lua


def _appended(append: AppendEvent, answer: list[Any]) -> EventAppended:
    match answer:
        case ["ok", version]:
            return EventAppended(int(version))
        case ["again", version, kept]:
            return EventAppended(int(version), kept)
        case ["version", version]:
            raise VersionConflict(
                f"version {version} is current, not {append.expected}; read the workflow and try again",
                current_version=int(version),
            )
        case ["ended", version, status]:
            raise VersionConflict(
                f"workflow {append.workflow_id!r} is {status}, and nothing more can happen in it; "
                "create another with parent_id to go on",
                current_version=int(version),
            )
        case ["full", *_]:
            raise Conflict(f"a workflow has at most {MAX_EVENTS} events; create another with parent_id to go on")
        case ["other"]:
            raise Conflict("this idempotency_key was used with another input or budget; take a new one")
        case _:
            raise _unknown(append.workflow_id)


def _log(workflow_id: str, at_version: int | None, answer: list[Any]) -> WorkflowLog:
    _, newest, parent, ancestors, base, taken, lost, found = answer
    asked = int(newest) if at_version is None else at_version
    if lost and int(taken) != asked and len(found) < asked - int(taken):
        raise _log_gone(workflow_id)
    events = tuple(Event.from_json(one, int(taken) + number) for number, one in enumerate(found, 1))
    state = WorkflowState.from_json(base)
    return WorkflowLog(workflow_id, parent or None, int(newest), tuple(_ids(ancestors)), state, events, bool(lost))


def _link(workflow_id: str, found: list[str | None]) -> ChainLink:
    parent, status, version = found
    if status is None or version is None:
        return ChainLink(workflow_id)
    return ChainLink(workflow_id, parent or None, WorkflowStatus(status), int(version))

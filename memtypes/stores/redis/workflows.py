"""Workflows on Redis: a hash and a list for each workflow; every change is one Lua script and one
round trip.

The hash of a workflow contains its version, status, initial state, newest snapshot and ancestors
(ids of its parent, the parent's parent and so on). The list is its event log: the event that made
version v is at index v - 1. A set contains the workflow's threads and sessions. Each namespace has
an index: a sorted set of its workflows by time of creation. See `Lifetimes` for when they expire.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from memtypes.live.workflows import STATUS_AFTER, Event, OnEnd, WorkflowState, WorkflowStatus
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.workflows import (
    MAX_CHAIN,
    MAX_EVENTS,
    AppendEvent,
    EventAppended,
    NewWorkflow,
    WorkflowListing,
    WorkflowLog,
    WorkflowMembers,
    WorkflowPage,
    WorkflowStore,
    WorkflowSummary,
)
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.connection.topology import Connection
from memtypes.stores.redis.keys import every_scope, live_key, live_part, scope_of
from memtypes.stores.redis.scripts import Argument, Script

CLAIM_S = 60
"""Seconds for which a process may claim the recording of an ended workflow. Then another process
may claim it.
"""

_UNRECORDED = "workflows-ended"
_OPEN = "workflows-open"
"""The `kind` in the key (see `live_key`) of a namespace's open workflows by the time at which they
expire. The scripts use the same name.
"""

_MAX_EXPIRED = 1_000
"""Maximum number of workflows of a namespace that one call of `expired` yields."""

_INDEX = "workflows"

_TIME_DIGITS = 17
"""Number of digits of the time with which a workflow's index entry begins: its creation, in
microseconds since 1970.
"""

_CHUNK = 200
_MAX_SCANNED = 2_000
"""Maximum number of index entries that a page examines, so that a search for a rare status takes
several calls.
"""

_SUMMARY = ("place", "parent", "status", "version", "on_end", "created", "updated")

_CREATE, _APPEND, _LOAD, _SNAPSHOT, _JOIN, _EXPIRED = (
    Script.load("workflow_common", f"workflow_{name}")
    for name in ("create", "append", "load", "snapshot", "join", "expired")
)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds for which a workflow is stored after its last event. ended_log: for the log of an
    ended workflow.
    """

    workflow: int = 24 * 3_600
    ended_log: int = 24 * 3_600


class RedisWorkflows(WorkflowStore):
    """Implements `WorkflowStore` on Redis: stores workflows (logs of events that agents report)."""

    def __init__(self, live: LiveClient, lifetimes: Lifetimes | None = None) -> None:
        self._live = live
        self._lifetimes = lifetimes or Lifetimes()

    async def create(self, scope: Scope, new: NewWorkflow) -> None:
        """Create a workflow. Raises Conflict if its id is taken, NotFound if its parent workflow
        does not exist.
        """
        workflow = _key(scope, new.workflow_id)
        parent = workflow if new.parent_id is None else _key(scope, new.parent_id)
        microseconds = round(new.created_at.timestamp() * 1_000_000)
        index_entry = f"{microseconds:0{_TIME_DIGITS}d}:{live_part(new.workflow_id)}"
        arguments: list[Argument] = [
            *(
                new.workflow_id,
                new.parent_id,
                new.base.to_json(),
                rfc3339(new.created_at),
                self._lifetimes.workflow,
            ),
            *(
                MAX_CHAIN,
                new.on_end,
                index_entry,
                max(self._lifetimes.workflow, self._lifetimes.ended_log),
            ),
        ]
        keys = [workflow, parent, live_key(scope, _INDEX)]
        match await self._live.script(_CREATE, keys, arguments, idempotent=False):
            case ["taken"]:
                raise Conflict(
                    f"workflow {new.workflow_id!r} exists; leave out workflow_id to get a new one"
                )
            case ["no_parent"]:
                raise NotFound(
                    f"the parent workflow {new.parent_id!r} is not in this namespace; it "
                    "may have expired"
                )
            case ["cycle"]:
                message = f"{new.workflow_id!r} would be its own ancestor"
                raise InvalidRequest(message, path="parent_id", got=new.parent_id)
            case ["deep"]:
                raise InvalidRequest(
                    f"a chain has at most {MAX_CHAIN} workflows",
                    path="parent_id",
                    got=new.parent_id,
                )

    async def append(self, scope: Scope, append: AppendEvent) -> EventAppended:
        """Append an event to a workflow's log, once per idempotency key; see `WorkflowStore`."""
        workflow = _key(scope, append.workflow_id)
        once = append.once
        answers = (
            live_key(scope, "workflow", append.workflow_id, "once", once.key) if once else workflow
        )
        arguments: list[Argument] = [
            *(append.event.to_json(), STATUS_AFTER.get(append.event.type), append.expected),
            *(
                self._lifetimes.workflow,
                self._lifetimes.ended_log,
                MAX_EVENTS,
                _member(scope, append.workflow_id),
            ),
            *(
                once.digest if once else None,
                once.answer if once else None,
                rfc3339(append.event.at),
            ),
        ]
        keys = [
            workflow,
            f"{workflow}:log",
            live_key(scope, _UNRECORDED),
            live_key(scope, _INDEX),
            answers,
        ]
        return _appended(
            append, await self._live.script(_APPEND, keys, arguments, idempotent=once is not None)
        )

    async def load(
        self, scope: Scope, workflow_id: str, at_version: int | None = None
    ) -> WorkflowLog:
        """Return a stored state, and the events that lead from it to `at_version` (None: the newest
        version).
        """
        workflow = _key(scope, workflow_id)
        answer = await self._live.script(
            _LOAD, [workflow, f"{workflow}:log"], [at_version], idempotent=True
        )
        if answer[0] == "missing":
            raise _unknown(workflow_id)
        if answer[0] == "ahead":
            raise InvalidRequest(
                f"the newest version is {answer[1]}", path="at_version", got=at_version
            )
        _, newest, parent, ancestors, base, base_version, expired, log, on_end, left = answer
        requested = int(newest) if at_version is None else at_version
        if expired and len(log) < requested - int(base_version):
            raise _log_expired(workflow_id)
        state = WorkflowState.from_json(base)
        events = _events(log, int(base_version))
        ids = tuple(json.loads(ancestors))  # Lua encodes an empty list as {}
        return WorkflowLog(
            workflow_id,
            parent or None,
            int(newest),
            ids,
            state,
            events,
            bool(expired),
            OnEnd(on_end or OnEnd.FLUSH),
            int(left),
        )

    async def events(
        self, scope: Scope, workflow_id: str, after: int, limit: int
    ) -> tuple[Event, ...]:
        """Return up to `limit` events of the log that follow version `after`; see
        `WorkflowStore`.
        """
        workflow = _key(scope, workflow_id)

        async def read(redis: Connection) -> list[Any]:
            async with redis.pipeline(transaction=True) as pipeline:
                pipeline.hget(workflow, "version")
                pipeline.exists(f"{workflow}:log")
                pipeline.lrange(f"{workflow}:log", after, after + limit - 1)
                return list(await pipeline.execute())

        version, has_log, events = await self._live.run(read, idempotent=True, key=workflow)
        if version is None:
            raise _unknown(workflow_id)
        if int(version) and not has_log:
            raise _log_expired(workflow_id)
        return _events(events, after)

    async def snapshot(self, scope: Scope, workflow_id: str, state: WorkflowState) -> None:
        """Store a workflow's state as a snapshot, from which later loads start; see
        `WorkflowStore`.
        """
        arguments: list[Argument] = [state.version, state.to_json()]
        await self._live.script(_SNAPSHOT, [_key(scope, workflow_id)], arguments, idempotent=True)

    async def page(self, scope: Scope, listing: WorkflowListing) -> WorkflowPage:
        """Return a page of the workflows that match `listing`, latest created first; see
        `WorkflowStore`.
        """
        index = live_key(scope, _INDEX)
        last = listing.cursor
        if last is not None and not re.fullmatch(rf"[0-9]{{{_TIME_DIGITS}}}:.+", last):
            raise InvalidRequest(
                "must be the next_cursor of the page before", path="cursor", got=last
            )
        workflows: list[WorkflowSummary] = []
        for _ in range(_MAX_SCANNED // _CHUNK):
            members, fields = await self._scan(scope, index, last)
            for member, stored in zip(members, fields, strict=True):
                summary = _summary(member, stored, listing)
                if summary is not None:
                    if len(workflows) == listing.limit:
                        return WorkflowPage(tuple(workflows), last)
                    workflows.append(summary)
                last = member
            if len(members) < _CHUNK:
                return WorkflowPage(tuple(workflows), None)
        return WorkflowPage(tuple(workflows), last)

    async def _scan(
        self, scope: Scope, index: str, after: str | None
    ) -> tuple[list[str], list[list[str | None]]]:
        """The index entries that follow `after`, and each workflow's summary fields. Removes
        expired entries.
        """
        before = "+" if after is None else f"({after}"

        async def read(redis: Connection) -> tuple[list[str], list[list[str | None]]]:
            members: list[str] = await redis.zrevrangebylex(index, before, "-", start=0, num=_CHUNK)
            async with redis.pipeline(transaction=True) as pipeline:
                for member in members:
                    pipeline.hmget(_key(scope, _id_of(member)), _SUMMARY)
                fields = await pipeline.execute() if members else []
            expired = [
                member
                for member, stored in zip(members, fields, strict=True)
                if stored[0] != member
            ]
            if expired:
                await redis.zrem(index, *expired)
            return members, fields

        return await self._live.run(read, idempotent=True, key=index)

    async def join(
        self,
        scope: Scope,
        workflow_id: str,
        *,
        thread: str | None = None,
        session: str | None = None,
    ) -> None:
        """Add a thread or a session to the members of a workflow; see `WorkflowStore`."""
        member = json.dumps([thread, session])
        keys = [_key(scope, workflow_id), f"{_key(scope, workflow_id)}:members"]
        match await self._live.script(_JOIN, keys, [member], idempotent=True):
            case ["missing"]:
                raise _unknown(workflow_id)
            case ["ended", status]:
                raise Conflict(
                    f"workflow {workflow_id!r} is {status}; leave out workflow_id, or "
                    "begin another workflow"
                )

    async def expired(self) -> AsyncIterator[tuple[Scope, str, int]]:
        """Yield the scope, id and version of open workflows whose time is over; see
        `WorkflowStore`.
        """
        for key in await self._live.keys_matching(every_scope(_OPEN)):
            scope = scope_of(key)
            expired = await self._live.script(
                _EXPIRED, [_key(scope, "")], [_MAX_EXPIRED], idempotent=True
            )
            for workflow, version in expired:
                encoded = workflow.removeprefix(_key(scope, ""))
                yield scope, unquote(encoded, errors="surrogatepass"), int(version)

    async def members(self, scope: Scope, workflow_id: str) -> WorkflowMembers:
        """Return the threads and sessions of a workflow; see `WorkflowStore`."""
        members = sorted(
            await self._live.command("smembers", f"{_key(scope, workflow_id)}:members")
        )
        threads, sessions = zip(*map(json.loads, members), strict=True) if members else ((), ())
        return WorkflowMembers(tuple(filter(None, threads)), tuple(filter(None, sessions)))

    async def claim(self, scope: Scope, workflow_id: str) -> bool:
        """Claim the recording of an ended workflow for CLAIM_S seconds. Returns False if it is
        claimed or recorded.
        """
        claim = live_key(scope, "workflow", workflow_id, "recording")

        async def take(redis: Connection) -> bool:
            if not await redis.set(claim, "1", nx=True, ex=CLAIM_S):
                return False
            # Checked after the claim is taken, as the process that had it before may just have
            # recorded the workflow.
            if await redis.sismember(live_key(scope, _UNRECORDED), _member(scope, workflow_id)):
                return True
            await redis.delete(claim)
            return False

        return await self._live.run(take, idempotent=False, key=claim)

    async def recorded(self, scope: Scope, workflow_id: str) -> None:
        """Mark an ended workflow as stored as memories; see `WorkflowStore`."""

        async def remove(redis: Connection) -> None:
            await redis.srem(live_key(scope, _UNRECORDED), _member(scope, workflow_id))
            await redis.delete(live_key(scope, "workflow", workflow_id, "recording"))

        await self._live.run(remove, idempotent=True, key=_key(scope, workflow_id))

    async def unrecorded(self) -> AsyncIterator[tuple[Scope, str]]:
        """Yield the scope and id of every ended workflow that is not stored as memories yet; see
        `WorkflowStore`.
        """
        for key in await self._live.keys_matching(every_scope(_UNRECORDED)):
            for member in await self._live.command("smembers", key):
                tenant, namespace, workflow_id = json.loads(member)
                yield Scope(tenant, namespace), workflow_id


def _key(scope: Scope, workflow_id: str) -> str:
    return live_key(scope, "workflow", workflow_id)


def _id_of(member: str) -> str:
    """The workflow id in an index entry, which consists of the time of creation, ":" and the id."""
    return unquote(member[_TIME_DIGITS + 1 :], errors="surrogatepass")


def _summary(
    member: str, fields: list[str | None], listing: WorkflowListing
) -> WorkflowSummary | None:
    """The summary of a workflow by its _SUMMARY fields. None if its index entry is outdated, or not
    in `listing`.
    """
    index_entry, parent, status, version, on_end, created, updated = fields
    if index_entry != member or not (status and version and on_end and created and updated):
        return None
    if listing.status not in (None, status) or listing.parent_id not in (None, parent):
        return None
    times = (datetime.fromisoformat(created), datetime.fromisoformat(updated))
    return WorkflowSummary(
        _id_of(member), parent or None, WorkflowStatus(status), int(version), OnEnd(on_end), *times
    )


def _member(scope: Scope, workflow_id: str) -> str:
    """The entry of a workflow in the set of ended workflows that are not stored as memories yet."""
    return json.dumps([scope.tenant, scope.namespace, workflow_id])


def _unknown(workflow_id: str) -> NotFound:
    return NotFound(f"there is no workflow {workflow_id!r} in this namespace; it may have expired")


def _log_expired(workflow_id: str) -> NotFound:
    return NotFound(
        f"workflow {workflow_id!r} has ended and its events have expired; its last state "
        "can still be read"
    )


def _events(log: list[str], after: int) -> tuple[Event, ...]:
    return tuple(Event.from_json(event, version) for version, event in enumerate(log, after + 1))


def _appended(append: AppendEvent, answer: list[Any]) -> EventAppended:
    match answer:
        case ["ok", version]:
            return EventAppended(int(version))
        case ["again", version, stored]:
            return EventAppended(int(version), stored)
        case ["version", version]:
            raise VersionConflict(
                (
                    f"version {version} is current, not {append.expected}; read the workflow "
                    "and try again"
                ),
                current_version=int(version),
            )
        case ["ended", version, status]:
            raise VersionConflict(
                f"workflow {append.workflow_id!r} is {status} and takes no more events; "
                "create another with parent_id to go on",
                current_version=int(version),
            )
        case ["full", *_]:
            raise Conflict(
                f"a workflow has at most {MAX_EVENTS} events; create another with "
                "parent_id to go on"
            )
        case ["other"]:
            raise Conflict("this idempotency_key was used with another request; use a new one")
        case _:
            raise _unknown(append.workflow_id)

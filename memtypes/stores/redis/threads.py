"""Threads on Redis: every change is one script and one round trip.

A thread's hash holds its version, tokens, place in its chain and summary; beside it lie its turns and their sizes by
index, and three orders: by index, by who leaves first, by last use. What left waits in a list of the namespace.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from memtypes.live.turns import Turn
from memtypes.model.errors import InvalidRequest, NotFound
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.threads import (
    MAX_CHAIN,
    AppendTurn,
    NewThread,
    Removal,
    Replacement,
    Thread,
    ThreadContent,
    ThreadStore,
    TurnAppended,
)
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.evicted_turns import EVICTED
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.scripts import Script
from memtypes.stores.redis.thread_codec import (
    created_id,
    evicted_head,
    or_none,
    paired,
    rank_word,
    refuse,
    thread_fields,
    thread_of,
    turn_of,
)

BACKUP_S = 24 * 3_600
"""Seconds a backup is kept."""

_KIND = "thread"


_CREATE, _APPEND, _READ, _REMOVE, _REPLACE, _USE, _DELETE = (
    Script.load("thread_common", f"thread_{name}")
    for name in ("create", "append", "read", "remove", "replace", "use", "delete")
)


class RedisThreads(ThreadStore):
    """The store of threads on a live client."""

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def create(self, scope: Scope, new: NewThread) -> str:
        """Begin a thread; see the port."""
        own = _key(scope, new.thread_id)
        parent = own if new.parent_id is None else _key(scope, new.parent_id)
        named = new.key is not None
        name = live_key(scope, "thread-name", new.resource or "", new.key or "") if named else own
        arguments = [new.thread_id, new.parent_id or "", MAX_CHAIN, *thread_fields(new)]
        answer = await self._live.script(_CREATE, [own, parent, name], arguments, idempotent=False)
        return created_id(new, answer)

    async def append(self, scope: Scope, append: AppendTurn) -> TurnAppended:
        """Append a turn; see the port."""
        limits = append.limits
        arguments = [
            append.turn.to_json(),
            append.turn.tokens,
            rank_word(append.rank),
            *map(or_none, (append.expected, limits.tokens, limits.messages)),
            limits.turns,
            evicted_head(scope, append.thread_id),
        ]
        keys = [_key(scope, append.thread_id), live_key(scope, EVICTED)]
        answer = await self._live.script(_APPEND, keys, arguments, idempotent=False)
        refuse(append.thread_id, answer)
        if answer[0] == "turns":
            raise InvalidRequest(f"this thread has at most {limits.turns} turns; flush or clear it", path="thread_id")
        if answer[0] == "full":
            raise InvalidRequest("the turn does not fit: what stays in this thread fills its limits", path="content")
        return TurnAppended(*map(int, answer[1:]))

    async def look(self, scope: Scope, thread_id: str) -> Thread:
        """The thread; see the port."""
        return (await self._read(scope, thread_id, 1, 0)).thread

    async def read(self, scope: Scope, thread_id: str) -> ThreadContent:
        """The thread and its turns; see the port."""
        return await self._read(scope, thread_id, 0, -1)

    async def page(self, scope: Scope, thread_id: str, offset: int, limit: int) -> ThreadContent:
        """A part of its turns; see the port."""
        return await self._read(scope, thread_id, offset, offset + limit - 1, used=True)

    async def use(self, scope: Scope, thread_id: str, indices: Sequence[int]) -> None:
        """Count turns as used; see the port."""
        if indices:
            await self._live.script(_USE, [_key(scope, thread_id)], list(indices), idempotent=True)

    async def remove(self, scope: Scope, removal: Removal) -> bool:
        """Take turns out; see the port."""
        arguments: list[str | int | float] = [
            json.dumps(removal.indices),
            evicted_head(scope, removal.thread_id),
            rfc3339(removal.at),
            "0" if removal.summary is None else "1",
            removal.summary or "",
            removal.summary_tokens,
        ]
        keys = [_key(scope, removal.thread_id), live_key(scope, EVICTED)]
        answer = await self._live.script(_REMOVE, keys, arguments, idempotent=False)
        refuse(removal.thread_id, answer)
        return bool(answer[0] == "ok")

    async def replace(self, scope: Scope, replacement: Replacement) -> int:
        """Replace the turns; see the port."""
        arguments: list[str | int | float] = [or_none(replacement.expected), BACKUP_S]
        for turn, rank in replacement.turns:
            arguments += [turn.to_json(), turn.tokens, rank_word(rank)]
        own = _key(scope, replacement.thread_id)
        answer = await self._live.script(_REPLACE, [own, own], arguments, idempotent=False)
        refuse(replacement.thread_id, answer)
        return int(answer[1])

    async def clear(self, scope: Scope, thread_id: str, backup_id: str | None) -> int:
        """Empty the thread; see the port."""
        own = _key(scope, thread_id)
        backup = own if backup_id is None else live_key(scope, "thread-backup", backup_id)
        answer = await self._live.script(_REPLACE, [own, backup], ["", BACKUP_S], idempotent=False)
        refuse(thread_id, answer)
        return int(answer[2])

    async def backup(self, scope: Scope, backup_id: str) -> tuple[Turn, ...]:
        """The turns of a backup; see the port."""
        key = live_key(scope, "thread-backup", backup_id)
        kept = await self._live.run(lambda redis: redis.get(key), idempotent=True, key=key)
        if kept is None:
            raise NotFound(f"there is no backup {backup_id!r} in this namespace; it is kept for 24 hours")
        return tuple(Turn.from_json(json.dumps(raw), index) for index, raw in json.loads(kept))

    async def delete(self, scope: Scope, thread_id: str) -> None:
        """Remove the thread; see the port."""
        refuse(thread_id, await self._live.script(_DELETE, [_key(scope, thread_id)], [], idempotent=False))

    async def _read(self, scope: Scope, thread_id: str, first: int, last: int, *, used: bool = False) -> ThreadContent:
        arguments = [first, last, "1" if used else "0"]
        answer = await self._live.script(_READ, [_key(scope, thread_id)], arguments, idempotent=True)
        refuse(thread_id, answer)
        _, meta, turns, order = answer
        return ThreadContent(
            thread_of(thread_id, paired(meta)),
            tuple(turn_of(one) for one in turns),
            {int(index): place for place, index in enumerate(order)},
        )


def _key(scope: Scope, thread_id: str) -> str:
    return live_key(scope, _KIND, thread_id)

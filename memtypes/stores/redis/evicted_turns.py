"""Turns that wait to be stored as memories, on Redis: turns evicted from threads, or sent by clients.

Lua scripts add them in batches to a queue of the namespace. A batch is stored as JSON. The text of this JSON also
identifies the batch (`EvictedTurns.token`). A batch whose storing has failed several times is moved from the queue to a
list of its thread or session, and retried later.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

from memtypes.live.turns import Turn
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.threads import EvictedBacklog, EvictedTurns, EvictedTurnStore
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.scripts import Script

_QUEUE = "thread-evicted"
_ASIDE = "thread-aside"
_MOVE = Script.load("thread_move")


def queue_key(scope: Scope, queue: str = _QUEUE) -> str:
    """Redis key of a queue of turns in the namespace. queue: the `kind` of `live_key`; by default evicted turns."""
    return live_key(scope, queue)


def batch_head(scope: Scope, thread_id: str) -> str:
    """The beginning of a batch's JSON. A Lua script, which gets it as an argument, appends the turns and `]}`."""
    head = {"tenant": scope.tenant, "namespace": scope.namespace, "thread_id": thread_id}
    return json.dumps(head)[:-1] + ', "turns": ['


class RedisEvictedTurns(EvictedTurnStore):
    """Stores batches of turns in Redis lists. queue, aside: `kind` in the keys of queued and of set-aside batches."""

    def __init__(self, live: LiveClient, queue: str = _QUEUE, aside: str = _ASIDE) -> None:
        self._live = live
        self._queue = queue
        self._aside = aside

    async def pending(self, scope: Scope, limit: int) -> list[EvictedTurns]:
        """Return the first `limit` batches of the namespace's queue; see `EvictedTurnStore`."""
        return [_batch(token) for token in await self._range(queue_key(scope, self._queue), limit - 1)]

    async def acknowledge(self, scope: Scope, batch: EvictedTurns) -> None:
        """Remove a batch from the queue once its turns are stored as memories; see `EvictedTurnStore`."""
        await self._live.command("lrem", queue_key(scope, self._queue), 1, batch.token)

    async def postpone(self, scope: Scope, batch: EvictedTurns, tries: int) -> None:
        """Move a batch to the end of its queue after `tries` failed attempts to store it; see `EvictedTurnStore`."""
        key = queue_key(scope, self._queue)
        await self._move(key, key, replace(batch, tries=tries))

    async def set_aside(self, scope: Scope, batch: EvictedTurns, reason: str, retry_at: datetime) -> None:
        """Take a batch out of the queue until `retry_at`, and store the reason why it failed."""
        aside = replace(batch, rounds=batch.rounds + 1, reason=reason, retry_at=retry_at)
        await self._move(queue_key(scope, self._queue), live_key(scope, self._aside, batch.thread_id), aside)

    async def requeue(self, at: datetime | None) -> int:
        """Move batches set aside until `at` or earlier (None: all) back to their queues. Returns how many it moved."""
        requeued = 0
        for key in await self._live.keys_matching(f"rm:*:{self._aside}:*"):
            for token in await self._range(key, -1):
                batch = _batch(token)
                if batch.due(at):
                    target = queue_key(_scope(token), self._queue)
                    requeued += await self._move(key, target, replace(batch, tries=0, reason="", retry_at=None))
        return requeued

    async def backlog(self, scope: Scope, thread_id: str | None = None) -> EvictedBacklog:
        """The number of batches in the namespace's queue, and the thread's batches taken out of it after failures."""
        waiting: int = await self._live.command("llen", queue_key(scope, self._queue))
        aside = await self._range(live_key(scope, self._aside, thread_id), -1) if thread_id else []
        return EvictedBacklog(waiting, tuple(map(_batch, aside)))

    async def discard(self, scope: Scope, thread_id: str | None) -> None:
        """Remove the batches, queued or set aside, of a thread; of the whole namespace if `thread_id` is None."""
        queue, aside = queue_key(scope, self._queue), live_key(scope, self._aside, thread_id or "")
        keys = [aside] if thread_id else [key async for key in self._live.keys_of(scope) if key.startswith(aside)]
        for key in keys:  # first, because `requeue` may move their batches to the queue meanwhile
            await self._live.command("unlink", key)
        if thread_id is None:
            await self._live.command("unlink", queue)
            return
        for token in await self._range(queue, -1):
            if json.loads(token)["thread_id"] == thread_id:
                await self._live.command("lrem", queue, 1, token)

    async def scopes(self) -> AsyncIterator[Scope]:
        """Every scope with queued batches; see `EvictedTurnStore`."""
        for key in await self._live.keys_matching(f"rm:*:{self._queue}"):
            for token in await self._range(key, 0):
                yield _scope(token)

    async def _range(self, key: str, last: int) -> list[str]:
        tokens: list[str] = await self._live.command("lrange", key, 0, last)
        return tokens

    async def _move(self, source: str, target: str, batch: EvictedTurns) -> bool:
        """Move a batch, with its current fields, between two lists. Returns False if `source` does not contain it."""
        answer = await self._live.script(_MOVE, [source, target], [batch.token, _text(batch)], idempotent=False)
        return bool(answer[0] == "ok")


def _scope(token: str) -> Scope:
    stored = json.loads(token)
    return Scope(stored["tenant"], stored["namespace"])


def _batch(token: str) -> EvictedTurns:
    stored = json.loads(token)
    retry_at = stored.get("retry_at")
    return EvictedTurns(
        stored["thread_id"],
        tuple(Turn.from_json(json.dumps(turn), index) for index, turn in stored["turns"]),
        token,
        stored.get("tries", 0),
        stored.get("rounds", 0),
        stored.get("reason", ""),
        None if retry_at is None else datetime.fromisoformat(retry_at),
    )


def _text(batch: EvictedTurns) -> str:
    """The JSON of a batch with its current tries, rounds, reason and retry time; it replaces the JSON in `token`."""
    retry_at = None if batch.retry_at is None else rfc3339(batch.retry_at)
    state = {"tries": batch.tries, "rounds": batch.rounds, "reason": batch.reason, "retry_at": retry_at}
    return json.dumps(json.loads(batch.token) | state)

"""Turns that wait to be stored as memories, on Redis: turns evicted from threads, or sent by
clients.

Lua scripts add them in batches to a queue of the namespace. A batch is stored as JSON, whose text
also identifies the batch (`EvictedTurns.token`). A batch that could not be stored several times is
moved from the queue to a list of its thread or session, and retried later.
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
from memtypes.stores.redis.keys import every_scope, live_key, scope_of
from memtypes.stores.redis.scripts import Script

EVICTED = "thread-evicted"
"""The `kind` in the key (see `live_key`) of a namespace's queue of evicted turns."""

_MOVE = Script.load("thread_move")


def batch_head(scope: Scope, thread_id: str) -> str:
    """The beginning of a batch's JSON, up to its list of turns. A Lua script appends the turns and
    `]}`.
    """
    head = {"tenant": scope.tenant, "namespace": scope.namespace, "thread_id": thread_id}
    return json.dumps(head)[:-1] + ', "turns": ['


class RedisEvictedTurns(EvictedTurnStore):
    """Stores turns that wait to become memories. queue, aside: the `kind` in keys of waiting and
    failed batches.
    """

    def __init__(self, live: LiveClient, queue: str = EVICTED, aside: str = "thread-aside") -> None:
        self._live = live
        self._queue = queue
        self._aside = aside

    async def pending(self, scope: Scope, limit: int) -> list[EvictedTurns]:
        """Return the first `limit` batches of turns in the namespace's queue, which wait to be
        stored as memories.
        """
        return [
            _batch(token) for token in await self._range(live_key(scope, self._queue), limit - 1)
        ]

    async def acknowledge(self, scope: Scope, batch: EvictedTurns) -> None:
        """Remove a batch of turns from the queue, because the turns are now stored as memories."""
        await self._live.command("lrem", live_key(scope, self._queue), 1, batch.token)

    async def postpone(self, scope: Scope, batch: EvictedTurns, tries: int) -> None:
        """Move a batch of turns to the end of its queue, after `tries` failed attempts to store it
        as memories.
        """
        key = live_key(scope, self._queue)
        await self._move(key, key, replace(batch, tries=tries))

    async def set_aside(
        self, scope: Scope, batch: EvictedTurns, reason: str, retry_at: datetime
    ) -> None:
        """Take a batch of turns that could not be stored as memories out of the queue until
        `retry_at`.
        """
        aside = replace(batch, rounds=batch.rounds + 1, reason=reason, retry_at=retry_at)
        await self._move(
            live_key(scope, self._queue), live_key(scope, self._aside, batch.thread_id), aside
        )

    async def requeue(self, at: datetime | None) -> int:
        """Queue failed batches again: those due at `at` for a retry, or all if it is None. Returns
        how many.
        """
        requeued = 0
        for key in await self._live.keys_matching(every_scope(f"{self._aside}:*")):
            queue = live_key(scope_of(key), self._queue)
            for batch in map(_batch, await self._range(key, -1)):
                if batch.due(at):
                    requeued += await self._move(
                        key, queue, replace(batch, tries=0, reason="", retry_at=None)
                    )
        return requeued

    async def backlog(self, scope: Scope, thread_id: str | None = None) -> EvictedBacklog:
        """Return how many batches of turns wait to become memories, and the failed batches of the
        thread (if any).
        """
        waiting: int = await self._live.command("llen", live_key(scope, self._queue))
        aside = await self._range(live_key(scope, self._aside, thread_id), -1) if thread_id else []
        return EvictedBacklog(waiting, tuple(map(_batch, aside)))

    async def discard(self, scope: Scope, thread_id: str | None) -> None:
        """Remove the turns of a thread (None: every thread of the namespace) that wait to be stored
        as memories.
        """
        queue = live_key(scope, self._queue)
        aside = (
            [live_key(scope, self._aside, thread_id)]
            if thread_id
            else await self._live.keys_of(scope, self._aside)
        )
        for key in aside:  # first, because `requeue` may move their batches to the queue meanwhile
            await self._live.command("unlink", key)
        if thread_id is None:
            await self._live.command("unlink", queue)
            return
        for token in await self._range(queue, -1):
            if json.loads(token)["thread_id"] == thread_id:
                await self._live.command("lrem", queue, 1, token)

    async def scopes(self) -> AsyncIterator[Scope]:
        """Yield the scope (tenant and namespace) of each queue in which turns wait to be stored as
        memories.
        """
        for key in await self._live.keys_matching(every_scope(self._queue)):
            yield scope_of(key)

    async def _range(self, key: str, last: int) -> list[str]:
        tokens: list[str] = await self._live.command("lrange", key, 0, last)
        return tokens

    async def _move(self, source: str, target: str, batch: EvictedTurns) -> bool:
        """Move a batch between two Redis lists, with its new state. Returns False if it is not in
        `source`.
        """
        retry_at = None if batch.retry_at is None else rfc3339(batch.retry_at)
        state = {
            "tries": batch.tries,
            "rounds": batch.rounds,
            "reason": batch.reason,
            "retry_at": retry_at,
        }
        text = json.dumps(json.loads(batch.token) | state)
        answer = await self._live.script(
            _MOVE, [source, target], [batch.token, text], idempotent=False
        )
        return bool(answer[0] == "ok")


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

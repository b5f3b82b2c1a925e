"""Texts rejected as memories, on Redis: a hash of the texts and a sorted set of their times for
each namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.rejections import MAX_REJECTED, REJECTED_TTL, RejectedText, RejectionStore
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.scripts import Argument, Script

_ADD = Script.load("rejection_add")
_TTL_MS = int(REJECTED_TTL.total_seconds() * 1_000)


class RedisRejections(RejectionStore):
    """Implements `RejectionStore` on Redis: stores texts that were rejected as memories, for all
    namespaces.
    """

    def __init__(self, live: LiveClient, clock: Clock) -> None:
        self._live = live
        self._clock = clock

    async def add(self, scope: Scope, rejected: Sequence[RejectedText]) -> None:
        """Store texts that were rejected as memories, each with the reason; see
        `RejectionStore`.
        """
        arguments: list[Argument] = [MAX_REJECTED, _TTL_MS]
        for text in rejected:
            arguments += [text.id, text.at.timestamp(), msgspec.json.encode(text)]
        await self._live.script(_ADD, _keys(scope), arguments, idempotent=True)

    async def latest(self, scope: Scope, limit: int) -> list[RejectedText]:
        """Return at most `limit` texts that were rejected as memories, newest first; see
        `RejectionStore`.
        """
        records, times = _keys(scope)
        since = (self._clock() - REJECTED_TTL).timestamp()
        newest = {"desc": True, "byscore": True, "offset": 0, "num": limit}
        ids: list[str] = await self._live.command("zrange", times, "+inf", since, **newest)
        if not ids:
            return []
        stored: list[str | None] = await self._live.command("hmget", records, ids)
        texts = [_text(record) for record in stored if record is not None]
        return sorted(texts, key=lambda text: (-text.at.timestamp(), text.id))

    async def get(self, scope: Scope, rejected_id: str) -> RejectedText | None:
        """Return the text that was rejected as a memory under this id; None if there is no such
        text.
        """
        records, _ = _keys(scope)
        record = await self._live.command("hget", records, rejected_id)
        return None if record is None else _text(record)

    async def matching(self, scope: Scope, matches: Callable[[RejectedText], bool]) -> list[str]:
        """Return the ids of the rejected texts for which `matches` is true; see
        `RejectionStore`.
        """
        texts = map(_text, await self._live.command("hvals", _keys(scope)[0]))
        return [text.id for text in texts if matches(text)]

    async def remove(self, scope: Scope, rejected_ids: Collection[str]) -> None:
        """Remove texts that were rejected as memories; see `RejectionStore`."""
        records, times = _keys(scope)
        if rejected_ids:
            await self._live.command("hdel", records, *rejected_ids)
            await self._live.command("zrem", times, *rejected_ids)


def _keys(scope: Scope) -> tuple[str, str]:
    return live_key(scope, "rejected"), live_key(scope, "rejected-times")


def _text(record: Any) -> RejectedText:
    return msgspec.json.decode(record, type=RejectedText)

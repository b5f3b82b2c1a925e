"""Conversation threads on Redis: every change is one Lua script and one round trip.

The hash of a thread contains its version, number of tokens, summary and ancestors (ids of its
parent, the parent's parent and so on). Two more hashes contain its turns and their sizes by turn
index. Three sorted sets order the turn indices: by index, by eviction rank and by last use. Evicted
turns go to a queue of the namespace (see `evicted_turns`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from memtypes.live.eviction import ThreadLimits
from memtypes.live.turns import Turn
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.answers import ANSWER_TTL
from memtypes.ports.threads import (
    BYTES_PER_TOKEN,
    MAX_CHAIN,
    MAX_CONTENTS,
    MAX_PATHS,
    AppendTurn,
    NewThread,
    PathMention,
    Removal,
    Thread,
    ThreadContent,
    ThreadPage,
    ThreadQuery,
    ThreadStore,
    ThreadTail,
    TurnAppended,
)
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.evicted_turns import EVICTED, batch_head
from memtypes.stores.redis.keys import every_scope, live_key, scope_of
from memtypes.stores.redis.scripts import Argument, Script

_MICROSECONDS = 1_000_000
_INDEX = "threads"
"""The `kind` in the key (see `live_key`) of a namespace's index of threads. The scripts use the
same name.
"""

_MAX_EXAMINED = 1_000
"""Maximum number of threads that one call of the list script examines, or of the expiry script
returns.
"""

_RECORD_S = round(ANSWER_TTL.total_seconds())

BACKUP_S = 24 * 3_600
"""Seconds for which a backup of a cleared thread's turns is stored."""

_CREATE, _LIST, _APPEND, _READ, _TAIL, _REMOVE, _REPLACE, _USE, _DELETE, _EXPIRED = (
    Script.load("thread_common", f"thread_{name}")
    for name in (
        "create",
        "list",
        "append",
        "read",
        "tail",
        "remove",
        "replace",
        "use",
        "delete",
        "expired",
    )
)


class RedisThreads(ThreadStore):
    """Implements `ThreadStore` on Redis: stores the conversation threads and turns of all
    namespaces.
    """

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def create(self, scope: Scope, new: NewThread) -> str:
        """Create a thread, unless its name (resource and key) is taken; return the id of the new or
        existing thread.
        """
        thread = _key(scope, new.thread_id)
        parent = thread if new.parent_id is None else _key(scope, new.parent_id)
        name = (
            thread
            if new.key is None
            else live_key(scope, "thread-name", new.resource or "", new.key)
        )
        names = ("resource", "key", "agent_id", "initial_context", "workflow_id")
        fields: dict[str, Argument] = {name: getattr(new, name) for name in names}
        fields |= {
            "ttl": new.ttl_s,
            "created": rfc3339(new.created_at),
            "lru": int(new.lru),
            "flushes": int(new.flushes),
        }
        arguments: list[Argument] = [new.thread_id, new.parent_id, MAX_CHAIN, new.workflow_id]
        arguments += (
            argument for field in fields.items() if field[1] is not None for argument in field
        )
        match await self._live.script(_CREATE, [thread, parent, name], arguments, idempotent=False):
            case ["ok", thread_id]:
                return str(thread_id)
            case ["no_parent"]:
                raise NotFound(
                    f"the parent thread {new.parent_id!r} is not in this namespace; it may "
                    "have expired"
                )
            case ["deep"]:
                raise InvalidRequest(
                    f"a chain has at most {MAX_CHAIN} threads", path="parent_id", got=new.parent_id
                )
            case ["cycle"]:
                raise InvalidRequest(
                    "the thread would be its own ancestor", path="parent_id", got=new.parent_id
                )
            case ["workflow", other]:
                belongs = f"belongs to workflow {other!r}" if other else "belongs to no workflow"
                raise Conflict(
                    f"a thread with this resource and key exists, and it {belongs}; use another key"
                )
            case _:
                raise Conflict(
                    "a thread with this resource and key exists, and it has another parent"
                )

    async def append(self, scope: Scope, append: AppendTurn) -> TurnAppended:
        """Append a turn. Evicts other turns if the thread's limits require it; see
        `ThreadStore`.
        """
        limits = append.limits
        request = append.request
        turn = append.turn
        pinned_limits = limits.most_pinned
        spares_system = append.spares_system and turn.role != "system"
        thread = _key(scope, append.thread_id)
        arguments = [
            *(turn.to_json(), turn.tokens, _rank(append.rank)),
            *(append.expected, limits.tokens, limits.messages, limits.turns),
            *(batch_head(scope, append.thread_id), _marks(turn)),
            *(request.digest if request else None, rfc3339(turn.at), _RECORD_S),
            *(int(spares_system), pinned_limits.tokens, pinned_limits.turns),
            *(json.dumps(dict(append.contents)), MAX_CONTENTS),
        ]
        request_key = (
            thread
            if request is None
            else live_key(scope, "thread-request", append.thread_id, request.key)
        )
        # With an idempotency key, a call whose connection broke is sent again: the script appends
        # the turn only once.
        keys = [thread, live_key(scope, EVICTED), request_key]
        match await self._run(
            _APPEND, append.thread_id, keys, arguments, idempotent=request is not None
        ):
            case ["full", pinned_tokens]:
                message = (
                    f"the turn does not fit beside the pinned turns: it has {turn.tokens} tokens, "
                    f"they have {pinned_tokens}; the thread has at most {limits.count} turns and "
                    f"{limits.tokens or 'any number of'} tokens"
                )
                raise InvalidRequest(message, path="content")
            case ["pinned", count, pinned_tokens]:
                message = _pinned_too_much(turn, limits, count, pinned_tokens)
                raise InvalidRequest(message, path="pinned")
            case ["repeated", digest, appended_at, *counts]:
                if request is None or digest != request.digest:
                    raise Conflict(
                        "this Idempotency-Key came with another body in the last 24 hours; "
                        "use a new key"
                    )
                at = datetime.fromisoformat(appended_at)
                repeated = True
            case [_, *counts]:
                at = turn.at
                repeated = False
        index, version, tokens, turns, evicted, *flushed = map(int, counts)
        return TurnAppended(index, version, tokens, turns, evicted, at, repeated, sum(flushed))

    async def get(self, scope: Scope, thread_id: str) -> Thread:
        """Return the thread without its turns; see `ThreadStore`."""
        return (await self._read(scope, thread_id, 1, 0)).thread

    async def find(self, scope: Scope, resource: str | None, key: str) -> str | None:
        """Return the id of the thread with this name (resource and key); None if there is no such
        thread.
        """
        thread_id: str | None = await self._live.command(
            "get", live_key(scope, "thread-name", resource or "", key)
        )
        if thread_id is None or not await self._live.command("exists", _key(scope, thread_id)):
            return None
        return thread_id

    async def page_of_threads(self, scope: Scope, query: ThreadQuery) -> ThreadPage:
        """Return a page of the threads that match the query, most recently used first; see
        `ThreadStore`.
        """
        names = {
            "resource": "resource",
            "agent_id": "agent_id",
            "parent_id": "parent",
            "workflow_id": "workflow_id",
        }
        conditions = [
            text
            for name, stored in names.items()
            if (value := getattr(query, name))
            for text in (stored, value)
        ]
        before = query.cursor
        threads = list[Thread]()
        if before is not None and not (before.isascii() and before.isdecimal()):
            raise InvalidRequest("is not the cursor of a page", path="cursor", got=before)
        while True:
            highest = "+inf" if before is None else f"({before}"
            arguments = [
                highest,
                query.limit - len(threads),
                _MAX_EXAMINED,
                query.key_prefix,
                *conditions,
            ]
            entries, before = await self._live.script(
                _LIST, [_key(scope, "")], arguments, idempotent=True
            )
            threads += [_thread(unquote(thread_id), fields) for thread_id, fields in entries]
            if not before or len(threads) >= query.limit:
                return ThreadPage(tuple(threads), before or None)

    async def read(self, scope: Scope, thread_id: str) -> ThreadContent:
        """Return the thread and all its turns; see `ThreadStore`."""
        return await self._read(scope, thread_id, 0, -1)

    async def tail(self, scope: Scope, thread_id: str, tokens: int) -> ThreadTail:
        """Return a thread's newest turns and system turns, about `tokens` tokens of each, and its
        files and images.
        """
        answer = await self._run(
            _TAIL,
            thread_id,
            [_key(scope, thread_id)],
            [tokens, MAX_PATHS, tokens * BYTES_PER_TOKEN],
            idempotent=True,
        )
        _, fields, turns, (files, file_count), (images, image_count), listed = answer
        contents = dict(zip(listed[::2], listed[1::2], strict=True))
        return ThreadTail(
            _thread(thread_id, fields),
            tuple(sorted(map(_turn, turns), key=lambda turn: turn.index)),
            _mentions(files, contents),
            _mentions(images, {}),
            file_count,
            image_count,
        )

    async def page(self, scope: Scope, thread_id: str, offset: int, limit: int) -> ThreadContent:
        """Return the thread with `limit` turns from `offset`, and mark these turns as used now; see
        `ThreadStore`.
        """
        return await self._read(scope, thread_id, offset, offset + limit - 1, used=True)

    async def use(self, scope: Scope, thread_id: str, indices: Sequence[int]) -> None:
        """Mark the turns with these indices as used now, which delays eviction by last use; see
        `ThreadStore`.
        """
        if indices:
            await self._live.script(_USE, [_key(scope, thread_id)], list(indices), idempotent=True)

    async def remove(self, scope: Scope, removal: Removal) -> int:
        """Evict turns, and set the summary if there is a new one. Returns the new version; 0 if a
        turn is missing.
        """
        keys = [_key(scope, removal.thread_id), live_key(scope, EVICTED)]
        arguments = [
            *(
                json.dumps(removal.indices),
                batch_head(scope, removal.thread_id),
                rfc3339(removal.at),
            ),
            *(int(removal.summary is not None), removal.summary, removal.summary_tokens),
        ]
        answer = await self._run(_REMOVE, removal.thread_id, keys, arguments)
        return int(answer[1]) if answer[0] == "ok" else 0

    async def replace(
        self,
        scope: Scope,
        thread_id: str,
        turns: Sequence[tuple[Turn, str | None]],
        expected: int | None = None,
        contents: Mapping[str, str] | None = None,
    ) -> int:
        """Replace all turns of a thread, each given with its eviction rank; see `ThreadStore`."""
        arguments: list[Argument] = [
            expected,
            BACKUP_S,
            json.dumps(dict(contents or {})),
            MAX_CONTENTS,
        ]
        for turn, rank in turns:
            arguments += [turn.to_json(), turn.tokens, _rank(rank), _marks(turn)]
        thread = _key(scope, thread_id)
        return int((await self._run(_REPLACE, thread_id, [thread, thread], arguments))[1])

    async def clear(self, scope: Scope, thread_id: str, backup_id: str | None) -> int:
        """Remove a thread's turns and summary; return the number of turns. With a `backup_id`,
        first backs them up.
        """
        thread = _key(scope, thread_id)
        backup = thread if backup_id is None else live_key(scope, "thread-backup", backup_id)
        empty: list[Argument] = ["", BACKUP_S, "{}", MAX_CONTENTS]
        return int((await self._run(_REPLACE, thread_id, [thread, backup], empty))[2])

    async def backup(self, scope: Scope, backup_id: str) -> tuple[Turn, ...]:
        """Return the turns that `clear` saved as the backup `backup_id`. Raises NotFound if it does
        not exist.
        """
        key = live_key(scope, "thread-backup", backup_id)
        stored: str | None = await self._live.command("get", key)
        if stored is None:
            raise NotFound(
                f"there is no backup {backup_id!r} in this namespace; backups expire after 24 hours"
            )
        return tuple(Turn.from_json(json.dumps(turn), index) for index, turn in json.loads(stored))

    async def delete(self, scope: Scope, thread_id: str, *, flush: bool = False) -> None:
        """Delete a thread. flush: if True, its turns are queued to be stored as memories; if False,
        deleted too.
        """
        keys = [_key(scope, thread_id), live_key(scope, EVICTED)]
        head = batch_head(scope, thread_id) if flush else ""
        await self._run(_DELETE, thread_id, keys, [head, "0"])

    async def queue_expired(self) -> int:
        """Queue the turns of expired threads, so that they are stored as memories. Returns the
        number of threads.
        """
        queued = 0
        for index in await self._live.keys_matching(every_scope(_INDEX)):
            scope = scope_of(index)
            expired = await self._live.script(
                _EXPIRED, [_key(scope, "")], [_MAX_EXAMINED], idempotent=True
            )
            for thread_id in map(unquote, expired):
                keys = [_key(scope, thread_id), live_key(scope, EVICTED)]
                head = batch_head(scope, thread_id)
                answer = await self._live.script(_DELETE, keys, [head, "1"], idempotent=False)
                queued += answer[0] == "ok"
        return queued

    async def _run(
        self,
        script: Script,
        thread_id: str,
        keys: Sequence[str],
        args: Sequence[Argument],
        *,
        idempotent: bool = False,
    ) -> list[Any]:
        """Run a script on a thread and return its answer. Raises NotFound, or VersionConflict for
        another version.
        """
        answer: list[Any] = await self._live.script(script, keys, args, idempotent=idempotent)
        if answer[0] == "missing":
            raise NotFound(
                f"there is no thread {thread_id!r} in this namespace; it may have expired"
            )
        if answer[0] == "version":
            raise VersionConflict(
                f"version {answer[1]} is current; read the thread and try again",
                current_version=int(answer[1]),
            )
        return answer

    async def _read(
        self, scope: Scope, thread_id: str, first: int, last: int, *, used: bool = False
    ) -> ThreadContent:
        arguments = [first, last, int(used)]
        answer = await self._run(
            _READ, thread_id, [_key(scope, thread_id)], arguments, idempotent=True
        )
        _, fields, turns, by_use = answer
        ranks_by_use = {int(index): rank for rank, index in enumerate(by_use)}
        return ThreadContent(_thread(thread_id, fields), tuple(map(_turn, turns)), ranks_by_use)


def _key(scope: Scope, thread_id: str) -> str:
    return live_key(scope, "thread", thread_id)


def _rank(rank: str | None) -> str:
    """Encode a turn's eviction rank for the Lua scripts: None as "never", and "" as "use" (evict by
    last use).
    """
    return "never" if rank is None else rank or "use"


def _pinned_too_much(turn: Turn, limits: ThreadLimits, count: int, tokens: int) -> str:
    """Why a turn cannot be pinned beside `count` pinned turns, which have `tokens` tokens."""
    most = limits.most_pinned
    if count >= most.turns:
        size = f"at most {most.turns} of its {limits.count} turns may be pinned, and {count} are"
    else:
        size = (
            f"at most {most.tokens} of its {limits.tokens} tokens may be pinned, {tokens} are, and "
            f"the turn has {turn.tokens}"
        )
    return f"the thread takes no further pinned turn: {size}; send it without `pinned`"


def _marks(turn: Turn) -> str:
    """JSON of a turn's time, files, images and system flag; "" if it has no file or image and is no
    system turn.
    """
    if not turn.files and not turn.images and turn.role != "system":
        return ""
    at = round(turn.at.timestamp() * _MICROSECONDS)
    return json.dumps(
        {"at": at, "files": turn.files, "images": turn.images, "system": turn.role == "system"}
    )


def _mentions(fields: Sequence[str], contents: Mapping[str, str]) -> tuple[PathMention, ...]:
    """Mentions of files or images, the last first. fields: path, time and turn index of each, as
    one flat list. contents: of files, by path.
    """
    triples = zip(fields[::3], fields[1::3], fields[2::3], strict=True)
    mentions = (
        PathMention(path, int(index), _instant(at), contents.get(path))
        for path, at, index in triples
    )
    return tuple(sorted(mentions, key=lambda mention: (mention.at, mention.turn), reverse=True))


def _turn(stored: str) -> Turn:
    """Parse a turn that a script returned as the text "[index,turn]"."""
    index, turn = stored[1:-1].split(",", 1)
    return Turn.from_json(turn, int(index))


def _instant(microseconds: str) -> datetime:
    return datetime.fromtimestamp(float(microseconds) / _MICROSECONDS, UTC)


def _thread(thread_id: str, stored: Sequence[Any]) -> Thread:
    """The thread with these fields of its Redis hash. stored: names and values alternate."""
    fields = dict(zip(stored[::2], stored[1::2], strict=True))
    return Thread(
        id=thread_id,
        version=int(fields["version"]),
        tokens=int(fields["tokens"]),
        turns=int(fields["turns"]),
        flushed=int(fields.get("gone", 0)),
        ttl_s=int(fields["ttl"]),
        created_at=datetime.fromisoformat(fields["created"]),
        parent_id=fields["parent"] or None,
        **{
            name: fields.get(name)
            for name in (
                "resource",
                "key",
                "agent_id",
                "initial_context",
                "last_flush_at",
                "workflow_id",
            )
        },
        summary=fields.get("summary", ""),
        summary_tokens=int(fields.get("summary_tokens", 0)),
        ttl_left_s=int(fields["left"]),
        used_at=_instant(fields["used_at"]) if fields["used_at"] else None,
        ancestors=tuple(json.loads(fields["ancestors"])),  # Lua encodes an empty list as {}
    )

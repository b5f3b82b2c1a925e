"""How threads are written for the scripts, and how what the scripts answer is read. Knows no connection."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from memtypes.live.turns import Turn
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.threads import MAX_CHAIN, EvictedTurns, NewThread, Thread


def or_none(value: int | None) -> str | int:
    """`value`; an empty text where there is none."""
    return "" if value is None else value


def rank_word(rank: str | None) -> str:
    """The rank by which a turn leaves, as the scripts read it: never, use, or a number."""
    return "never" if rank is None else rank or "use"


def evicted_head(scope: Scope, thread_id: str) -> str:
    """The JSON of evicted turns up to its turns, which the script adds."""
    head = {"tenant": scope.tenant, "namespace": scope.namespace, "thread_id": thread_id}
    return json.dumps(head)[:-1] + ', "turns": ['


def thread_fields(new: NewThread) -> list[str | int | float]:
    """The fields of a new thread's hash, name and value in turn."""
    texts = {name: getattr(new, name) for name in ("resource", "key", "agent_id", "initial_context")}
    kept = {name: value for name, value in texts.items() if value is not None}
    fields = {**kept, "ttl": new.ttl_s, "created": rfc3339(new.created_at), "lru": "1" if new.lru else "0"}
    return [one for pair in fields.items() for one in pair]


def unknown(thread_id: str) -> NotFound:
    """That there is no such thread."""
    return NotFound(f"there is no thread {thread_id!r} in this namespace; it may have expired")


def refuse(thread_id: str, answer: list[Any]) -> None:
    """Raise NotFound or VersionConflict where the answer says so."""
    if answer[0] == "missing":
        raise unknown(thread_id)
    if answer[0] == "version":
        raise VersionConflict(
            f"version {answer[1]} is current; read the thread and try again", current_version=int(answer[1])
        )


def created_id(new: NewThread, answer: list[Any]) -> str:
    """The id of the thread that was begun or found. Raises NotFound, InvalidRequest or Conflict; see the port."""
    match answer:
        case ["ok", thread_id]:
            return str(thread_id)
        case ["no_parent"]:
            raise NotFound(f"there is no thread {new.parent_id!r} in this namespace to be the parent")
        case ["deep"]:
            raise InvalidRequest(f"a chain has at most {MAX_CHAIN} threads", path="parent_id", got=new.parent_id)
        case ["cycle"]:
            raise InvalidRequest("the thread would be its own ancestor", path="parent_id", got=new.parent_id)
        case _:
            raise Conflict("a thread with this resource and key exists, and it has another parent")


def paired(flat: list[Any]) -> dict[str, Any]:
    """The fields of a hash from name and value in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def turn_of(kept: str) -> Turn:
    """The turn of "[index,turn]"."""
    index, raw = kept[1:-1].split(",", 1)
    return Turn.from_json(raw, int(index))


def evicted_of(token: str) -> EvictedTurns:
    """Evicted turns from their JSON, which is also their token."""
    kept = json.loads(token)
    turns = tuple(Turn.from_json(json.dumps(raw), index) for index, raw in kept["turns"])
    retry_at = kept.get("retry_at")
    return EvictedTurns(
        kept["thread_id"],
        turns,
        token,
        kept.get("tries", 0),
        kept.get("rounds", 0),
        kept.get("reason", ""),
        None if retry_at is None else datetime.fromisoformat(retry_at),
    )


def evicted_text(batch: EvictedTurns) -> str:
    """The JSON of `batch`; it becomes the new token."""
    retry_at = None if batch.retry_at is None else rfc3339(batch.retry_at)
    state = {name: getattr(batch, name) for name in ("tries", "rounds", "reason")}
    return json.dumps({**json.loads(batch.token), **state, "retry_at": retry_at})


def thread_of(thread_id: str, kept: dict[str, Any]) -> Thread:
    """The thread of its hash's fields."""
    return Thread(
        id=thread_id,
        version=int(kept["version"]),
        tokens=int(kept["tokens"]),
        turns=int(kept["turns"]),
        ttl_s=int(kept["ttl"]),
        created_at=datetime.fromisoformat(kept["created"]),
        parent_id=kept["parent"] or None,
        **{name: kept.get(name) for name in ("resource", "key", "agent_id", "initial_context", "last_flush_at")},
        summary=kept.get("summary", ""),
        summary_tokens=int(kept.get("summary_tokens", 0)),
        ttl_left_s=int(kept["left"]),
        ancestors=tuple(json.loads(kept["ancestors"])),  # an empty list is kept as {} by Lua
    )

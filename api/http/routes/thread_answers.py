"""What the calls about threads answer."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from memtypes.live.thread_policy import AccessMode
from memtypes.live.turns import Turn
from memtypes.model.times import rfc3339


class ThreadAnswer(TypedDict):
    """A thread without its turns. redactions: taken out of the initial context that was sent, by kind.

    policy: the one of the policy file by which it is kept; null where none is for its resource: 50 turns, 3 hours.
    """

    id: str
    version: int
    tokens: int
    turns: int
    parent_id: str | None
    resource: str | None
    policy: str | None
    key: str | None
    agent_id: str | None
    initial_context: str | None
    summary: str | None
    last_flush_at: str | None
    ttl_s: int
    created_at: str
    redactions: NotRequired[dict[str, int]]


class ReferenceAnswer(TypedDict):
    """A thread of an agent, and what the agent may do with it."""

    resource: str
    mode: AccessMode
    thread: ThreadAnswer


class OpenedAnswer(TypedDict):
    """The threads of an agent's references."""

    threads: list[ReferenceAnswer]


class TurnAnswer(TypedDict):
    """A turn. index: its number, given once."""

    index: int
    role: str
    content: str
    tokens: int
    at: str
    agent_id: str | None
    files: list[str]
    images: list[str]
    tool: str | None
    model: str | None
    metadata: dict[str, Any]
    pinned: bool


class PageAnswer(TypedDict):
    """A thread and some of its turns, oldest first."""

    thread: ThreadAnswer
    turns: list[TurnAnswer]
    total: int


class SaidAnswer(TypedDict):
    """A turn that was kept. flushed, evicted: how many others left for it. redactions: taken out of it, by kind."""

    turn: TurnAnswer
    version: int
    flushed: int
    evicted: int
    redactions: NotRequired[dict[str, int]]


class VersionAnswer(TypedDict):
    """The version after a change. redactions: taken out of the new turns, by kind."""

    version: int
    redactions: NotRequired[dict[str, int]]


class ChainAnswer(TypedDict):
    """A chain, oldest first. gap: an ancestor has expired."""

    threads: list[ThreadAnswer]
    gap: bool
    cycle: bool


class TurnPlace(TypedDict):
    """A turn of a chain."""

    thread_id: str
    index: int


class FilePlace(TypedDict):
    """A file and the turn that spoke of it last."""

    path: str
    thread_id: str
    turn: int


class Omitted(TypedDict):
    """How much was left out."""

    turns: int
    files: int


class ThreadContextMetadata(TypedDict):
    """What the context cost. allocation: tokens of each part, heading included."""

    total_tokens: int
    budget: int
    tokenizer: str
    allocation: dict[str, int]
    gap: bool


class ContextAnswer(TypedDict):
    """A context and what is in it."""

    context: str
    turns: list[TurnPlace]
    files: list[FilePlace]
    images: list[FilePlace]
    omitted: Omitted
    metadata: ThreadContextMetadata


class FlushAnswer(TypedDict):
    """What left."""

    flushed: int
    tokens_before: int
    tokens_after: int
    summary: NotRequired[str]
    memory_ids: list[str]


class ClearAnswer(TypedDict):
    """How many turns there were."""

    cleared: int
    backup_id: NotRequired[str]


class BackupAnswer(TypedDict):
    """The turns of a backup."""

    turns: list[TurnAnswer]


class ThreadStatsAnswer(TypedDict):
    """What a thread holds. utilization: of the nearest limit. distance_to_flush: tokens, else messages.

    waiting: groups of turns that left threads of this namespace and are still to be kept as memories. set_aside: groups
    of this thread that could not be kept; they are tried again at next_try_at, later each time, and at a start.
    """

    turns: int
    tokens: int
    max_tokens: int | None
    max_messages: int | None
    max_turns: int
    utilization: float
    distance_to_flush: int | None
    last_flush_at: str | None
    ttl_s: int
    resource: str | None
    policy: str | None
    waiting: int
    set_aside: int
    next_try_at: str | None


class CheckAnswer(TypedDict):
    """One promise. detail: what could not be kept, why, and when it is tried again."""

    name: str
    ok: bool
    detail: NotRequired[str]


class ThreadHealthAnswer(TypedDict):
    """Whether all promises hold."""

    ok: bool
    checks: list[CheckAnswer]


def turn_members(turn: Turn) -> dict[str, Any]:
    """The turn as answers show it."""
    return {name: getattr(turn, name) for name in TurnAnswer.__annotations__} | {"at": rfc3339(turn.at)}

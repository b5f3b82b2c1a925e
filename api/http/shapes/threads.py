"""Answers about threads that routes and the inspector share."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Self

from api.http.shapes.memories import Redactions
from ingest.conversations.threads import OpenedThread, Threads
from ingest.conversations.transcript import LeftTurn
from memtypes.live.turns import Turn
from memtypes.model.times import Instant, TimeText
from memtypes.ports.threads import Thread
from retrieval.answer import Answer, OmittedIfNone


class ThreadAnswer(Answer):
    """A thread without its turns.

    redactions: number of secrets removed from its initial context, by kind. policy: the thread's
    resource, if it is the name of a policy in the policy file. Null if not: then the default limits
    of 50 turns and 3 hours apply.
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
    workflow_id: str | None
    initial_context: str | None
    summary: str | None
    last_flush_at: TimeText | None
    ttl_s: int
    created_at: Instant
    used_at: Instant | None
    redactions: Redactions = None

    @classmethod
    def from_thread(cls, threads: Threads, thread: Thread) -> Self:
        """The answer for `thread`. threads: provides the name of the thread's policy."""
        members: dict[str, Any] = {name: getattr(thread, name, None) for name in cls.model_fields}
        policy = threads.policies.name(thread.resource)
        return cls(**{**members, "summary": thread.summary or None, "policy": policy})

    @classmethod
    def opened(cls, threads: Threads, opened: OpenedThread) -> Self:
        """The answer for a thread that a call created or found, with the number of secrets removed
        by the call.
        """
        return cls.from_thread(threads, opened.thread).model_copy(
            update={"redactions": opened.redactions}
        )


class ListedTurn(Answer):
    """A turn. flushed: whether it has left its thread, by flush or eviction. memory_id: memory that
    then stores it.
    """

    index: int
    role: str
    content: str
    tokens: int
    at: Instant
    agent_id: str | None
    files: list[str]
    images: list[str]
    tool: str | None
    model: str | None
    metadata: dict[str, Any]
    pinned: bool
    flushed: bool
    memory_id: OmittedIfNone[str] = None

    @classmethod
    def from_turn(cls, entry: Turn | LeftTurn) -> Self:
        """The answer for `entry`: a turn in its thread, or a LeftTurn that was removed from it."""
        turn, memory_id = (
            (entry.turn, entry.memory_id) if isinstance(entry, LeftTurn) else (entry, None)
        )
        return cls(**asdict(turn), flushed=entry is not turn, memory_id=memory_id)


class TurnPlace(Answer):
    """A turn that a context shows, by its thread and its index in it. cut: true if the context
    shows only a part.
    """

    thread_id: str
    index: int
    cut: OmittedIfNone[bool] = None

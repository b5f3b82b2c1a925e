"""Calls on threads. A thread is a conversation with a token limit; turns that exceed it become
memories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import NoneType
from typing import TYPE_CHECKING

from remembrancer_client.answers import (
    BackupAnswer,
    ContextAnswer,
    FlushAnswer,
    PageAnswer,
    ReferencesAnswer,
    SaidAnswer,
    ThreadAnswer,
    ThreadChainAnswer,
    ThreadCleared,
    ThreadHealthAnswer,
    ThreadsAnswer,
    ThreadStatsAnswer,
    TurnsAnswer,
    VersionAnswer,
)
from remembrancer_client.calls import Call, ConnectionT_co, Each, Group
from remembrancer_client.options import (
    AppendOptions,
    FlushOptions,
    NewTurn,
    ReferenceOptions,
    ReplaceOptions,
    ThreadClearOptions,
    ThreadContextOptions,
    ThreadListOptions,
    ThreadOptions,
    ThreadPageOptions,
    ThreadScope,
    TurnListOptions,
)
from remembrancer_client.request import Description, Pages, Request, by_cursor, fresh_key, segment

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Threads(Group[ConnectionT_co]):
    """The group `client.threads`: calls on conversations."""

    @Call
    def open(self, **options: Unpack[ThreadOptions]) -> Description[ThreadAnswer]:
        """Create a thread, or return the existing thread with the same key and the same resource
        (policy name).
        """
        return self._post("/v1/threads", ThreadAnswer, options)

    @Call
    def open_all(
        self, agent_id: str, **options: Unpack[ReferenceOptions]
    ) -> Description[ReferencesAnswer]:
        """Create or find an agent's threads: one for each thread policy that the policy file lists
        for the agent.
        """
        return self._post("/v1/threads", ReferencesAnswer, options, agent_id=agent_id)

    @Each
    def all(self, **options: Unpack[ThreadListOptions]) -> Pages[ThreadAnswer]:
        """All threads that match the options, the last changed first, read page by page."""
        first = self._get("/v1/threads", ThreadsAnswer, options)
        return by_cursor(first, lambda page: page.threads)

    @Call
    def get(self, thread_id: str, **options: Unpack[ThreadPageOptions]) -> Description[PageAnswer]:
        """A thread and a page of its turns."""
        return self._get(_path(thread_id), PageAnswer, options)

    @Call
    def append(
        self, thread_id: str, role: str, content: str, **options: Unpack[AppendOptions]
    ) -> Description[SaidAnswer]:
        """Append a turn to a thread. The answer also has the number of older turns that it moved
        out of the thread.
        """
        key = options.pop("idempotency_key", None) or fresh_key()
        call = self._request(
            "POST", _path(thread_id, "turns"), SaidAnswer, options, role=role, content=content
        )
        return replace(call, key=key)

    @Call
    def replace(
        self, thread_id: str, turns: Sequence[NewTurn], **options: Unpack[ReplaceOptions]
    ) -> Description[VersionAnswer]:
        """Replace all turns of a thread, and return its new version."""
        path = _path(thread_id, "turns")
        return self._request("PUT", path, VersionAnswer, options, "agent_id", turns=list(turns))

    @Call
    def turns(self, thread_id: str, **options: Unpack[TurnListOptions]) -> Description[TurnsAnswer]:
        """A page of a thread's turns. With include_flushed, also turns that were removed from it to
        become memories.
        """
        return self._get(_path(thread_id, "turns"), TurnsAnswer, options)

    @Call
    def chain(
        self, thread_id: str, **options: Unpack[ThreadScope]
    ) -> Description[ThreadChainAnswer]:
        """The chain of threads that ends with this thread, oldest first. Each thread continues the
        one before it.
        """
        return self._get(_path(thread_id, "chain"), ThreadChainAnswer, options)

    @Call
    def context(
        self, thread_id: str, **options: Unpack[ThreadContextOptions]
    ) -> Description[ContextAnswer]:
        """A thread's conversation as text, within a token budget."""
        call = self._request(
            "POST", _path(thread_id, "context"), ContextAnswer, options, "agent_id"
        )
        return replace(call, repeatable=True)

    @Call
    def flush(self, thread_id: str, **options: Unpack[FlushOptions]) -> Description[FlushAnswer]:
        """Move turns of a thread to memories. By default, only if the thread is above the threshold
        of its policy.
        """
        return self._request("POST", _path(thread_id, "flush"), FlushAnswer, options, "agent_id")

    @Call
    def clear(
        self, thread_id: str, *, confirm: bool, **options: Unpack[ThreadClearOptions]
    ) -> Description[ThreadCleared]:
        """Remove all turns of a thread, and return how many. confirm: must be True."""
        path = _path(thread_id, "clear")
        return self._request("POST", path, ThreadCleared, options, "agent_id", confirm=confirm)

    @Call
    def backup(self, backup_id: str, **options: Unpack[ThreadScope]) -> Description[BackupAnswer]:
        """The turns that a thread had before `clear`, which returned `backup_id`. A backup is kept
        for 24 hours.
        """
        return self._get(f"/v1/threads/backups/{segment(backup_id)}", BackupAnswer, options)

    @Call
    def stats(
        self, thread_id: str, **options: Unpack[ThreadScope]
    ) -> Description[ThreadStatsAnswer]:
        """The size of a thread, and how much may be added before turns are moved to memories."""
        return self._get(_path(thread_id, "stats"), ThreadStatsAnswer, options)

    @Call
    def health(
        self, thread_id: str, **options: Unpack[ThreadScope]
    ) -> Description[ThreadHealthAnswer]:
        """Check whether a thread is within its limits and whether the turns removed from it were
        stored as memories.
        """
        return self._get(_path(thread_id, "health"), ThreadHealthAnswer, options)

    @Call
    def delete(self, thread_id: str, **options: Unpack[ThreadScope]) -> Description[None]:
        """Delete a thread."""
        return Request("DELETE", _path(thread_id), NoneType, query=self._query(options))


def _path(thread_id: str, call: str = "") -> str:
    return f"/v1/threads/{segment(thread_id)}" + (f"/{call}" if call else "")

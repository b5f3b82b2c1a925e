"""Port of the store of client sessions, such as those of Claude Code: the memories shown in them,
and their turns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from memtypes.live.turns import Turn
from memtypes.model.scope import Scope

SESSION_TTL = timedelta(days=30)
"""Time without events after which a session's record expires; clients delete their transcripts
after it, too.
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """Ids of memories, and hashes of the sentences in them, that a session was shown. since: when
    this was cleared.
    """

    ids: frozenset[str] = frozenset()
    since: datetime | None = None
    statements: frozenset[str] = frozenset()


class ClientSessionStore(Protocol):
    """Records which memories each client session was shown, and queues its turns to be stored as
    memories.

    Scopes must name a session, except in `discard_prompts`. A session's record expires after
    SESSION_TTL without events. Queued turns are in the queue of the `EvictedTurnStore`, with the
    session's id as thread id. Every method raises Unavailable when the store can't be reached.
    """

    async def begin(self, scope: Scope, prompt_id: str = "", prompt: Turn | None = None) -> Shown:
        """Store `prompt`, if there is one, until it is answered; return what the session was shown
        before.

        `queue` with the same `prompt_id` queues the prompt, to become a memory. A prompt that was
        queued before under this id is not stored again. A prompt without an id ("") replaces the
        stored prompt without an id.
        """

    async def claim(
        self, scope: Scope, ids: Collection[str], statements: Collection[str] = ()
    ) -> bool:
        """Record that the session is shown the memories `ids`; return whether this was recorded.

        If one of the memories was shown before, nothing is recorded, so that two concurrent calls
        never show the same memory. statements: hashes of the sentences in the texts of the
        memories.
        """

    async def note_shown(self, scope: Scope, ids: Collection[str]) -> None:
        """Record memories as shown that were left out, because the session has texts that say the
        same.
        """

    async def forget_shown(
        self, scope: Scope, at: datetime, pause: timedelta = timedelta()
    ) -> None:
        """Clear the session's record of shown memories, unless that was done less than `pause`
        before `at`.
        """

    async def queue(self, scope: Scope, prompt_id: str | None, turns: Sequence[Turn]) -> int:
        """Queue a stored prompt and then `turns` as one batch, to become memories; return the
        number of turns queued.

        prompt_id: the id passed to `begin`, "" for the prompt without an id; None to queue no
        prompt. A turn is left out if one with the same prompt, role, agent and content was queued
        before. Turns are numbered in the session.
        """

    async def waiting_prompts(self, scope: Scope) -> list[str]:
        """Return the ids of the session's prompts that were stored by `begin` and not queued by
        `queue` yet.
        """

    async def discard_prompts(self, scope: Scope) -> None:
        """Remove the prompts that wait to be queued: of the scope's session or, without one, of the
        whole namespace.
        """

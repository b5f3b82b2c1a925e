"""Port of the store for sessions of clients such as Claude Code: what they were shown, and what was said in them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from memtypes.live.turns import Turn
from memtypes.model.scope import Scope

SESSION_TTL = timedelta(days=30)
"""A session's record is deleted after this time without events, as clients delete their transcripts after it too."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Memories, and hashes of statements, that a session was shown. since: when they were last cleared."""

    ids: frozenset[str] = frozenset()
    since: datetime | None = None
    statements: frozenset[str] = frozenset()


class ClientSessionStore(Protocol):
    """Records which memories each client session was shown, and queues the session's turns, which become memories.

    A session's record expires after SESSION_TTL without events. Scopes must name a session, except in
    `discard_prompts`. Queued turns wait in an `EvictedTurnStore`. Each call of `queue` adds one batch, with the session
    id as thread id. Every method raises Unavailable when the store can't be reached.
    """

    async def begin(self, scope: Scope, prompt_id: str = "", prompt: Turn | None = None) -> Shown:
        """Return which memories the session was shown, and store `prompt` (None: no prompt) until it is answered.

        `queue` with the same `prompt_id` then queues the prompt, so that it becomes a memory. A prompt that was queued
        before under the same id is not stored again. A prompt without an id ("") replaces the stored one without an id.
        """

    async def claim(self, scope: Scope, ids: Collection[str], statements: Collection[str] = ()) -> bool:
        """Record that the session is now shown the memories `ids`. statements: hashes of the sentences in their texts.

        Returns True if this was recorded. Returns False and records nothing if one of the memories was shown before, so
        that two concurrent calls never show the same memory.
        """

    async def note_shown(self, scope: Scope, ids: Collection[str]) -> None:
        """Record memories as shown, although they were not, because the session already has texts that say the same."""

    async def forget_shown(self, scope: Scope, at: datetime, pause: timedelta = timedelta()) -> None:
        """Clear the session's record of shown memories, unless that was done less than `pause` before `at`."""

    async def queue(self, scope: Scope, prompt_id: str | None, turns: Sequence[Turn]) -> int:
        """Queue a stored prompt, and then `turns`, to become memories, as one batch; return the number of turns queued.

        prompt_id: as for `begin`; "" for that without an id, None for none. A turn is left out if one with the same
        prompt, role, agent and content was queued before. Queued turns are numbered within the session.
        """

    async def waiting_prompts(self, scope: Scope) -> list[str]:
        """Return ids of the session's prompts waiting for an answer: stored by `begin`, not queued by `queue` yet."""

    async def discard_prompts(self, scope: Scope) -> None:
        """Remove the prompts that wait for an answer: the session's or, without one, those of the whole namespace."""

"""Port of the store for running sessions of clients such as Claude Code.

For each session it records which memories the session was shown, and queues the session's turns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from memtypes.live.turns import Turn
from memtypes.model.scope import Scope

SESSION_TTL = timedelta(days=30)
"""A session's record is deleted after this time without events, as clients delete their transcripts after it too."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a session was shown. ids: ids of memories. statements: hashes of the sentences in these memories' texts.

    since: when ids and statements were last cleared; None if never.
    """

    ids: frozenset[str] = frozenset()
    since: datetime | None = None
    statements: frozenset[str] = frozenset()


class ClientSessionStore(ABC):
    """Stores which memories each running session was shown, and queues its turns. A record expires after SESSION_TTL.

    Scopes must name a session. Queued turns wait in an `EvictedTurnStore` of the same database until they are stored as
    memories. Each call of `queue` adds one batch, with the session id as thread id. Every method raises Unavailable
    when the store can't be reached.
    """

    @abstractmethod
    async def begin(self, scope: Scope, prompt_id: str = "", prompt: Turn | None = None) -> Shown:
        """Return which memories the session was shown. Store `prompt`, if given, until `queue` is called with its id.

        A prompt that was queued before under the same id is not stored. A prompt without an id ("") replaces the stored
        prompt without an id.
        """

    @abstractmethod
    async def claim(self, scope: Scope, ids: Collection[str], statements: Collection[str] = ()) -> bool:
        """Record that the session is now shown the memories `ids`. statements: hashes of the sentences in their texts.

        Returns True if this was recorded. Returns False and records nothing if one of the memories was shown before.
        """

    @abstractmethod
    async def note_shown(self, scope: Scope, ids: Collection[str]) -> None:
        """Record memories as shown although they were not, because the session knows their content from other texts."""

    @abstractmethod
    async def forget_shown(self, scope: Scope, at: datetime, pause: timedelta = timedelta()) -> None:
        """Clear the session's record of shown memories, unless it was last cleared less than `pause` before `at`."""

    @abstractmethod
    async def queue(self, scope: Scope, prompt_id: str | None, turns: Sequence[Turn]) -> int:
        """Queue the stored prompt `prompt_id` and then `turns`, as one batch; return the number of turns queued.

        prompt_id: "" for the prompt without an id; None to queue no prompt. A turn is left out if one with the same
        prompt, role, agent and content was queued before. Queued turns are numbered within the session.
        """

    @abstractmethod
    async def waiting_prompts(self, scope: Scope) -> list[str]:
        """Return the ids of the session's waiting prompts, which `begin` has stored and `queue` has not queued yet."""

    @abstractmethod
    async def discard_prompts(self, scope: Scope) -> None:
        """Remove waiting prompts (see `waiting_prompts`) of a session, so that they are never queued.

        If the scope names no session, the waiting prompts of all sessions of its namespace are removed.
        """

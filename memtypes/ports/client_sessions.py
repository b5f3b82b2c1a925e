"""Port of the store of running sessions of clients such as Claude Code: memories shown to them, and their turns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from memtypes.live.turns import Turn
from memtypes.model.scope import Scope

SESSION_TTL = timedelta(days=30)
"""A session without events for this long is forgotten; clients delete their transcripts after the same time."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Ids of the memories that a session was shown, and hashes of the statements in their texts.

    since: when both were last cleared; None if never.
    """

    ids: frozenset[str] = frozenset()
    since: datetime | None = None
    statements: frozenset[str] = frozenset()


class ClientSessionStore(ABC):
    """Stores which memories the running sessions were shown, and their turns, for SESSION_TTL.

    Scopes must name a session. Queued turns wait in an `EvictedTurnStore` of the same database. Each call of `queue`
    adds a batch, with the session as its thread. Raises Unavailable when the store can't be reached.
    """

    @abstractmethod
    async def begin(self, scope: Scope, prompt_id: str = "", prompt: Turn | None = None) -> Shown:
        """Return which memories the session was shown, and store `prompt`, if given, until `queue` adds its answer.

        A prompt whose id was queued before is not stored. Of prompts without an id (""), the last is kept.
        """

    @abstractmethod
    async def claim(self, scope: Scope, ids: Collection[str], statements: Collection[str] = ()) -> bool:
        """Record that these memories and statements are shown now.

        Returns False and records nothing if one of the memories was shown before.
        """

    @abstractmethod
    async def note_shown(self, scope: Scope, ids: Collection[str]) -> None:
        """Record memories as shown because the session has their content already, for example as its own turns."""

    @abstractmethod
    async def forget_shown(self, scope: Scope, at: datetime, pause: timedelta = timedelta()) -> None:
        """Forget which memories were shown, unless they were last forgotten less than `pause` before `at`."""

    @abstractmethod
    async def queue(self, scope: Scope, prompt_id: str | None, turns: Sequence[Turn]) -> int:
        """Queue the prompt `prompt_id`, which waits for its answer, then new ones of `turns`; return their number.

        Turns with equal prompt, role, agent and content are the same. They are numbered within the session.
        """

    @abstractmethod
    async def waiting_prompts(self, scope: Scope) -> list[str]:
        """Return the ids of the prompts that wait for their answers."""

    @abstractmethod
    async def discard_prompts(self, scope: Scope) -> None:
        """Remove the prompts that wait for their answers: of the session or, if `scope` has none, of all sessions."""

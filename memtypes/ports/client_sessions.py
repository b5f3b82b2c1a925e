"""Port of the store of running sessions of clients such as Claude Code: what they were shown, and what was said."""

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
    """Ids of the memories that the session's prompts contain. since: when earlier ones were last forgotten, or None."""

    ids: frozenset[str] = frozenset()
    since: datetime | None = None


class ClientSessionStore(ABC):
    """Sessions, kept for SESSION_TTL. Scopes must name a session. Raises Unavailable when the store is away.

    Queued turns wait in an `EvictedTurnStore` over the same store. Each call adds a batch whose thread is the session.
    """

    @abstractmethod
    async def begin(self, scope: Scope, prompt_id: str = "", prompt: Turn | None = None) -> Shown:
        """Store a `prompt` to wait for its answer, and return what the session was shown.

        A prompt whose id was queued before is not stored. Prompts without an id ("") replace each other.
        """

    @abstractmethod
    async def claim(self, scope: Scope, ids: Collection[str]) -> bool:
        """Note that these memories are shown now. Returns False, and notes nothing, if one of them was shown before."""

    @abstractmethod
    async def note_shown(self, scope: Scope, ids: Collection[str]) -> None:
        """Note as shown the memories whose content the session has already, such as what was said in it."""

    @abstractmethod
    async def forget_shown(self, scope: Scope, at: datetime, pause: timedelta = timedelta()) -> None:
        """Forget which memories were shown, unless they were last forgotten less than `pause` before `at`."""

    @abstractmethod
    async def queue(self, scope: Scope, prompt_id: str | None, turns: Sequence[Turn]) -> int:
        """Queue the waiting prompt with this id, if any, then the `turns` not queued before; return how many turns.

        A turn is recognised by its prompt, role, agent and content. Turns are numbered in one sequence for the session.
        """

    @abstractmethod
    async def waiting_prompts(self, scope: Scope) -> list[str]:
        """Return the ids of the prompts that wait for their answers."""

"""Port of what is known of the running sessions of clients such as Claude Code: what they were shown, what was said."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from memtypes.live.turns import Turn
from memtypes.model.scope import Scope

SESSION_TTL = timedelta(days=30)
"""Time without an event after which a session is forgotten: clients delete their transcripts after as long."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Ids of the memories that the session's prompts contain. since: when earlier ones were forgotten, if they were."""

    ids: frozenset[str] = frozenset()
    since: datetime | None = None


class ClientSessionStore(ABC):
    """Sessions by scope, which must name one, kept for SESSION_TTL. Raises Unavailable when the store is away.

    Turns that are queued wait in an `EvictedTurnStore` over the same store, as one batch with the session as thread.
    """

    @abstractmethod
    async def begin(self, scope: Scope, prompt_id: str = "", prompt: Turn | None = None) -> Shown:
        """Return what the session was shown. A `prompt` waits for its answer, unless one with its id is queued.

        Prompts without an id ("") replace each other.
        """

    @abstractmethod
    async def claim(self, scope: Scope, ids: Collection[str]) -> bool:
        """Note that memories are shown now; False, and nothing is noted, if one of them was shown already."""

    @abstractmethod
    async def note_shown(self, scope: Scope, ids: Collection[str]) -> None:
        """Note memories whose content the session has, such as what was said in it."""

    @abstractmethod
    async def forget_shown(self, scope: Scope, at: datetime, pause: timedelta = timedelta()) -> None:
        """Forget what was shown, at `at`, unless it was forgotten less than `pause` before."""

    @abstractmethod
    async def queue(self, scope: Scope, prompt_id: str | None, turns: Sequence[Turn]) -> int:
        """Queue the waiting prompt with this id, if there is one, then those of `turns` that never were; how many.

        A turn is known by its role, agent and content, within its prompt. Turns are numbered over the session.
        """

    @abstractmethod
    async def waiting_prompts(self, scope: Scope) -> list[str]:
        """Return the ids of the prompts that wait for their answers."""

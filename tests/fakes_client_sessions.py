"""An in-memory store of clients' sessions, which queues their turns in a `FakeThreads`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from memtypes.live.turns import Turn
from memtypes.model.scope import Scope
from memtypes.ports.client_sessions import ClientSessionStore, Shown
from tests.fakes_threads import FakeThreads


@dataclass
class _Session:
    prompts: dict[str, Turn] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    said: set[tuple[str | None, ...]] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)
    statements: set[str] = field(default_factory=set)
    since: datetime | None = None
    turns: int = 0


class FakeClientSessions(ClientSessionStore):
    """Sessions of clients in a dictionary. `captures` is the queue of turns that wait to become
    memories.
    """

    def __init__(self) -> None:
        self.captures = FakeThreads()
        self._sessions: dict[tuple[str, str, str | None], _Session] = {}

    async def begin(self, scope: Scope, prompt_id: str = "", prompt: Turn | None = None) -> Shown:
        """Store the prompt, unless its id was queued before, and return which memories the session
        was shown.
        """
        session = self._of(scope)
        if prompt is not None and prompt_id not in session.asked:
            session.prompts[prompt_id] = prompt
        return Shown(frozenset(session.shown), session.since, frozenset(session.statements))

    async def claim(
        self, scope: Scope, ids: Collection[str], statements: Collection[str] = ()
    ) -> bool:
        """Record memories and hashes of their sentences as shown to the session, and return True.

        If one of the memories was shown to the session before, record nothing and return False.
        """
        session = self._of(scope)
        if not session.shown.isdisjoint(ids):
            return False
        session.shown.update(ids)
        session.statements.update(statements)
        return True

    async def note_shown(self, scope: Scope, ids: Collection[str]) -> None:
        """Record memories as shown to the session."""
        self._of(scope).shown.update(ids)

    async def forget_shown(
        self, scope: Scope, at: datetime, pause: timedelta = timedelta()
    ) -> None:
        """Clear the session's record of shown memories, unless it was last cleared less than
        `pause` before `at`.
        """
        session = self._of(scope)
        if session.since is None or at - session.since >= pause:
            session.since = at
            session.shown.clear()
            session.statements.clear()

    async def queue(self, scope: Scope, prompt_id: str | None, turns: Sequence[Turn]) -> int:
        """Queue the waiting prompt and those turns that are new, as one batch; return the number of
        turns.
        """
        session = self._of(scope)
        batch = list[Turn]()
        if prompt_id is not None and prompt_id in session.prompts:
            batch.append(session.prompts.pop(prompt_id))
            session.asked |= {prompt_id} - {""}
        for turn in turns:
            mark = (prompt_id, turn.role, turn.agent_id, turn.content)
            if mark not in session.said:
                session.said.add(mark)
                batch.append(turn)
        numbered = [replace(turn, index=index) for index, turn in enumerate(batch, session.turns)]
        session.turns += len(batch)
        self.captures.evict(scope, scope.session_id or "", numbered)
        return len(batch)

    async def waiting_prompts(self, scope: Scope) -> list[str]:
        """Return the ids of the session's prompts that are stored but not queued yet."""
        return sorted(self._of(scope).prompts)

    async def discard_prompts(self, scope: Scope) -> None:
        """Remove the waiting prompts of the session; if the scope names no session, those of the
        whole namespace.
        """
        for (*place, session_id), session in self._sessions.items():
            if place == [scope.tenant, scope.namespace] and scope.session_id in (None, session_id):
                session.prompts.clear()

    def _of(self, scope: Scope) -> _Session:
        return self._sessions.setdefault(
            (scope.tenant, scope.namespace, scope.session_id), _Session()
        )

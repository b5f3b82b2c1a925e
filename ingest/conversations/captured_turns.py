"""Stores, as memories, the turns that clients such as Claude Code report while a session runs.

Until they are stored, the turns wait in a queue of the live store, so none is lost if the service crashes. Writing a
batch twice is harmless: the id of a memory is derived from what was said, by whom and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ingest.conversations.evicted_turns import EvictedTurnWriter
from ingest.conversations.sessions import SaidBefore, SessionMessage, SessionWriter
from ingest.screening.recall_guard import RecallGuard
from ingest.screening.submission import ReviewMode
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.conversation_context import CAPTURED
from memtypes.live.turns import Turn
from memtypes.model.episodic import EpisodicDraft
from memtypes.model.errors import RemembrancerError
from memtypes.model.memory import Source
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.ports.client_sessions import ClientSessionStore
from memtypes.ports.threads import EvictedTurns, EvictedTurnStore

SUMMARY_ROLE = "summary"
"""Role of the turn that is a client's summary of its session so far: stored as one event."""


class CapturedTurnWriter(EvictedTurnWriter):
    """Writes queued turns of clients' sessions as memories, after filtering, review and redaction.

    The thread id of a batch is the id of its session. Memories that the session was shown are not stored again when it
    repeats them. The memories made of its own turns count as shown to it.
    """

    name: ClassVar[str] = "captured turns"

    def __init__(
        self,
        store: EvictedTurnStore,
        sessions: ClientSessionStore,
        ingestor: Ingestor,
        guard: RecallGuard,
        clock: Clock,
    ) -> None:
        super().__init__(store, ingestor, clock)
        self._sessions = sessions
        self._guard = guard

    async def write(self, scope: Scope, batch: EvictedTurns) -> list[str]:
        """Write the turns of `batch` as memories; return their ids. A turn that is not worth keeping is not stored.

        Raises Unavailable or Overloaded, or RemembrancerError if a message could not be stored.
        """
        turns = sorted(batch.turns, key=lambda turn: turn.index)
        session = Scope(scope.tenant, scope.namespace, batch.thread_id, turns[0].agent_id)
        summaries = [turn for turn in turns if turn.role == SUMMARY_ROLE]
        ids = [memory_id for turn in summaries for memory_id in await self._summarised(session, turn)]
        ids += await self._said(session, [turn for turn in turns if turn.role != SUMMARY_ROLE])
        await self._sessions.note_shown(session, ids)
        return ids

    async def discard(self, scope: Scope) -> None:
        """Discard the turns and prompts of a session (if `scope` has none: of all) that are not written yet."""
        await self.store.discard(scope, scope.session_id)
        await self._sessions.discard_prompts(scope)

    async def _said(self, session: Scope, turns: Sequence[Turn]) -> list[str]:
        if not turns:
            return []
        shown = (await self._sessions.begin(session)).ids
        writer = SessionWriter(self.ingestor, self._guard, shown)
        messages = [SessionMessage(role=turn.role, content=turn.content, timestamp=rfc3339(turn.at)) for turn in turns]
        before = SaidBefore(count=turns[0].index)
        outcomes = await writer.write(session, messages, ReviewMode.AUTO, before)
        failed = [outcome.reason or "" for outcome in outcomes if outcome.status is WriteStatus.FAILED]
        if failed:
            raise RemembrancerError(f"{len(failed)} messages were not stored: {failed[0]}")
        return [memory_id for outcome in outcomes for memory_id in outcome.ids]

    async def _summarised(self, session: Scope, turn: Turn) -> list[str]:
        (content,) = await self._guard.without_recalled(session, [turn.content])
        if not content.strip():
            return []
        draft = EpisodicDraft(
            type=MemoryType.EPISODIC,
            content=content,
            title="Summary of a session",
            session_id=session.session_id,
            created_at=turn.at,
            source=Source(thread_id=session.session_id, turns=[turn.index], caller=CAPTURED),
        )
        outcome = await self.ingestor.write_one(session, draft)
        memory_id = outcome.merged_into or outcome.id
        return [] if memory_id is None else [memory_id]

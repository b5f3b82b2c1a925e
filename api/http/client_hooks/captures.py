"""Keeps prompts, answers and summaries of clients' sessions. They are queued before the event is answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from api.http.client_hooks.events import ClientEvent
from api.wiring.container import Services
from ingest.conversations.captured_turns import SUMMARY_ROLE
from ingest.screening.redaction.redactor import SecretsRefused
from memtypes.live.turns import Turn
from memtypes.model.scope import MAX_NAME, Scope
from memtypes.offload import offload
from memtypes.ports.client_sessions import Shown

COMPACTION = timedelta(seconds=30)
"""Two events report a compaction within this time: memories shown between the two are not forgotten."""


@dataclass(frozen=True, slots=True)
class ClientCaptures:
    """Queues what is said in sessions. After the event is answered, it is stored as memories."""

    services: Services

    async def prompt(self, scope: Scope, event: ClientEvent) -> Shown:
        """Keep the event's prompt until its answer comes. Returns which memories the session was shown."""
        turn = await self._turn(scope, "user", event.said)
        return await self.services.client_sessions.begin(scope, event.turn, turn)

    async def answer(self, scope: Scope, event: ClientEvent) -> None:
        """Queue the answer that the event reports, together with its prompt."""
        await self._queue(scope, event.turn, await self._turn(scope, "assistant", event.last_assistant_message))

    async def subagent_answer(self, scope: Scope, event: ClientEvent) -> None:
        """Queue the answer of a subagent, whose prompt another agent wrote."""
        agent = (event.agent_type or event.agent_id or "subagent")[:MAX_NAME].strip()
        await self._queue(scope, None, await self._turn(scope, "assistant", event.last_assistant_message, agent))

    async def summary(self, scope: Scope, event: ClientEvent) -> None:
        """Queue the summary of a compacted session. Memories that the session was shown before may be shown again."""
        await self.services.client_sessions.forget_shown(scope, self.services.clock(), COMPACTION)
        await self._queue(scope, None, await self._turn(scope, SUMMARY_ROLE, event.compact_summary))

    async def end(self, scope: Scope) -> None:
        """Queue prompts whose answers the user interrupted; pause the to-dos of the session."""
        for prompt_id in await self.services.client_sessions.waiting_prompts(scope):
            await self._queue(scope, prompt_id, None)
        await self.services.working.stop_session(scope)

    async def _queue(self, scope: Scope, prompt_id: str | None, turn: Turn | None) -> None:
        if await self.services.client_sessions.queue(scope, prompt_id, [turn] if turn else []):
            self.services.captures.persist_soon(scope)

    async def _turn(self, scope: Scope, role: str, text: str | None, agent_id: str | None = None) -> Turn | None:
        """A turn with the secrets removed from its text; None without text, or if the tenant's rules refuse it."""
        if text is None:
            return None
        redactor = self.services.ingestor.redactor
        try:
            content = await offload([text], lambda: redactor.clean(scope.tenant, text).value if redactor else text)
        except SecretsRefused:
            return None
        return Turn(role, content, 0, self.services.clock(), agent_id)

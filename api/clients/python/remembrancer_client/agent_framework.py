"""A context provider for Microsoft's Agent Framework: `RemembrancerContext`. Needs the extra
`agent-framework`.
"""

from __future__ import annotations

from typing import Any

from agent_framework import AgentSession, ContextProvider, Message, SessionContext, SupportsAgentRun

from remembrancer_client.client import AsyncRemembrancer
from remembrancer_client.conversations import capture, recall_text


class RemembrancerContext(ContextProvider):
    """Adds the memories that help with an agent's input, as a user message, and remembers what was
    said.

    budget: maximum tokens of the memories that are added. captures: whether input and response are
    remembered.
    """

    def __init__(
        self,
        memory: AsyncRemembrancer,
        *,
        budget: int = 1000,
        captures: bool = True,
        source_id: str = "remembrancer",
    ) -> None:
        super().__init__(source_id)
        self._memory = memory
        self._budget = budget
        self._captures = captures

    async def before_run(
        self,
        *,
        agent: SupportsAgentRun,
        session: AgentSession,
        context: SessionContext,
        state: dict[str, Any],
    ) -> None:
        """Add to the run's context the memories that help with the run's input."""
        query = "\n".join(
            text for role, text in _chat_texts(context.input_messages) if role == "user"
        )
        memories = await recall_text(self._memory, query, self._budget)
        if memories:
            context.extend_messages(self, [Message(role="user", contents=[memories])])

    async def after_run(
        self,
        *,
        agent: SupportsAgentRun,
        session: AgentSession,
        context: SessionContext,
        state: dict[str, Any],
    ) -> None:
        """Remember the run's input and response, unless this provider was made with
        `captures=False`.
        """
        if self._captures:
            answered = context.response.messages if context.response is not None else []
            await capture(
                self._memory, session.session_id, _chat_texts([*context.input_messages, *answered])
            )


def _chat_texts(messages: list[Message]) -> list[tuple[str, str]]:
    """Role and text of each message of the user and the assistant; tools and system texts are left
    out.
    """
    texts = [(str(message.role), message.text) for message in messages]
    return [(role, text) for role, text in texts if role in ("user", "assistant") and text.strip()]

"""The context provider for Microsoft's Agent Framework, in agents with a fake chat client."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from agent_framework import Agent, BaseChatClient, ChatResponse, Message

from remembrancer_client import AsyncRemembrancer
from remembrancer_client.agent_framework import RemembrancerContext

FACT = "We decided to move the billing service to Postgres in March."


class FakeClient(BaseChatClient[Any]):
    """A chat client that always answers "It is noted." and keeps the messages that it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[list[Message]] = []

    def _inner_get_response(
        self,
        *,
        messages: Sequence[Message],
        stream: bool,
        options: Mapping[str, Any],
        **kwargs: Any,
    ) -> Any:
        self.sent.append(list(messages))

        async def answer() -> ChatResponse[Any]:
            return ChatResponse(messages=[Message(role="assistant", contents=["It is noted."])])

        return answer()


async def test_messages_of_one_session_are_recalled_in_the_next(url: str) -> None:
    """Messages of one session are recalled in the next, in a message before the user's question.

    The message with the recalled context is not stored as a memory.
    """
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        client = FakeClient()
        agent = Agent(client=client, context_providers=[RemembrancerContext(memory)])
        await agent.run(FACT, session=agent.create_session())
        stored = (await memory.stats()).total.count
        await agent.run(
            "Which database does the billing service use?", session=agent.create_session()
        )
        first, second = (
            [(str(message.role), message.text) for message in sent] for sent in client.sent
        )
        assert first == [("user", FACT)]
        assert second[0][0] == "user"
        assert "Postgres" in second[0][1]
        assert second[-1] == ("user", "Which database does the billing service use?")
        contents = [entry.content async for entry in memory.all()]
        assert stored >= 1
        assert not any("<memories>" in content for content in contents)


async def test_with_capture_turned_off_nothing_is_remembered(url: str) -> None:
    """With `captures=False` a run of the agent stores no memory."""
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        agent = Agent(
            client=FakeClient(), context_providers=[RemembrancerContext(memory, captures=False)]
        )
        await agent.run(FACT, session=agent.create_session())
        assert (await memory.stats()).total.count == 0

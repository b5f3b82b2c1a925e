"""The session for the OpenAI Agents SDK: compared with the SDK's SQLiteSession by random calls, and
in an agent.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from agents import Agent, Model, ModelResponse, Runner, Session, SQLiteSession, Usage
from agents.memory import SessionSettings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from remembrancer_client import AsyncRemembrancer
from remembrancer_client.openai_agents import RemembrancerSession, recall_tool

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ITEMS = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, TEXT),
    st.builds(
        lambda text: {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": text}],
        },
        TEXT,
    ),
    st.builds(
        lambda text, n: {
            "type": "function_call",
            "call_id": text,
            "name": "f",
            "arguments": "{}",
            "extra": {"n": [n, None]},
        },
        TEXT,
        st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False),
    ),
)
CALLS = st.one_of(
    st.tuples(st.just("add_items"), st.lists(ITEMS, max_size=4)),
    st.tuples(st.just("get_items"), st.sampled_from([None, 0, 1, 2, 100, -1])),
    st.tuples(st.just("pop_item")),
    st.tuples(st.just("clear_session")),
)


@given(calls=st.lists(CALLS, min_size=4, max_size=15))
@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_session_answers_like_the_sdks_session_in_sqlite(
    url: str, calls: list[tuple[Any, ...]]
) -> None:
    """Random calls return the same items from this session as from the SDK's SQLiteSession."""

    async def main() -> None:
        sqlite = SQLiteSession("s")
        async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
            session = RemembrancerSession("s", memory, captures=False)
            for name, *arguments in calls:
                assert await getattr(session, name)(*arguments) == await getattr(sqlite, name)(
                    *arguments
                ), name
            assert await session.get_items() == await sqlite.get_items()
        sqlite.close()

    asyncio.run(main())


def test_a_conversation_with_large_items_is_read_whole(url: str) -> None:
    """All items of a session are returned, even if together they are larger than one response may
    be.
    """

    async def main() -> None:
        async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
            session = RemembrancerSession("s", memory, captures=False)
            await session.add_items(
                [{"role": "user", "content": f"{n}" + "x" * 1_000_000} for n in range(36)]
            )
            assert [str(item["content"])[:2] for item in await session.get_items()] == [
                f"{n}xx"[:2] for n in range(36)
            ]

    asyncio.run(main())


class EchoModel(Model):
    """A model that answers with the number of items that it was sent, and keeps the items."""

    def __init__(self) -> None:
        self.inputs: list[Any] = []

    async def get_response(
        self, system_instructions: str | None, input: Any, *args: Any, **kwargs: Any
    ) -> ModelResponse:
        """A message with the number of items in the input."""
        self.inputs.append(input)
        text = ResponseOutputText(text=f"{len(input)} items", type="output_text", annotations=[])
        message = ResponseOutputMessage(
            id="m", content=[text], role="assistant", status="completed", type="message"
        )
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> Any:
        """Raise NotImplementedError, because no test uses streaming."""
        raise NotImplementedError


async def test_an_agent_continues_its_conversation(url: str) -> None:
    """An agent's second run in a session is sent the items of the first run.

    Another session is sent none of them, but can recall what was said.
    """
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        session = RemembrancerSession("user.1", memory)
        assert isinstance(session, Session)
        agent = Agent(name="a", model=EchoModel())
        first = await Runner.run(
            agent, "We decided to move the billing service to Postgres in March.", session=session
        )
        second = await Runner.run(agent, "And now?", session=session)
        assert (first.final_output, second.final_output) == ("1 items", "3 items")
        assert len(await session.get_items()) == 4
        assert await RemembrancerSession("user", memory).get_items() == []
        assert "Postgres" in (await memory.recall("which database does billing use?")).context
        assert recall_tool(memory).name == "recall"
        await session.clear_session()
        assert await session.get_items() == []


async def test_a_long_session_is_read_whole_or_up_to_the_limit(url: str) -> None:
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        session = RemembrancerSession(
            "s", memory, captures=False, session_settings=SessionSettings(limit=3)
        )
        items: list[Any] = [{"role": "user", "content": str(number)} for number in range(450)]
        await session.add_items(items)
        assert await session.get_items() == items[-3:]
        assert await session.get_items(300) == items[-300:]
        assert await session.get_items(-1) == items


@pytest.mark.parametrize("other", ["a%2Eb", "a", "A.B"])
async def test_sessions_with_similar_ids_stay_apart(url: str, other: str) -> None:
    """A session whose id contains a dot shares no items with sessions of similar ids."""
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        await RemembrancerSession("a.b", memory, captures=False).add_items(
            [{"role": "user", "content": "x"}]
        )
        assert await RemembrancerSession(other, memory).get_items() == []

"""All adapters, with prompts that the API refuses as they are: very long or blank texts, and
terminal output.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from agent_framework import Agent as FrameworkAgent
from agents.tool_context import ToolContext
from google.adk.events import Event
from google.genai.types import Content, Part
from langgraph.store.base import SearchOp
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import Memory
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from remembrancer_client import AsyncRemembrancer
from remembrancer_client.agent_framework import RemembrancerContext
from remembrancer_client.conversations import MAX_CONTENT
from remembrancer_client.google_adk import RemembrancerMemoryService
from remembrancer_client.langchain import RemembrancerRetriever
from remembrancer_client.langgraph import RemembrancerStore
from remembrancer_client.llama_index import RemembrancerMemoryBlock
from remembrancer_client.openai_agents import recall_tool
from remembrancer_client.pydantic_ai import RemembrancerCapability
from tests.api.clients.python.adapters.test_agent_framework import FakeClient

FACT = "We decided to move the billing service to Postgres in March."
QUESTION = "Which database does the billing service use?"
PROMPTS = {
    "long": f"{QUESTION} {'The quick brown fox jumps over the lazy dog. ' * 1_000}",
    "of a terminal": "Which \x1b[31mdatabase\x1b[0m does the billing\x00 service use?",
    "blank": " \x1b[0m ",
}


@pytest.fixture
async def memory(url: str) -> AsyncIterator[AsyncRemembrancer]:
    """A client of a new namespace, in which FACT is stored as a memory and as an item."""
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as client:
        await client.remember(FACT, type="semantic")
        await client.items.put(["facts"], "billing", {"text": FACT})
        yield client


async def agent_framework(memory: AsyncRemembrancer, prompt: str) -> str:
    """The messages that an agent of Microsoft's Agent Framework sends to its model for the
    prompt.
    """
    client = FakeClient()
    agent = FrameworkAgent(client=client, context_providers=[RemembrancerContext(memory)])
    await agent.run(prompt, session=agent.create_session())
    return "\n".join(message.text for message in client.sent[0])


async def langchain(memory: AsyncRemembrancer, prompt: str) -> str:
    """The documents that the LangChain retriever finds for the prompt."""
    return str(await RemembrancerRetriever(memory=memory).ainvoke(prompt))


async def langgraph(memory: AsyncRemembrancer, prompt: str) -> str:
    """The items that the LangGraph store finds for the prompt."""
    return str(await RemembrancerStore(memory).abatch([SearchOp(("facts",), query=prompt)]))


async def llama_index(memory: AsyncRemembrancer, prompt: str) -> str:
    """The messages of a LlamaIndex chat after the prompt, with the recalled context."""
    chat = Memory.from_defaults(
        session_id="s", memory_blocks=[RemembrancerMemoryBlock(memory=memory)]
    )
    await chat.aput(ChatMessage(role="user", content=prompt))
    return str(await chat.aget())


async def openai_agents(memory: AsyncRemembrancer, prompt: str) -> str:
    """The answer of the recall tool for the OpenAI Agents SDK if the prompt is its query."""
    arguments = json.dumps({"query": prompt})
    context = ToolContext(
        context=None, tool_name="recall", tool_call_id="1", tool_arguments=arguments
    )
    answer = str(await recall_tool(memory).on_invoke_tool(context, arguments))
    assert "error" not in answer
    return answer


async def pydantic_ai(memory: AsyncRemembrancer, prompt: str) -> str:
    """The context that the Pydantic AI capability recalls for the prompt, after a run that captured
    the prompt.
    """
    capability = RemembrancerCapability(memory)
    await Agent(TestModel(call_tools=[]), capabilities=[capability]).run(prompt)
    return await capability.recall(prompt)


async def google_adk(memory: AsyncRemembrancer, prompt: str) -> str:
    """The memories that the ADK memory service finds for the prompt, after it stored FACT and the
    prompt as events.
    """
    service = RemembrancerMemoryService(memory)
    user = uuid.uuid4().hex
    events = [
        Event(author="user", content=Content(parts=[Part(text=text)]), timestamp=time.time())
        for text in (FACT, prompt)
    ]
    await service.add_events_to_memory(app_name="app", user_id=user, events=events)
    return str(await service.search_memory(app_name="app", user_id=user, query=prompt))


ADAPTERS: list[Callable[[AsyncRemembrancer, str], Awaitable[str]]] = [
    agent_framework,
    google_adk,
    langchain,
    langgraph,
    llama_index,
    openai_agents,
    pydantic_ai,
]


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_adapters_accept_any_prompt(
    memory: AsyncRemembrancer,
    adapter: Callable[[AsyncRemembrancer, str], Awaitable[str]],
    kind: str,
) -> None:
    """An adapter raises no error for a prompt that is very long, is blank or contains terminal
    codes.

    With the question that contains terminal codes it must find FACT; with the long prompt it may
    miss it.
    """
    answer = await adapter(memory, PROMPTS[kind])
    assert "Postgres" in answer or kind != "of a terminal"


async def test_an_event_that_is_too_long_for_one_memory_becomes_several(
    memory: AsyncRemembrancer,
) -> None:
    """An event longer than a memory may be is stored as several memories, which together have the
    whole text.
    """
    text = "The whole log of the build. " * (MAX_CONTENT // 20)
    event = Event(author="user", content=Content(parts=[Part(text=text)]), timestamp=time.time())
    user = uuid.uuid4().hex
    await RemembrancerMemoryService(memory).add_events_to_memory(
        app_name="app", user_id=user, events=[event]
    )
    contents = [entry.content async for entry in memory.within(f"app/{user}").all()]
    assert sorted(map(len, contents)) == [len(text.strip()) - MAX_CONTENT, MAX_CONTENT]

"""The capability for Pydantic AI (recall, capture and tools), in agents with the framework's test
models.
"""

from __future__ import annotations

import uuid
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel

from remembrancer_client import AsyncRemembrancer
from remembrancer_client.pydantic_ai import INSTRUCTIONS, RemembrancerCapability

FACT = "We decided to move the billing service to Postgres in March."


def prompts(messages: list[ModelMessage]) -> list[str]:
    """The texts of all user messages."""
    requests = [message for message in messages if isinstance(message, ModelRequest)]
    return [
        str(part.content)
        for request in requests
        for part in request.parts
        if isinstance(part, UserPromptPart)
    ]


async def test_messages_of_one_run_are_recalled_in_the_next(url: str) -> None:
    """Messages of one run are recalled in the next, in a message before the prompt.

    The message with the recalled context is not part of the run's history.
    """
    sent: list[list[ModelMessage]] = []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        sent.append(messages)
        assert INSTRUCTIONS in str(info.instructions)
        return ModelResponse(parts=[TextPart("It is noted.")])

    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        agent = Agent(FunctionModel(answer), capabilities=[RemembrancerCapability(memory)])
        await agent.run(FACT)
        question = "Which database does the billing service use?"
        result = await agent.run(question)
        assert prompts(sent[0]) == [FACT]
        memories, prompt = prompts(sent[1])
        assert prompt == question
        assert memories.startswith("<memories>")
        assert "Postgres" in memories
        assert prompts(result.all_messages()) == [question]


async def test_an_agent_remembers_and_recalls_by_tools(url: str) -> None:
    steps: list[Any] = [
        ToolCallPart("remember", {"content": FACT}),
        ToolCallPart("recall", {"query": "billing database"}),
        TextPart("done"),
    ]
    requests: list[str] = []

    def answer(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        requests.append(str(messages[-1]))
        return ModelResponse(parts=[steps[len(requests) - 1]])

    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        agent = Agent(
            FunctionModel(answer), capabilities=[RemembrancerCapability(memory, captures=False)]
        )
        await agent.run("Remember what we decided.")
        assert "stored" in requests[1]
        assert "Postgres" in requests[2]


async def test_the_test_model_can_call_every_tool(url: str) -> None:
    """Each tool accepts arguments that fit its schema. The framework's test model generates these
    arguments.
    """
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        model = TestModel()
        await Agent(model, capabilities=[RemembrancerCapability(memory)]).run("hello")
        assert model.last_model_request_parameters is not None
        assert {tool.name for tool in model.last_model_request_parameters.function_tools} == {
            "recall",
            "remember",
        }

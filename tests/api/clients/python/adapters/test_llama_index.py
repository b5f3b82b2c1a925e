"""The LlamaIndex memory block, in LlamaIndex's Memory and a chat engine with its mock model."""

from __future__ import annotations

import uuid

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import MockLLM
from llama_index.core.memory import Memory

from remembrancer_client import AsyncRemembrancer
from remembrancer_client.llama_index import RemembrancerMemoryBlock

FACT = "We decided to move the billing service to Postgres in March."


def chat(session_id: str, block: RemembrancerMemoryBlock, *, token_limit: int = 3000) -> Memory:
    """LlamaIndex's Memory with `block`. If messages exceed their part of `token_limit`, the oldest
    go to the block.
    """
    return Memory.from_defaults(
        session_id=session_id,
        token_limit=token_limit,
        chat_history_token_ratio=0.02,
        token_flush_size=10,
        memory_blocks=[block],
    )


async def test_messages_that_leave_a_chat_are_recalled_in_another_session(url: str) -> None:
    """Messages that a chat moves to the memory block become memories. A question in another session
    recalls them.
    """
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        block = RemembrancerMemoryBlock(memory=memory)
        first = chat("one", block)
        await first.aput(ChatMessage(role="user", content=FACT))
        for number in range(12):
            await first.aput(
                ChatMessage(
                    role="assistant", content=f"Understood, step {number} is noted for later."
                )
            )
            await first.aput(
                ChatMessage(role="user", content=f"Please go on with step {number} of the plan.")
            )
        messages = await chat("two", block).aget(
            input="Which database does the billing service use?"
        )
        assert FACT.removesuffix(".") in str(messages[0].content)


async def test_a_chat_engine_gets_the_recalled_context(url: str) -> None:
    """The prompt that a chat engine sends to its model contains the recalled fact."""
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        await memory.remember(FACT, type="semantic")
        block = RemembrancerMemoryBlock(memory=memory)
        engine = SimpleChatEngine.from_defaults(llm=MockLLM(), memory=chat("s", block))
        await chat("s", block).aput(ChatMessage(role="user", content="Hello"))
        answer = await engine.achat("Which database does the billing service use?")
        assert "Postgres" in str(answer)


async def test_the_memory_block_is_shortened_to_the_available_tokens(url: str) -> None:
    """Truncating the block's context leaves fewer memories, each of them whole.

    The result is None if no tokens are left, or if the text is not one that the block recalled.
    """
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        await memory.batch(
            [
                {"type": "semantic", "content": f"Fact {n} about the billing service"}
                for n in range(20)
            ]
        )
        block = RemembrancerMemoryBlock(memory=memory)
        content = await block.aget([ChatMessage(role="user", content="the billing service")])
        tokens = (await memory.recall("the billing service", budget=1000)).metadata.total_tokens
        shorter = await block.atruncate(content, tokens - 60)
        assert shorter is not None
        assert 0 < len(shorter) < len(content)
        assert shorter.endswith("</memories>\n")
        assert (await memory.recall("the billing service", budget=60)).metadata.total_tokens <= 60
        again = await block.atruncate(shorter, 10_000)
        assert again is None
        assert await block.atruncate("a text that it did not recall", 1) is None


async def test_without_a_question_nothing_is_recalled(url: str) -> None:
    """In a chat without messages the context of the memory block is empty."""
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        assert await RemembrancerMemoryBlock(memory=memory).aget([]) == ""

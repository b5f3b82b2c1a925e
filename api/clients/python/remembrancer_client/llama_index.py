"""A memory block for LlamaIndex: `RemembrancerMemoryBlock`. Needs the package's extra
`llama-index`.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.memory import BaseMemoryBlock
from pydantic import Field, PrivateAttr

from remembrancer_client.client import AsyncRemembrancer
from remembrancer_client.conversations import capture, query_of

RECALLS = 64
"""Number of recalled contexts kept with their query, because LlamaIndex may ask to shorten them."""


class RemembrancerMemoryBlock(BaseMemoryBlock[str]):
    """Recalls memories for the newest user message, and remembers messages that leave the
    short-term memory.

    budget: maximum tokens of the recalled memories. If LlamaIndex asks for a shorter text, a
    smaller budget is used.
    """

    name: str = "remembrancer"
    priority: int = 1
    memory: AsyncRemembrancer = Field(exclude=True)
    budget: int = 1000
    _recalls: dict[str, tuple[str, int]] = PrivateAttr(default_factory=dict)

    async def _aget(self, messages: list[ChatMessage] | None = None, **block_kwargs: Any) -> str:
        """The memories that help with the newest user message, as text."""
        prompts = [
            message.content
            for message in messages or ()
            if message.role == MessageRole.USER and message.content
        ]
        query = query_of(prompts[-1]) if prompts else ""
        return await self._recall(query, self.budget) if query else ""

    async def _aput(self, messages: list[ChatMessage]) -> None:
        """Remember what the user and the assistant said, each message in the session that its
        `session_id` names.
        """
        spoken = [
            message
            for message in messages
            if message.role in (MessageRole.USER, MessageRole.ASSISTANT)
        ]
        for session_id, group in groupby(
            spoken, lambda message: message.additional_kwargs.get("session_id")
        ):
            texts = ((message.role.value, message.content or "") for message in group)
            await capture(self.memory, session_id or "llama-index", texts)

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """Recall memories again with a budget smaller by `tokens_to_truncate`, by the query that
        returned `content`.

        Returns None if no memory fits, or if `content` is not known.
        """
        query, tokens = self._recalls.get(content, ("", 0))
        budget = tokens - tokens_to_truncate
        return (await self._recall(query, budget)) or None if query and budget > 0 else None

    async def _recall(self, query: str, budget: int) -> str:
        answer = await self.memory.recall(query, budget=budget, include_working=False)
        self._recalls[answer.context] = (query, answer.metadata.total_tokens)
        for oldest in list(self._recalls)[:-RECALLS]:
            del self._recalls[oldest]
        return answer.context

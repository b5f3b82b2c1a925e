"""Token counts from the API of a language model's provider.

A text, or the messages of a chat, are sent to the provider, so this is done only if a registry file
names the provider's endpoint. One deadline covers a request and its answer. An endpoint that keeps
failing is not asked again for some seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx
from cachetools import LRUCache

from memtypes.circuit_breaker import BreakerState, CircuitBreaker
from memtypes.llms.registry import CountEndpoint, CountKind, Models
from memtypes.ports.encoders import Tokenizer

COUNT_S = 1.0
"""Maximum seconds that the counts for one answer of the service may take together."""

MIN_CALLS = 3
"""Calls of an endpoint before its circuit breaker may open. Few, because each failed call delays an
answer.
"""

MAX_ANSWER = 8 * 1024 * 1024
"""Maximum number of bytes of an endpoint's answer. It is large because some answers list every
token.
"""

MESSAGE_TOKENS = 3
"""Tokens that OpenAI's chat format adds to each message, and to a chat for the beginning of the
answer; other formats add about as many.
"""

_CACHED = 2_000  # number of token counts that are cached, by endpoint, model and text

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of a chat whose tokens are counted. role: such as system, user or assistant."""

    role: str
    content: str


Prompt: TypeAlias = str | Sequence[ChatMessage]
"""What is counted: a text, or the messages of a chat."""


def count_locally(prompt: Prompt, tokenizer: Tokenizer) -> int:
    """Tokens of `prompt` by `tokenizer`. The messages of a chat have the tokens of OpenAI's chat
    format around them.

    Source: https://github.com/openai/openai-cookbook, "How to count tokens with tiktoken".
    """
    if isinstance(prompt, str):
        return tokenizer.count(prompt)
    texts = sum(tokenizer.count(each.role) + tokenizer.count(each.content) for each in prompt)
    return texts + MESSAGE_TOKENS * (len(prompt) + 1)


@dataclass(frozen=True, slots=True)
class ProviderCounter:
    """Counts tokens at the provider of a model. read_variable: reads the environment. clock: in
    monotonic seconds.
    """

    client: httpx.AsyncClient
    models: Models
    read_variable: Callable[[str], str | None]
    clock: Callable[[], float] = time.monotonic
    _breakers: dict[str, CircuitBreaker] = field(default_factory=dict)
    _counts: LRUCache[tuple[str, str, bytes], int] = field(
        default_factory=lambda: LRUCache(_CACHED)
    )

    def counts(self, model: str) -> bool:
        """Whether the registry names an endpoint that counts tokens for the model `model`."""
        return self.models().find(model).endpoint is not None

    async def count(self, prompt: Prompt, model: str, within_s: float = COUNT_S) -> int | None:
        """Number of tokens of `prompt` by the provider of `model`; None if it fails or takes over
        `within_s` seconds.
        """
        endpoint = self.models().find(model).endpoint
        if endpoint is None:
            return None
        bare = model.rsplit("/", 1)[-1]
        key = (endpoint.url, bare, _digest(prompt))
        if key in self._counts:
            return self._counts[key]
        breaker = self._breakers.setdefault(endpoint.url, CircuitBreaker(self.clock, MIN_CALLS))
        if within_s <= 0 or not breaker.allow():
            return None
        tokens = None
        try:
            async with asyncio.timeout(within_s):
                tokens = self._counts[key] = await self._ask(endpoint, prompt, bare)
        except (httpx.HTTPError, TimeoutError, KeyError, TypeError, ValueError) as error:
            _log.warning("%s did not count tokens: %s", endpoint.kind, type(error).__name__)
        breaker.record(success=tokens is not None)
        return tokens

    def states(self) -> dict[str, BreakerState]:
        """State of the circuit breaker of each endpoint that was called, by the host, port and path
        of its URL.
        """
        breakers = [(urlsplit(url), breaker) for url, breaker in self._breakers.items()]
        return {
            f"{url.netloc.rpartition('@')[2]}{url.path}": breaker.state for url, breaker in breakers
        }

    async def _ask(self, endpoint: CountEndpoint, prompt: Prompt, model: str) -> int:
        key = self.read_variable(endpoint.key_env) if endpoint.key_env else None
        headers, body = _request(endpoint, prompt, model, key)
        url = endpoint.url.replace("{model}", model)
        received = bytearray()
        async with self.client.stream("POST", url, headers=headers, json=body) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                received += chunk
                if len(received) > MAX_ANSWER:
                    raise ValueError(f"more than {MAX_ANSWER} bytes")
        return _tokens(json.loads(received))


def _digest(prompt: Prompt) -> bytes:
    """A hash that tells prompts apart, also a text from a chat of one message."""
    plain = prompt if isinstance(prompt, str) else [[each.role, each.content] for each in prompt]
    return hashlib.sha256(json.dumps(plain).encode()).digest()


_COUNT_FIELDS = ("input_tokens", "totalTokens", "total_tokens", "count")


def _tokens(answer: Any) -> int:
    """The token count in an endpoint's answer, which has a count or a list of tokens. Raises
    ValueError otherwise.
    """
    if not isinstance(answer, dict):
        # What a server sends is a value
        raise ValueError("the answer is not a JSON object")  # noqa: TRY004
    count = next((answer[name] for name in _COUNT_FIELDS if name in answer), None)
    if count is None and isinstance(answer.get("tokens"), list):
        return len(answer["tokens"])
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise ValueError(f"the count is {count!r}")
    return count


def _request(
    endpoint: CountEndpoint, prompt: Prompt, model: str, key: str | None
) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and body of the request that asks `endpoint` for the tokens of `prompt`. key: the API
    key, if any.
    """
    bearer = {"authorization": f"Bearer {key}"} if key else {}
    chat = [ChatMessage("user", prompt)] if isinstance(prompt, str) else list(prompt)
    match endpoint.kind:
        case CountKind.ANTHROPIC:
            headers = {"anthropic-version": "2023-06-01", **({"x-api-key": key} if key else {})}
            return headers, {"model": model, **_anthropic(chat)}
        case CountKind.GOOGLE:
            contents = [
                {"role": _role(each, "model"), "parts": [{"text": each.content}]} for each in chat
            ]
            return {"x-goog-api-key": key} if key else {}, {"contents": contents}
        case CountKind.COHERE:
            return bearer, {"model": model, "text": "\n".join(each.content for each in chat)}
        # OpenAI's own route takes `input`; those of vLLM, SGLang and LiteLLM take `prompt`, or
        # `messages`
        case CountKind.OPENAI:
            own = endpoint.url.endswith("/input_tokens")
            if isinstance(prompt, str):
                return bearer, {"model": model, "input" if own else "prompt": prompt}
            messages = [{"role": each.role, "content": each.content} for each in chat]
            return bearer, {"model": model, "input" if own else "messages": messages}


def _role(message: ChatMessage, assistant: str) -> str:
    """The role of `message` for an API that has two: `assistant`, and user for all others."""
    return assistant if message.role in ("assistant", "model") else "user"


def _anthropic(chat: Sequence[ChatMessage]) -> dict[str, Any]:
    """A chat for Anthropic's API, which takes system messages apart, and needs another one."""
    system = [each.content for each in chat if each.role == "system"]
    others = [each for each in chat if each.role != "system"]
    if not others:
        return {"messages": [{"role": "user", "content": "\n\n".join(system)}]}
    messages = [{"role": _role(each, "assistant"), "content": each.content} for each in others]
    return {"messages": messages, **({"system": "\n\n".join(system)} if system else {})}

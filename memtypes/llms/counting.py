"""Token counts for a model: by an available tokenizer, or by the provider's endpoint.

An endpoint gets the text, so it is used only if a registry file names it.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from memtypes.llms.registry import CountEndpoint, Models
from memtypes.ports.tokenizer import Tokenizer

TIMEOUT_S = 5.0
"""Seconds for the whole call of an endpoint."""

ReadVariable: TypeAlias = Callable[[str], str | None]
"""Returns the value of an environment variable."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelTokens:
    """tokens: of a text for a model, plus the margin if the count is not exact. by: tokenizer or provider."""

    tokens: int
    by: str
    exact: bool


class TokenCounter(ABC):
    """Counts the tokens of a text for a model."""

    @abstractmethod
    async def count(self, text: str, model: str) -> ModelTokens:
        """Count the tokens of `text` for `model`; never fails."""


class LocalCounter(TokenCounter):
    """Counts with the available tokenizers and adds the margin of models that have another one."""

    def __init__(self, tokenizers: Mapping[str, Tokenizer], models: Models) -> None:
        self._tokenizers = tokenizers
        self._models = models

    async def count(self, text: str, model: str) -> ModelTokens:
        """Return the exact count, or the count of the stand-in plus the margin, rounded up."""
        known = self._models().find(model)
        tokens = self._tokenizers[known.tokenizer].count(text)
        return ModelTokens(math.ceil(tokens * (1.0 + known.margin)), known.tokenizer, exact=known.margin == 0.0)


class EndpointCounter(TokenCounter):
    """Asks the provider's endpoint; `fallback` counts for models without one, and if the call fails."""

    def __init__(
        self, client: httpx.AsyncClient, models: Models, read_variable: ReadVariable, fallback: TokenCounter
    ) -> None:
        self._client = client
        self._models = models
        self._read_variable = read_variable
        self._fallback = fallback

    async def count(self, text: str, model: str) -> ModelTokens:
        """Return the provider's count, or the fallback's."""
        registry = self._models()
        endpoint = registry.endpoint(model)
        if endpoint is None:
            return await self._fallback.count(text, model)
        provider = registry.find(model).provider
        try:
            tokens = await self._ask(endpoint, text, model.rsplit("/", 1)[-1])
        except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
            _log.warning("%s did not count tokens (%s); they are counted here", provider, type(error).__name__)
            return await self._fallback.count(text, model)
        return ModelTokens(tokens, provider, exact=True)

    async def _ask(self, endpoint: CountEndpoint, text: str, model: str) -> int:
        key = self._read_variable(endpoint.key_env) if endpoint.key_env else None
        headers, body, answer_field = _REQUESTS[endpoint.kind](text, model, key)
        url = endpoint.url.replace("{model}", model)
        response = await self._client.post(url, headers=headers, json=body, timeout=TIMEOUT_S)
        response.raise_for_status()
        tokens = response.json()[answer_field]
        if not isinstance(tokens, int) or tokens < 0:
            raise ValueError(f"{answer_field} is {tokens!r}")
        return tokens


_Request: TypeAlias = tuple[dict[str, str], dict[str, Any], str]
"""Headers, body, and the field of the answer that has the count."""


def _anthropic(text: str, model: str, key: str | None) -> _Request:
    headers = {"anthropic-version": "2023-06-01", **({"x-api-key": key} if key else {})}
    return headers, {"model": model, "messages": [{"role": "user", "content": text}]}, "input_tokens"


def _google(text: str, _model: str, key: str | None) -> _Request:
    headers = {"x-goog-api-key": key} if key else {}
    return headers, {"contents": [{"parts": [{"text": text}]}]}, "totalTokens"


_REQUESTS: dict[str, Callable[[str, str, str | None], _Request]] = {"anthropic": _anthropic, "google": _google}

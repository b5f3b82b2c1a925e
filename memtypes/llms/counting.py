"""Token counts for a model: by the provider's endpoint, or by an available tokenizer.

An endpoint gets the text, so it is used only if a registry file names it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from memtypes.llms.registry import CountEndpoint, Models
from memtypes.ports.encoders import Tokenizer

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


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts the tokens of a text for a model."""

    client: httpx.AsyncClient
    models: Models
    read_variable: ReadVariable
    tokenizers: Mapping[str, Tokenizer]

    async def count(self, text: str, model: str) -> ModelTokens:
        """Return the provider's count; without an endpoint, or if the call fails, the local one. Never fails."""
        known = self.models().find(model)
        if known.endpoint is not None:
            try:
                tokens = await self._ask(known.endpoint, text, model.rsplit("/", 1)[-1])
            except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
                name = type(error).__name__
                _log.warning("%s did not count tokens (%s); they are counted here", known.provider, name)
            else:
                return ModelTokens(tokens, known.provider, exact=True)
        # A stand-in's count gets the margin on top, rounded up.
        tokens = math.ceil(self.tokenizers[known.tokenizer].count(text) * (1.0 + known.margin))
        return ModelTokens(tokens, known.tokenizer, exact=known.margin == 0.0)

    async def _ask(self, endpoint: CountEndpoint, text: str, model: str) -> int:
        key = self.read_variable(endpoint.key_env) if endpoint.key_env else None
        headers, body, answer_field = _REQUESTS[endpoint.kind](text, model, key)
        url = endpoint.url.replace("{model}", model)
        response = await self.client.post(url, headers=headers, json=body, timeout=TIMEOUT_S)
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

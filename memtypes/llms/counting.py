"""Token counts from the API of a model's provider.

The text is sent to the provider, so it is asked only if a registry file names its endpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from memtypes.llms.registry import CountEndpoint, Models

TIMEOUT_S = 5.0
"""Seconds for the whole call of an endpoint."""

ReadVariable: TypeAlias = Callable[[str], str | None]
"""Returns the value of an environment variable."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProviderCounter:
    """Counts the tokens of a text for a model at the endpoint of its provider."""

    client: httpx.AsyncClient
    models: Models
    read_variable: ReadVariable

    async def count(self, text: str, model: str) -> int | None:
        """Tokens of `text` by the provider of `model`; None without endpoint or if the call fails, which is logged."""
        known = self.models().find(model)
        if known.endpoint is None:
            return None
        try:
            return await self._ask(known.endpoint, text, model.rsplit("/", 1)[-1])
        except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
            _log.warning("%s did not count tokens: %s", known.provider, type(error).__name__)
            return None

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

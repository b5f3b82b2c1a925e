"""Token counts by a provider's own endpoint, where the registry names one. Knows two shapes of request and httpx.

The text is sent to the provider, so this is only done where a registry file says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import httpx

from memtypes.llms.counting import Counted, TokenCounter
from memtypes.llms.registry import Endpoint, Models

TIMEOUT_S = 5.0
"""Of the whole call."""

Secret: TypeAlias = Callable[[str], str | None]
"""Gives the value of an environment variable."""

_log = logging.getLogger(__name__)


class EndpointCounter(TokenCounter):
    """Asks the provider of a model that has an endpoint; `otherwise` counts for all others and when it fails."""

    def __init__(self, client: httpx.AsyncClient, models: Models, secret: Secret, otherwise: TokenCounter) -> None:
        self._client = client
        self._models = models
        self._secret = secret
        self._otherwise = otherwise

    async def count(self, text: str, model: str) -> Counted:
        """The provider's count; the local one where there is no endpoint or it does not answer in time."""
        registry = self._models()
        endpoint = registry.endpoint(model)
        if endpoint is None:
            return await self._otherwise.count(text, model)
        provider = registry.find(model).provider
        bare = model.rsplit("/", 1)[-1]
        try:
            return Counted(await self._asked(endpoint, text, bare), provider, exact=True)
        except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
            _log.warning("%s did not count tokens (%s); they are counted here", provider, type(error).__name__)
            return await self._otherwise.count(text, model)

    async def _asked(self, endpoint: Endpoint, text: str, model: str) -> int:
        key = self._secret(endpoint.key_env) if endpoint.key_env else None
        url = endpoint.url.replace("{model}", model)
        headers, body, answer_field = _SHAPES[endpoint.kind](text, model, key)
        answer = await self._client.post(url, headers=headers, json=body, timeout=TIMEOUT_S)
        answer.raise_for_status()
        counted = answer.json()[answer_field]
        if not isinstance(counted, int) or counted < 0:
            raise ValueError(f"{answer_field} is {counted!r}")
        return counted


_Shape: TypeAlias = tuple[dict[str, str], dict[str, Any], str]


def _anthropic(text: str, model: str, key: str | None) -> _Shape:
    headers = {"anthropic-version": "2023-06-01", **({"x-api-key": key} if key else {})}
    return headers, {"model": model, "messages": [{"role": "user", "content": text}]}, "input_tokens"


def _google(text: str, _model: str, key: str | None) -> _Shape:
    headers = {"x-goog-api-key": key} if key else {}
    return headers, {"contents": [{"parts": [{"text": text}]}]}, "totalTokens"


_SHAPES: dict[str, Callable[[str, str, str | None], _Shape]] = {"anthropic": _anthropic, "google": _google}

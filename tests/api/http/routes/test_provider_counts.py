"""Exact token counts, requested from the provider of a model."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from api.wiring.container import Services
from memtypes.llms.counting import ProviderCounter
from memtypes.llms.registry import Registry, default_file, parse_registry
from tests.api.conftest import connect

pytestmark = pytest.mark.anyio
OWN = parse_registry("providers: {anthropic: {detect: [claude], count: {url: 'http://x/', kind: anthropic}}}", "own")


def length_of(request: httpx.Request) -> httpx.Response:
    """A provider's answer that counts one token for each character."""
    text = json.loads(request.content)["messages"][0]["content"]
    return httpx.Response(200, json={"input_tokens": len(text)})


def refusal(_request: httpx.Request) -> httpx.Response:
    """A provider's error answer, without a count."""
    return httpx.Response(500)


@pytest.mark.parametrize(
    ("model", "who", "told"),
    [("claude-x", "provider", True), ("claude-x", "nobody", False), ("gpt-4o", "provider", False)],
)
@pytest.mark.parametrize("form", ["markdown", "messages"])
async def test_only_the_providers_count_is_reported(
    services: Services, model: str, who: str, told: object, form: str
) -> None:
    """If the provider has no endpoint or does not answer, the exact count is absent."""
    registry = Registry.of(default_file(), OWN)
    provider = httpx.AsyncClient(transport=httpx.MockTransport(length_of if who == "provider" else refusal))
    counter = ProviderCounter(provider, lambda: registry, lambda _: None)
    async with provider, connect(replace(services, counter=counter, models=lambda: registry)) as client:
        await client.post("/v1/memories", json={"namespace": "n", "type": "semantic", "content": "the tide is low"})
        request = {"namespace": "n", "query": "tide", "model": model, "format": form, "budget": 200}
        answer = (await client.post("/v1/retrieve", json=request)).json()
    texts = answer["context"] if isinstance(answer["context"], str) else answer["context"][0]["content"]
    assert answer["metadata"].get("model_tokens") == (len(texts) if told else None)

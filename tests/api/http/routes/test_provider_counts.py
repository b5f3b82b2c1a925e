"""Token counts by a model's provider."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.wiring.container import Services
from memtypes.llms.counting import ModelTokens, TokenCounter
from memtypes.llms.registry import Registry, default_file, parse_registry
from tests.api.conftest import connect

pytestmark = pytest.mark.anyio
OWN = parse_registry("providers: {anthropic: {detect: [claude], count: {url: 'http://x/', kind: anthropic}}}", "own")


class Counter(TokenCounter):
    """Counts one for a character, exactly or not."""

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact

    async def count(self, text: str, _model: str) -> ModelTokens:
        """Its length."""
        return ModelTokens(len(text), "anthropic", self._exact)


@pytest.mark.parametrize(
    ("model", "who", "told"),
    [("claude-x", "provider", True), ("claude-x", "stand-in", False), ("gpt-4o", "provider", False)],
)
@pytest.mark.parametrize("form", ["markdown", "messages"])
async def test_only_the_providers_count_is_reported(
    services: Services, model: str, who: str, told: object, form: str
) -> None:
    """Estimates are not, and providers without a counting endpoint are not asked."""
    registry = Registry.of(default_file(), OWN)
    given: dict[str, Any] = {"counter": Counter(exact=who == "provider"), "models": lambda: registry}
    async with connect(replace(services, **given)) as client:
        await client.post("/v1/memories", json={"namespace": "n", "type": "semantic", "content": "the tide is low"})
        asked = {"namespace": "n", "query": "tide", "model": model, "format": form, "budget": 200}
        answer = (await client.post("/v1/retrieve", json=asked)).json()
    texts = answer["context"] if isinstance(answer["context"], str) else answer["context"][0]["content"]
    assert answer["metadata"].get("model_tokens") == (len(texts) if told else None)

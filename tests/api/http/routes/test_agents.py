"""The registry of models over HTTP, and an agent's whole context."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from api.wiring.container import Services
from memtypes.llms.registry import RegistrySource
from tests.api.conftest import connect, problem

pytestmark = pytest.mark.anyio

OWN = "models: [{provider: house, names: [house-one], window: 10000, categories: [code], source: us 2026-01-02}]"


async def test_models_are_listed_by_category_and_reloaded(services: Services, tmp_path: Path) -> None:
    """The operator's come first, and a change of their file takes effect at the next call."""
    path = tmp_path / "models.yaml"
    path.write_text(OWN)
    async with connect(replace(services, models=RegistrySource(path))) as client:
        everything = (await client.get("/v1/models")).json()["models"]
        code = (await client.get("/v1/models", params={"category": "code"})).json()["models"]
        path.write_text(OWN.replace("10000", "123456"))
        again = (await client.get("/v1/models", params={"category": "code"})).json()["models"]
    assert len(everything) > 60
    assert all("code" in model["categories"] for model in code)
    assert code[0] == {
        "name": "house-one",
        "provider": "house",
        "context_window": 10_000,
        "max_output": None,
        "categories": ["code"],
        "tokenizer": "cl100k_base",
        "margin": 0.5,
        "source": "us 2026-01-02",
    }
    assert again[0]["context_window"] == 123_456


async def test_a_model_is_resolved_by_task_or_name(services: Services, tmp_path: Path) -> None:
    """The answer has the tokens of every part of its window."""
    path = tmp_path / "models.yaml"
    path.write_text(OWN)
    async with connect(replace(services, models=RegistrySource(path))) as client:

        async def resolve(**body: str) -> httpx.Response:
            return await client.post("/v1/models/resolve", json=body)

        assert (await resolve(task="code")).json()["model"]["name"] == "house-one"
        for task in ("fast", "long"):
            assert task in (await resolve(task=task)).json()["model"]["categories"]
        named = (await resolve(name="codellama-13b")).json()
        assert (named["model"]["name"], named["model"]["context_window"]) == ("codellama", 16_384)
        assert named["allocation"].keys() == {"system", "history", "files", "memory", "response"}
        assert sum(named["allocation"].values()) == 16_384
        unknown = (await resolve(name="nobody-knows")).json()
        assert (unknown["model"]["context_window"], unknown["allocation"]) == (None, None)
        problem(await resolve(task="poetry"), 422)
        problem(await resolve(), 422)
        problem(await resolve(task="fast", name="gpt-4o"), 422)

"""A model that the registry does not know has the same budget in every call, and the answer says
that it is unknown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.wiring.container import Services
from memtypes.llms.registry import Registry, default_file
from retrieval.query.request import DEFAULT_BUDGET
from retrieval.retriever import Retriever
from tests.api.conftest import connect

pytestmark = pytest.mark.anyio

IN = {"namespace": "n"}


@pytest.fixture
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with the default registry of models, and one tokenizer for all."""
    registry = Registry.from_files(default_file())
    tokenizer = services.tokenizers["cl100k_base"]
    tokenizers = {"cl100k_base": tokenizer, "o200k_base": tokenizer}
    parts = replace(services.receipts.parts, models=lambda: registry, tokenizers=tokenizers)
    wired = replace(
        services, models=lambda: registry, tokenizers=tokenizers, retriever=Retriever(parts)
    )
    async with connect(wired) as connected:
        yield connected


async def metadata(client: httpx.AsyncClient, call: str, **body: Any) -> dict[str, Any]:
    """The metadata of the context that `call` makes for a model."""
    if call == "thread":
        thread = (await client.post("/v1/threads", json=IN)).json()["id"]
        path = f"/v1/threads/{thread}"
        turn = {"role": "user", "content": "The tide is low"}
        await client.post(f"{path}/turns", params=IN, json=turn)
        answer = await client.post(f"{path}/context", params=IN, json=body)
    elif call == "history":
        workflow = (await client.post("/v1/workflows", json=IN)).json()["workflow_id"]
        answer = await client.get(f"/v1/workflows/{workflow}/history", params={**IN, **body})
    elif call == "continue":
        workflow = (await client.post("/v1/workflows", json=IN)).json()["workflow_id"]
        path = f"/v1/workflows/{workflow}/continue"
        answer = await client.post(path, params=IN, json={"input": "go on", **body})
    elif call == "agent":
        answer = await client.post("/v1/agents/ann/context", json={**IN, "query": "tide", **body})
    else:
        answer = await client.post("/v1/retrieve", json={**IN, "query": "tide", **body})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()["metadata"]
    return told


CALLS = ("retrieve", "thread", "agent", "history", "continue")


@pytest.mark.parametrize("call", CALLS)
async def test_an_unknown_model_has_the_default_budget_and_is_named_unknown(
    client: httpx.AsyncClient, call: str
) -> None:
    told = await metadata(client, call, model="nobody-knows")
    assert (told["budget"], told["unknown_model"]) == (DEFAULT_BUDGET, True)


@pytest.mark.parametrize("call", CALLS)
async def test_a_given_budget_holds_for_an_unknown_model(
    client: httpx.AsyncClient, call: str
) -> None:
    told = await metadata(client, call, model="nobody-knows", budget=300)
    assert (told["budget"], told["unknown_model"]) == (300, True)


@pytest.mark.parametrize("call", CALLS)
async def test_a_known_model_has_a_share_of_its_window(
    client: httpx.AsyncClient, call: str
) -> None:
    told = await metadata(client, call, model="gpt-4o")
    assert told["budget"] != DEFAULT_BUDGET
    assert "unknown_model" not in told

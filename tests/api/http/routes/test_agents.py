"""The registry of language models over HTTP, and an agent's context (memories, threads, tasks) from
a single call.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from api.http.agent_contexts import MAX_QUERY_CHARACTERS
from api.wiring.container import Services
from memtypes.llms.registry import Registry, RegistrySource, default_file
from memtypes.stores.redis.connection.client import LiveClient
from tests.api.agents_client import SESSION, World, serving
from tests.api.conftest import connect, problem

pytestmark = pytest.mark.anyio

OWN = (
    "models: [{provider: house, names: [house-one], window: 10000, categories: [code], "
    "source: us 2026-01-02}]"
)


async def test_models_are_listed_by_category_and_reloaded(
    services: Services, tmp_path: Path
) -> None:
    """Models from the operator's own file come first in a list. A change of the file is seen by the
    next call.
    """
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
    """A model can be found by a task or by its name. The answer says how its context window is
    divided.
    """
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
        problem(await resolve(task="poetry"), 404)
        problem(await resolve(), 422)
        problem(await resolve(task="fast", name="gpt-4o"), 422)


async def test_a_task_of_the_operators_file_gets_its_preferred_model(
    services: Services, tmp_path: Path
) -> None:
    """Categories are free words. The answer names the models to take if the best one is away."""
    path = tmp_path / "models.yaml"
    path.write_text(
        "tasks: {code_review: {needs: [careful], prefer: [house-b]}}\n"
        "models:\n"
        "- {provider: house, names: [house-a], window: 10000, categories: [careful, fast]}\n"
        "- {provider: house, names: [house-b], window: 20000, categories: [careful]}\n"
        "- {provider: house, names: [house-c], window: 30000, categories: [infrastructure]}\n"
    )
    async with connect(replace(services, models=RegistrySource(path))) as client:
        best = {}
        for task in ("code_review", "infrastructure", "feature_dev", "supervisor"):
            answer = await client.post("/v1/models/resolve", json={"task": task})
            assert answer.status_code == 200, answer.text
            best[task] = answer.json()["model"]["name"]
            if task == "code_review":
                assert answer.json()["alternatives"] == ["house-a"]
        listed = await client.get("/v1/models", params={"category": "infrastructure"})
        tasks = {task["name"]: task for task in listed.json()["tasks"]}
        lacking = await client.post("/v1/models/resolve", json={"task": "careful_review"})
    assert (best["code_review"], best["infrastructure"]) == ("house-b", "house-c")
    assert "code" in (Registry.from_files(default_file()).find(best["feature_dev"]).categories)
    assert [model["name"] for model in listed.json()["models"]] == ["house-c"]
    assert tasks["code_review"] == {
        "name": "code_review",
        "needs": ["careful"],
        "window": None,
        "prefer": ["house-b"],
    }
    assert tasks.keys() >= {"feature_dev", "infrastructure", "supervisor"}
    assert "code_review" in problem(lacking, 404)["detail"]


async def test_an_override_keeps_what_it_does_not_name(services: Services, tmp_path: Path) -> None:
    """Of a model, such as its margin, and of a provider."""
    path = tmp_path / "models.yaml"
    path.write_text(
        "models: [{names: [codellama], window: 9000}]\nproviders: {anthropic: {window: 150000}}\n"
    )

    async def resolved(models: RegistrySource, name: str) -> dict[str, Any]:
        async with connect(replace(services, models=models)) as client:
            answer = await client.post("/v1/models/resolve", json={"name": name})
            return dict(answer.json()["model"])

    for name, window in (("codellama-13b", 9_000), ("claude-next", 150_000)):
        before = await resolved(RegistrySource(), name)
        after = await resolved(RegistrySource(path), name)
        assert before["margin"] > 0
        assert after == before | {"context_window": window}


@pytest.mark.parametrize("name", ["gemini-pro", "gemini"])
async def test_a_short_name_finds_its_family(services: Services, name: str) -> None:
    async with connect(replace(services, models=RegistrySource())) as client:
        model = (await client.post("/v1/models/resolve", json={"name": name})).json()["model"]
    assert model["name"].startswith("gemini-3")
    assert model["context_window"] == 1_048_576


@pytest.fixture
async def world(live: LiveClient, services: Services) -> AsyncIterator[World]:
    """A client of a service that keeps threads and working memory in Redis, and whose policy file
    defines agents.
    """
    async with serving(live, replace(services, models=RegistrySource())) as client:
        yield World(client, f"n {uuid.uuid4()}")


async def context_of(
    world: World, agent: str, key: str = "host", status: int = 200, **body: Any
) -> dict[str, Any]:
    """Request the context of an agent with this key, and return the answer."""
    answer = await world.call(key, "POST", f"/v1/agents/{agent}/context", body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def furnish(world: World) -> dict[str, str]:
    """Store memories, a due task, two threads and notes in working memory. Return the thread ids by
    resource.
    """
    await world.call(
        "host",
        "POST",
        "/v1/memories",
        {"type": "semantic", "content": "The ledger runs on Postgres."},
    )
    due = {
        "type": "prospective",
        "content": "Rotate the ledger password",
        "due_at": "2026-02-28T09:00:00Z",
    }
    await world.call("host", "POST", "/v1/memories", due)
    shared = await world.thread("bob", resource="shared", variables=SESSION)
    box = await world.thread("ann", resource="boxes", variables=SESSION)
    for number in range(6):
        turn = {"role": "user", "content": f"Message {number} about the ledger"}
        await world.on_thread("bob", "POST", f"/{shared}/turns", turn)
        await world.on_thread(
            "ann", "POST", f"/{box}/turns", {**turn, "content": f"Note {number} to myself"}
        )
    for key, text in (
        ("ann", "Ann checks the ledger"),
        ("bob", "Bob paints the fence"),
        ("host", "The desk is open"),
    ):
        await world.call(key, "POST", "/v1/working", {"content": text, "session_id": "s1"})
    return {"shared": shared, "boxes": box}


async def test_one_call_gives_an_agents_whole_context(world: World) -> None:
    """An agent's context has memories, its threads, working memory and due tasks, together within
    the token budget.
    """
    threads = await furnish(world)
    answer = await context_of(
        world, "ann", query="where does the ledger run?", session_id="s1", budget=2_000, floor=0
    )
    parts = answer["parts"]
    metadata = answer["metadata"]
    text = answer["context"]
    assert [item["content"] for item in parts["memory"]["items"]] == [
        "The ledger runs on Postgres."
    ]
    assert [item["content"] for item in parts["due"]["items"]] == ["Rotate the ledger password"]
    assert {item["content"] for item in parts["working"]["items"]} == {
        "Ann checks the ledger",
        "The desk is open",
    }
    modes = {
        item["resource"]: (item["thread_id"], item["mode"]) for item in parts["threads"]["items"]
    }
    assert modes == {
        "shared": (threads["shared"], "read-only"),
        "boxes": (threads["boxes"], "read-write"),
    }
    for words in (
        "Postgres",
        "Rotate the ledger",
        "Ann checks",
        "Message 5",
        "Note 5 to myself",
        "## Thread shared",
    ):
        assert words in text
    assert sum(part["tokens"] for part in parts.values()) == metadata["total_tokens"] <= 2_000
    assert len(text.split()) <= metadata["total_tokens"]
    assert (await world.call("host", "GET", "/v1/prospective/due")).json()["due"], (
        "nothing was delivered"
    )


async def test_a_bound_key_gets_its_own_agents_context(world: World) -> None:
    await furnish(world)
    own_context = await context_of(
        world, "ann", key="ann", query="ledger", session_id="s1", floor=0
    )
    assert [item["content"] for item in own_context["parts"]["working"]["items"]] == [
        "Ann checks the ledger"
    ]
    await context_of(world, "bob", key="ann", status=403, query="ledger", session_id="s1")


@pytest.mark.parametrize("budget", [0, 7, 40, 90, 200, 500])
async def test_no_budget_of_an_agents_context_is_exceeded(world: World, budget: int) -> None:
    """An agent's context never exceeds its budget, even one of 0. Turns that do not fit are counted
    as omitted.
    """
    await furnish(world)
    answer = await context_of(world, "ann", query="ledger", session_id="s1", budget=budget, floor=0)
    assert answer["metadata"]["total_tokens"] <= budget
    assert len(answer["context"].split()) <= answer["metadata"]["total_tokens"]
    threads = answer["parts"]["threads"]["items"]
    assert [thread["resource"] for thread in threads] == ["shared", "boxes"]
    assert [len(thread["turns"]) + thread["omitted"]["turns"] for thread in threads] == [6, 6]
    if budget >= 200:
        assert "Message 5" in answer["context"]


async def test_the_models_allocation_divides_an_agents_context(world: World) -> None:
    """The default budget of an agent's context is 60 % of the context window of the model that the
    request names.

    If the model's tokenizer is not exact, a margin of the budget stays unused.
    """
    await furnish(world)
    answer = await context_of(
        world, "ann", query="ledger", session_id="s1", model="claude-haiku-4-5", floor=0
    )
    metadata = answer["metadata"]
    allotted = metadata["allocation"]
    assert (metadata["budget"], metadata["margin"], allotted["response"]) == (120_000, 0.4, 64_000)
    assert sum(allotted.values()) - allotted["response"] == int(120_000 / 1.4)
    assert allotted["history"] == pytest.approx(int(120_000 / 1.4) / 2, abs=2)


async def test_without_a_query_the_newest_turn_is_the_query(world: World) -> None:
    await furnish(world)
    answer = await context_of(world, "ann", session_id="s1", floor=0)
    assert [item["content"] for item in answer["parts"]["memory"]["items"]] == [
        "The ledger runs on Postgres."
    ]
    idle = await context_of(world, "bob", session_id="s2", variables={"session": {"id": "s2"}})
    assert idle["parts"]["threads"]["items"] == []
    assert [item["content"] for item in idle["parts"]["due"]["items"]] == [
        "Rotate the ledger password"
    ]
    assert idle["parts"]["memory"]["items"] == []


async def test_a_newest_turn_that_begins_with_many_blanks_is_the_query(world: World) -> None:
    threads = await furnish(world)
    turn = {"role": "user", "content": f"{chr(10) * MAX_QUERY_CHARACTERS}Where is the ledger?"}
    added = await world.on_thread("bob", "POST", f"/{threads['shared']}/turns", turn)
    assert added.status_code == 201
    answer = await context_of(world, "ann", session_id="s1", floor=0)
    assert [item["content"] for item in answer["parts"]["memory"]["items"]] == [
        "The ledger runs on Postgres."
    ]


async def test_a_missing_variable_of_a_thread_key_and_an_unknown_agent_are_refused(
    world: World,
) -> None:
    """If a variable of a thread key is missing, the 422 names it.

    For an unknown agent, the 422 names the known ones.
    """
    missing = await context_of(world, "ann", status=422, query="x")
    assert "session.id" in missing["detail"]
    unknown = await context_of(world, "zed", status=422, query="x")
    assert "there are: ann, bob, cat" in unknown["detail"]


async def test_a_thread_that_ends_while_a_context_is_built_is_left_out(world: World) -> None:
    """If an agent deletes a shared thread while the context of another agent is built, the context
    still succeeds.
    """
    for _ in range(25):
        shared = await world.thread("bob", resource="shared", variables=SESSION)
        await world.on_thread(
            "bob", "POST", f"/{shared}/turns", {"role": "user", "content": "Where is the ledger?"}
        )
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(partial(context_of, world, "ann", session_id="s1", budget=500))
            group.start_soon(world.on_thread, "bob", "DELETE", f"/{shared}")

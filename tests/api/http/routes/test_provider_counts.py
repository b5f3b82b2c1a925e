"""Exact token counts, requested from the provider of a language model, and contexts cut to these
counts.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest

from api.wiring.container import Services
from memtypes.llms.counting import COUNT_S, ProviderCounter
from memtypes.llms.registry import Registry, RegistryFile, default_file, parse_registry
from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.client import LiveClient
from retrieval.retriever import Retriever
from tests.api.conftest import connect
from tests.api.working_client import with_live_workflows
from tests.fakes import FakeTokenizer

pytestmark = pytest.mark.anyio
OWN = parse_registry(
    "providers: {anthropic: {detect: [claude], count: {url: 'http://x/', kind: anthropic}}}", "own"
)
FACTS = [f"Fact {number}: the tide at pier {number} is low in the morning." for number in range(12)]


def length_of(request: httpx.Request) -> httpx.Response:
    """An answer of the provider's count endpoint: as many tokens as the text has characters."""
    text = json.loads(request.content)["messages"][0]["content"]
    return httpx.Response(200, json={"input_tokens": len(text)})


def refusal(_request: httpx.Request) -> httpx.Response:
    """An error answer of the provider's count endpoint."""
    return httpx.Response(500)


async def drip(_request: httpx.Request) -> httpx.Response:
    """An answer of the provider's count endpoint that sends one byte every 0.1 s, for a minute."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(600):
            yield b" "
            await anyio.sleep(0.1)

    return httpx.Response(200, content=body())


@asynccontextmanager
async def counted(
    services: Services, provider: Callable[[httpx.Request], Any], own: RegistryFile = OWN
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with some facts. `provider` answers its requests for token counts.

    own: entries that are added to the model registry, with the URLs of the count endpoints.
    """
    registry = Registry.from_files(default_file(), own)
    async with httpx.AsyncClient(transport=httpx.MockTransport(provider)) as transport:
        counter = ProviderCounter(transport, lambda: registry, lambda _: None)
        tokenizers = services.tokenizers
        parts = replace(
            services.receipts.parts, counter=counter, models=lambda: registry, tokenizers=tokenizers
        )
        wired = replace(
            services, counter=counter, models=lambda: registry, retriever=Retriever(parts)
        )
        wired = replace(
            wired,
            breakers=lambda: {(server, "count"): each for server, each in counter.states().items()},
        )
        async with connect(wired) as client:
            for fact in FACTS:
                await client.post(
                    "/v1/memories", json={"namespace": "n", "type": "semantic", "content": fact}
                )
            yield client


async def retrieve(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """Build a context for the model `claude-x` and return the answer."""
    request = {"namespace": "n", "query": "tide", "model": "claude-x", "floor": 0, **body}
    answer = await client.post("/v1/retrieve", json=request)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("budget", [0, 30, 100, 400, 900])
async def test_a_context_is_cut_to_the_providers_count(services: Services, budget: int) -> None:
    """If the provider counts more tokens than our tokenizer, the context is cut until the
    provider's count fits.
    """
    async with counted(services, length_of) as client:
        answer = await retrieve(client, budget=budget, working_budget=0)
    metadata = answer["metadata"]
    assert metadata["model_tokens"] == len(answer["context"]) <= budget
    assert metadata["total_tokens"] == metadata["model_tokens"]
    assert metadata["local_tokens"] == FakeTokenizer().count(answer["context"])
    share = len(answer["context"]) / budget if budget else 0.0
    assert metadata["utilization"] == pytest.approx(share)
    assert metadata["budget"] == budget
    if budget >= 400:
        assert len(answer["items"]) >= 2


@pytest.mark.parametrize("form", ["markdown", "json"])
async def test_a_context_cut_to_the_providers_count_is_verified_and_replayed(
    services: Services, form: str
) -> None:
    """Its receipt tells the budgets of the first choice, among which memories were chosen again."""
    async with counted(services, length_of) as client:
        answer = await retrieve(client, budget=500, working_budget=0, format=form)
        assert 0 < len(answer["items"]) < len(FACTS)
        receipt = f"/v1/receipts/{answer['receipt_id']}"
        recorded = (await client.get(receipt)).json()
        first_total = recorded["first"]["budget"]["total"]
        assert recorded["request"]["budget"]["total"] < first_total <= 500
        verdict = (await client.post(f"{receipt}/verify")).json()
        assert verdict["valid"], verdict
        replay = (await client.post(f"{receipt}/replay")).json()
        assert replay == {"identical": True, "changes": []}


async def test_memories_do_not_use_the_budget_of_working_memory(services: Services) -> None:
    async with counted(services, length_of) as client:
        answer = await retrieve(client, budget=400)
    assert 0 < answer["metadata"]["model_tokens"] == len(answer["context"]) <= 400


async def test_a_context_is_empty_if_the_provider_counts_too_much_for_every_text(
    services: Services,
) -> None:
    async with counted(
        services, lambda _: httpx.Response(200, json={"input_tokens": 5_000})
    ) as client:
        answer = await retrieve(client, budget=400)
    assert (answer["context"], answer["metadata"]["model_tokens"]) == ("", 0)


@pytest.mark.parametrize("provider", [refusal, drip])
async def test_a_failed_count_degrades_the_answer_and_is_not_waited_for(
    services: Services, provider: Any
) -> None:
    """If the provider fails or is slow, the answer comes without its count and reports
    `token_count` as degraded.

    After three failures the provider is not asked for a while.
    """
    async with counted(services, provider) as client:
        for _ in range(3):
            began = time.monotonic()
            answer = await retrieve(client, budget=300)
            assert time.monotonic() - began < COUNT_S + 1.0
            assert answer["metadata"]["degraded"] == ["token_count"]
            assert "model_tokens" not in answer["metadata"]
            assert answer["items"]
        began = time.monotonic()
        assert (await retrieve(client, budget=301))["metadata"]["degraded"] == ["token_count"]
    assert time.monotonic() - began < COUNT_S


async def test_each_endpoint_of_a_host_has_a_breaker_in_the_metrics(services: Services) -> None:
    """Metrics have a circuit breaker for each count endpoint, without the user and password of its
    URL.
    """
    endpoint = "{detect: [%s], count: {url: 'http://me:word@x:1/%s', kind: anthropic}}"
    registry = parse_registry(
        f"providers: {{a: {endpoint % ('a', 'a')}, b: {endpoint % ('b', 'b')}}}", "own"
    )

    def provider(request: httpx.Request) -> httpx.Response:
        return refusal(request) if request.url.path == "/a" else length_of(request)

    async with counted(services, provider, registry) as client:
        for model in ("a1", "a2", "a3", "b1"):
            await retrieve(client, model=model, budget=300)
        metrics = (await client.get("/metrics")).text.splitlines()
    states = [line for line in metrics if 'workload="count"' in line and line.endswith(" 1.0")]
    assert states == [
        f'remembrancer_breaker_state{{server="x:1/{name}",state="{state}",workload="count"}} 1.0'
        for name, state in (("a", "open"), ("b", "closed"))
    ]


async def test_the_same_context_is_counted_once(services: Services) -> None:
    """If the same context is built several times for a model, the provider is asked for its tokens
    only once.
    """
    requests: list[httpx.Request] = []

    def provider(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"input_tokens": 7})

    async with counted(services, provider) as client:
        for _ in range(3):
            assert (await retrieve(client, budget=300))["metadata"]["model_tokens"] == 7
    assert len(requests) == 1


async def test_a_threads_and_an_agents_context_are_cut_to_the_providers_count(
    services: Services,
) -> None:
    """A thread's and an agent's context fit the budget by the provider's token count, which is in
    their metadata.
    """
    async with counted(services, length_of) as client:
        thread = (await client.post("/v1/threads", json={"namespace": "n"})).json()["id"]
        for number in range(10):
            turn = {"role": "user", "content": f"Message {number} about the tide and the pier"}
            await client.post(f"/v1/threads/{thread}/turns", params={"namespace": "n"}, json=turn)
        body = {"budget": 200, "model": "claude-x"}
        context = (
            await client.post(f"/v1/threads/{thread}/context", params={"namespace": "n"}, json=body)
        ).json()
        agent = (
            await client.post(
                "/v1/agents/ann/context",
                json={"namespace": "n", "query": "tide", "floor": 0, **body},
            )
        ).json()
    assert "Message 9" in context["context"]
    for answer in (context, agent):
        metadata = answer["metadata"]
        assert metadata["model_tokens"] == len(answer["context"]) <= 200
        assert metadata["total_tokens"] == metadata["model_tokens"] > metadata["local_tokens"] > 0
        assert metadata["degraded"] == []
    assert len(await services.receipts.queue.latest(Scope("default", "n"), 10)) == 1, (
        "of the last attempt"
    )


@pytest.mark.parametrize(
    ("model", "who", "told"),
    [("claude-x", "provider", True), ("claude-x", "nobody", False), ("gpt-4o", "provider", False)],
)
@pytest.mark.parametrize("form", ["markdown", "messages"])
async def test_only_the_providers_count_is_reported_as_exact(
    services: Services, model: str, who: str, told: object, form: str
) -> None:
    """The metadata have `model_tokens` only if the provider has a count endpoint and answers."""
    async with counted(services, length_of if who == "provider" else refusal) as client:
        answer = await retrieve(client, model=model, format=form, budget=200)
    texts = (
        answer["context"] if isinstance(answer["context"], str) else answer["context"][0]["content"]
    )
    assert answer["metadata"].get("model_tokens") == (len(texts) if told else None)
    assert answer["metadata"]["degraded"] == (["token_count"] if who == "nobody" else [])


async def test_a_context_fits_its_budget_by_the_tokenizer_that_the_request_names(
    services: Services,
) -> None:
    """If a request names a tokenizer, the context fits the budget by this tokenizer.

    The provider's count may exceed it.
    """
    async with counted(services, length_of) as client:
        answer = await retrieve(client, budget=60, tokenizer="cl100k_base")
    assert answer["metadata"]["model_tokens"] > 60
    assert 0 < answer["metadata"]["total_tokens"] <= 60
    assert answer["metadata"]["utilization"] <= 1.0


async def test_a_workflows_history_is_cut_to_the_providers_count(
    services: Services, live: LiveClient
) -> None:
    """A workflow's history fits the budget by the provider's count. If that fails, `token_count` is
    degraded.
    """
    for provider, degraded in ((length_of, []), (refusal, ["token_count"])):
        async with counted(with_live_workflows(services, live), provider) as client:
            space = {"namespace": uuid.uuid4().hex}
            workflow = (await client.post("/v1/workflows", json=space)).json()["workflow_id"]
            for number in range(12):
                event = {
                    "type": "note",
                    "input": f"The tide at pier {number} is low in the morning.",
                }
                await client.post(f"/v1/workflows/{workflow}/events", params=space, json=event)
            params: dict[str, Any] = {"budget": 300, "model": "claude-x"}
            history = (
                await client.get(f"/v1/workflows/{workflow}/history", params={**space, **params})
            ).json()
            body = {**params, "input": "go on"}
            resumed = (
                await client.post(f"/v1/workflows/{workflow}/continue", params=space, json=body)
            ).json()
        assert "pier 11" in history["history"] == resumed["history"]
        for metadata in (history["metadata"], resumed["metadata"]):
            assert metadata["degraded"] == degraded
            assert metadata.get("model_tokens") == (None if degraded else len(history["history"]))
            if not degraded:
                assert metadata["total_tokens"] == metadata["model_tokens"]
                assert 0 < metadata["local_tokens"] < metadata["model_tokens"]
        assert history["omitted"]["events"] > 0 or degraded
        assert len(history["history"]) <= 300 or degraded

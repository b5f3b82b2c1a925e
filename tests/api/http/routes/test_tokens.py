"""`POST /v1/tokens/count`: what a text or a chat costs, by which tokenizer, with which margin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.auth.keys import Role
from api.wiring.container import Services
from memtypes.encoders.tiktoken import TiktokenTokenizer
from memtypes.llms.counting import ProviderCounter
from memtypes.llms.registry import Registry, default_file, parse_registry
from tests.api.conftest import bearer, connect, problem

pytestmark = pytest.mark.anyio

TEXT = "The tide at the old pier is low at half past seven."
OWN = "providers: {anthropic: {count: {url: 'http://x/', kind: anthropic}}}"


@pytest.fixture
async def counting(services: Services) -> AsyncIterator[Services]:
    """Services with the real tokenizers and the default registry; the provider of Claude counts
    1,234 tokens for every chat that has a word, and fails for others.
    """

    def provider(request: httpx.Request) -> httpx.Response:
        if b"fail" in request.content:
            return httpx.Response(500)
        return httpx.Response(200, json={"input_tokens": 1_234})

    registry = Registry.from_files(default_file(), parse_registry(OWN, "own.yaml", default_file()))
    tokenizers = {
        name: await TiktokenTokenizer.open(name) for name in ("cl100k_base", "o200k_base")
    }
    async with httpx.AsyncClient(transport=httpx.MockTransport(provider)) as transport:
        yield replace(
            services,
            models=lambda: registry,
            tokenizers=tokenizers,
            counter=ProviderCounter(transport, lambda: registry, lambda _: None),
        )


@pytest.fixture
async def client(counting: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that counts."""
    async with connect(counting) as connected:
        yield connected


async def count(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """The answer to a count of `body`."""
    answer = await client.post("/v1/tokens/count", json=body)
    assert answer.status_code == 200, answer.text
    counted: dict[str, Any] = answer.json()
    return counted


@pytest.mark.parametrize(
    ("given", "tokenizer", "margin"),
    [
        ({}, "cl100k_base", 0.0),
        ({"tokenizer": "o200k_base"}, "o200k_base", 0.0),
        ({"model": "gpt-4o"}, "o200k_base", 0.0),
        ({"model": "gpt-4"}, "cl100k_base", 0.0),
        ({"model": "llama3.1:8b"}, "cl100k_base", 0.15),
    ],
)
async def test_a_text_is_counted_by_the_tokenizer_of_its_model(
    client: httpx.AsyncClient,
    counting: Services,
    given: dict[str, str],
    tokenizer: str,
    margin: float,
) -> None:
    answer = await count(client, text=TEXT, **given)
    tokens = counting.tokenizers[tokenizer].count(TEXT)
    assert answer["tokens"] == tokens
    assert (answer["tokenizer"], answer["margin"], answer["source"]) == (tokenizer, margin, "local")
    assert tokens * (1 + margin) <= answer["at_most"] < tokens * (1 + margin) + 1
    assert "unknown_model" not in answer


async def test_an_unknown_model_has_the_widest_margin(client: httpx.AsyncClient) -> None:
    answer = await count(client, text=TEXT, model="nobody-knows")
    assert (answer["margin"], answer["unknown_model"]) == (0.5, True)
    assert (await count(client, text="", model="gpt-4o"))["tokens"] == 0


async def test_a_special_token_is_text(client: httpx.AsyncClient) -> None:
    assert (await count(client, text="<|endoftext|>"))["tokens"] > 1


async def test_a_chat_costs_its_texts_and_its_format(client: httpx.AsyncClient) -> None:
    """Three tokens for each message, beside its role, and three for the answer's beginning."""
    text = (await count(client, text="hello world", model="gpt-4o"))["tokens"]
    chat = [{"role": "user", "content": "hello world"}]
    assert (await count(client, messages=chat, model="gpt-4o"))["tokens"] == text + 1 + 3 + 3
    twice = await count(client, messages=[*chat, *chat], model="gpt-4o")
    assert twice["tokens"] == 2 * (text + 1 + 3) + 3


async def test_the_count_of_the_provider_comes_first(client: httpx.AsyncClient) -> None:
    for body in ({"text": TEXT}, {"messages": [{"role": "user", "content": TEXT}]}):
        answer = await count(client, model="claude-haiku", **body)
        assert (answer["tokens"], answer["source"]) == (1_234, "provider")
        assert (answer["margin"], answer["at_most"]) == (0.0, 1_234)
        assert 0 < answer["local_tokens"] < 30
        assert answer["model"] == "claude-haiku-5-5"


async def test_without_its_provider_the_service_counts_and_says_so(
    client: httpx.AsyncClient,
) -> None:
    answer = await count(client, text="this will fail", model="claude-haiku")
    assert (answer["source"], answer["margin"]) == ("local", 0.4)
    assert answer["degraded"] == ["token_count"]
    assert 0 < answer["tokens"] < answer["at_most"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "messages": [{"role": "user", "content": "a"}]},
        {"messages": []},
        {"messages": [{"content": "a"}]},
        {"text": "a", "tokenizer": "gpt2"},
        {"text": "a", "tokenizer": "cl100k_base", "model": "gpt-4o"},
        {"text": "a", "budget": 7},
    ],
)
async def test_a_bad_request_is_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    problem(await client.post("/v1/tokens/count", json=body), 422)


async def test_a_reader_may_count(guarded: Services) -> None:
    async with connect(guarded) as client:
        answer = await client.post("/v1/tokens/count", json={"text": TEXT})
        problem(answer, 401)
        reader = bearer("acme", Role.READER)
        answer = await client.post("/v1/tokens/count", json={"text": TEXT}, headers=reader)
    assert answer.status_code == 200

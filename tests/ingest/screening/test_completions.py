"""The client of a chat completion endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from ingest.screening.completions import (
    BREAKER_CALLS,
    BREAKER_OPEN_S,
    CompletionClient,
    CompletionFailed,
    CompletionRequest,
    endpoint_breaker,
    parse_answer,
)
from tests.ingest.model_server import Answer, ModelServer, says, serving

pytestmark = pytest.mark.anyio

TEXT = 'He said "stop"\n\nand left.'
REQUEST = CompletionRequest("Rate the text.", {"text": TEXT}, "rating", {"type": "object"})


class Rating(BaseModel):
    """The schema of the answer that the model is asked for."""

    score: int


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client."""
    async with httpx.AsyncClient() as client:
        yield client


def client_of(
    http: httpx.AsyncClient, server: ModelServer, timeout_s: float = 2.0
) -> CompletionClient:
    """A completion client whose endpoint is `server`."""
    return CompletionClient(http, *server.endpoint, timeout_s)


@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "```\n{}\n```", "\n {} \n"])
async def test_an_answer_in_a_code_block_is_parsed(http: httpx.AsyncClient, form: str) -> None:
    """A model's JSON answer is parsed as plain text and within a Markdown code block.

    The request has the API key and the JSON schema of the answer.
    """
    with serving(says(form.format('{"score": 8}'))) as server:
        assert await client_of(http, server).complete(REQUEST, Rating) == Rating(score=8)
    assert server.keys == ["Bearer k"]
    assert server.requests[0]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: (500, "oops"), "answered 500"),
        (lambda _: (200, "garbage"), "did not answer with a chat completion"),
        (lambda _: (200, '{"choices": []}'), "did not answer with a chat completion"),
        (lambda _: (200, '{"choices": [{"message": {"content": 5}}]}'), "has no text"),
        (lambda _: (200, "x" * 70_000), "more than 65536 bytes"),
        (lambda _: (0, ""), "did not answer in time"),
        (says("I would say eight."), "answer is invalid"),
        (says('{"score": "high"}'), "score is invalid"),
    ],
)
async def test_a_failure_says_why(http: httpx.AsyncClient, answer: Answer, reason: str) -> None:
    """Server errors, timeouts and invalid answers raise CompletionFailed with the reason."""
    with serving(answer) as server, pytest.raises(CompletionFailed, match=reason):
        await client_of(http, server, timeout_s=0.5).complete(REQUEST, Rating)


async def test_an_unreachable_endpoint_says_so(http: httpx.AsyncClient) -> None:
    """If the endpoint refuses the connection, CompletionFailed is raised with the reason."""
    with serving(says("{}")) as server:
        client = client_of(http, server)
    with pytest.raises(CompletionFailed, match="can't be reached"):
        await client.complete(REQUEST, Rating)


async def test_the_text_is_sent_as_data(http: httpx.AsyncClient) -> None:
    """The text is sent as a JSON member of the user message; the instructions do not contain it."""
    with serving(says('{"score": 6}')) as server:
        await client_of(http, server).complete(REQUEST, Rating)
    system, user = server.requests[0]["messages"]
    assert json.loads(user["content"]) == {"text": TEXT}
    assert system["content"] == "Rate the text."


async def test_an_endpoint_that_hangs_is_left_alone_for_a_while(http: httpx.AsyncClient) -> None:
    """After three calls without an answer the next one fails at once. After half a minute one call
    tries again, and its success lets all others through.
    """
    replies = [(0, "")] * BREAKER_CALLS
    seconds = 0.0

    def answer(request: dict[str, Any]) -> tuple[int, str]:
        return replies.pop() if replies else says('{"score": 8}')(request)

    with serving(answer) as server:
        breaker = endpoint_breaker(lambda: seconds)
        client = CompletionClient(http, *server.endpoint, 0.3, breaker)
        for _ in range(BREAKER_CALLS):
            with pytest.raises(CompletionFailed, match="in time"):
                await client.complete(REQUEST, Rating)
        began = time.monotonic()
        with pytest.raises(CompletionFailed, match="failed lately"):
            await client.complete(REQUEST, Rating)
        assert time.monotonic() - began < 0.2
        assert len(server.requests) == BREAKER_CALLS
        seconds = BREAKER_OPEN_S + 1
        assert await client.complete(REQUEST, Rating) == Rating(score=8)
        assert await client.complete(REQUEST, Rating) == Rating(score=8)


async def test_an_endpoint_that_hangs_after_many_answers_is_found_out(
    http: httpx.AsyncClient,
) -> None:
    with serving(says('{"score": 8}')) as server:
        client = client_of(http, server, 0.3)
        for _ in range(30):
            await client.complete(REQUEST, Rating)
        server.answer = lambda _: (0, "")
        for _ in range(BREAKER_CALLS):
            with pytest.raises(CompletionFailed):
                await client.complete(REQUEST, Rating)
        with pytest.raises(CompletionFailed, match="failed lately"):
            await client.complete(REQUEST, Rating)


async def test_an_invalid_answer_leaves_the_endpoint_in_use(http: httpx.AsyncClient) -> None:
    with serving(says('{"score": "many"}')) as server:
        client = client_of(http, server)
        for _ in range(2 * BREAKER_CALLS):
            with pytest.raises(CompletionFailed, match="score is invalid"):
                await client.complete(REQUEST, Rating)
    assert len(server.requests) == 2 * BREAKER_CALLS


def test_an_answer_out_of_range_names_the_field() -> None:
    with pytest.raises(CompletionFailed, match="score is invalid"):
        parse_answer(Rating, '{"score": 1.5}')


VERDICT = '{"score": 8}'


@pytest.mark.parametrize(
    "message",
    [
        f"Sure! Here it is: {VERDICT}",
        f"I first thought of {{'score': 3}} or {{this}}.\n\n```json\n{VERDICT}\n```\nAsk me more.",
        f'The draft was {{"score": 3}}, but then: {VERDICT}',
        f'{VERDICT} (the schema was {{"type": "object"}})',
    ],
)
def test_an_answer_among_prose_is_parsed(message: str) -> None:
    """The last JSON object that is a valid answer counts."""
    assert parse_answer(Rating, message) == Rating(score=8)


@pytest.mark.parametrize("message", ["{" * 60_000, '{"a":' * 12_000, "{} " * 20_000])
def test_a_message_of_many_braces_is_refused_quickly(message: str) -> None:
    began = time.process_time()
    with pytest.raises(CompletionFailed):
        parse_answer(Rating, message)
    assert time.process_time() - began < 1

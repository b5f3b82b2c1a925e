"""Token counts by a provider's endpoint, which is a loopback HTTP server here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from memtypes.llms.counting import ChatMessage, Prompt, ProviderCounter, count_locally
from memtypes.llms.registry import Registry, default_file, parse_registry
from tests.fakes import FakeTokenizer

pytestmark = pytest.mark.anyio


class Provider:
    """A scripted provider: its answer, and the requests that it received."""

    def __init__(self, status: int, answer: object) -> None:
        self.status = status
        self.answer = answer
        self.requests: list[tuple[str, dict[str, str], Any]] = []


@contextmanager
def serving(provider: Provider) -> Iterator[str]:
    """Serve `provider` and return its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            provider.requests.append(
                (self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            )
            sent = json.dumps(provider.answer).encode()
            self.send_response(provider.status)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


CHAT = (
    ChatMessage("system", "be brief"),
    ChatMessage("user", "one two"),
    ChatMessage("assistant", "three"),
    ChatMessage("tool", "four"),
)


async def count_four_words(
    url: str,
    kind: str,
    model: str,
    route: str = "/{model}",
    prompt: Prompt = "one two three four",
) -> int | None:
    """Count the tokens of four words, or of another prompt, with the provider's endpoint at
    `url`.
    """
    file = parse_registry(
        f"providers: {{house: {{margin: 0.4, detect: [house-, claude-x, gemini-x], count: "
        f"{{url: '{url}{route}', kind: {kind}, key_env: KEY}}}}}}",
        "models.yaml",
    )
    registry = Registry.from_files(default_file(), file)
    async with httpx.AsyncClient() as client:
        counter = ProviderCounter(client, lambda: registry, {"KEY": "the secret"}.get)
        return await counter.count(prompt, model)


async def test_tokens_are_counted_by_the_endpoint_of_anthropic() -> None:
    """The token count is the one that Anthropic's endpoint returns.

    The API key is read from the environment variable that the model registry names.
    """
    provider = Provider(200, {"input_tokens": 11})
    with serving(provider) as url:
        assert await count_four_words(url, "anthropic", "house/claude-x-5") == 11
    path, headers, body = provider.requests[0]
    assert (path, headers["x-api-key"]) == ("/claude-x-5", "the secret")
    assert body["messages"] == [{"role": "user", "content": "one two three four"}]


async def test_tokens_are_counted_by_the_endpoint_of_google() -> None:
    provider = Provider(200, {"totalTokens": 5})
    with serving(provider) as url:
        assert await count_four_words(url, "google", "gemini-x-pro") == 5
    contents = [{"role": "user", "parts": [{"text": "one two three four"}]}]
    assert provider.requests[0][2] == {"contents": contents}


@pytest.mark.parametrize(
    ("kind", "route", "answer", "sent"),
    [
        ("cohere", "", {"tokens": [1, 2, 3], "token_strings": ["a", "b", "c"]}, "text"),
        ("openai", "/tokenize", {"count": 3, "max_model_len": 4096, "tokens": [1, 2, 3]}, "prompt"),
        ("openai", "/tokenize", {"tokens": [1, 2, 3]}, "prompt"),
        (
            "openai",
            "/v1/responses/input_tokens",
            {"object": "response.input_tokens", "input_tokens": 3},
            "input",
        ),
    ],
)
async def test_tokens_are_counted_by_cohere_and_openai_compatible_endpoints(
    kind: str, route: str, answer: Any, sent: str
) -> None:
    """The token count is taken from the answer of Cohere, OpenAI or a server with OpenAI's API.

    The request names the model, has the text in the field that this provider expects, and the API
    key as bearer token. If the answer has only a list of tokens, these are counted.
    """
    provider = Provider(200, answer)
    with serving(provider) as url:
        assert await count_four_words(url, kind, "house-one", route) == 3
    _, headers, body = provider.requests[0]
    assert headers["authorization"] == "Bearer the secret"
    assert body == {"model": "house-one", sent: "one two three four"}


@pytest.mark.parametrize(
    ("kind", "route", "sent"),
    [
        (
            "anthropic",
            "/{model}",
            {
                "system": "be brief",
                "messages": [
                    {"role": "user", "content": "one two"},
                    {"role": "assistant", "content": "three"},
                    {"role": "user", "content": "four"},
                ],
            },
        ),
        (
            "google",
            "/{model}",
            {
                "contents": [
                    {"role": "user", "parts": [{"text": "be brief"}]},
                    {"role": "user", "parts": [{"text": "one two"}]},
                    {"role": "model", "parts": [{"text": "three"}]},
                    {"role": "user", "parts": [{"text": "four"}]},
                ]
            },
        ),
        ("cohere", "", {"text": "be brief\none two\nthree\nfour"}),
        ("openai", "/tokenize", {"messages": [asdict(message) for message in CHAT]}),
        ("openai", "/input_tokens", {"input": [asdict(message) for message in CHAT]}),
    ],
)
async def test_a_chat_is_sent_in_the_form_of_the_provider(
    kind: str, route: str, sent: dict[str, Any]
) -> None:
    provider = Provider(200, {"count": 7})
    with serving(provider) as url:
        assert await count_four_words(url, kind, "house-one", route, CHAT) == 7
    body = provider.requests[0][2]
    body.pop("model", None)
    assert body == sent


async def test_a_chat_of_system_messages_has_one_message_for_anthropic() -> None:
    provider = Provider(200, {"input_tokens": 4})
    with serving(provider) as url:
        assert await count_four_words(url, "anthropic", "claude-x", "/", CHAT[:1]) == 4
    assert provider.requests[0][2]["messages"] == [{"role": "user", "content": "be brief"}]


def test_a_chat_has_the_tokens_of_its_format_around_its_messages() -> None:
    """Three for each message and for the answer's beginning, beside roles and contents."""
    tokenizer = FakeTokenizer()
    assert count_locally("one two", tokenizer) == 2
    assert count_locally(CHAT, tokenizer) == 4 + 6 + 3 * 5


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, {}),
        (200, {}),
        (200, []),
        (200, {"input_tokens": "many"}),
        (200, {"input_tokens": -1}),
        (401, {}),
    ],
)
async def test_an_invalid_answer_gives_no_count(status: int, answer: object) -> None:
    """If a provider's answer is an error or has no valid count, the count is None and no error is
    raised.
    """
    with serving(Provider(status, answer)) as url:
        assert await count_four_words(url, "anthropic", "claude-x") is None


async def test_an_unreachable_provider_gives_no_count() -> None:
    """A provider whose port is closed gives the count None and raises no error."""
    assert await count_four_words("http://127.0.0.1:1", "anthropic", "claude-x") is None


async def test_a_text_for_a_model_without_an_endpoint_is_not_sent() -> None:
    provider = Provider(200, {"input_tokens": 11})
    with serving(provider) as url:
        assert await count_four_words(url, "anthropic", "gpt-4o") is None
    assert provider.requests == []

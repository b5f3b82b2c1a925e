"""Token counts by a provider's endpoint, against a server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from memtypes.encoders.endpoints import EndpointCounter
from memtypes.llms.counting import Counted, LocalCounter
from memtypes.llms.registry import Registry
from memtypes.llms.registry_file import default_file, parse
from tests.fakes import FakeTokenizer

pytestmark = pytest.mark.anyio


class Provider:
    """What a provider was asked, and what it answers."""

    def __init__(self, status: int, answer: object) -> None:
        self.status, self.answer = status, answer
        self.asked: list[tuple[str, dict[str, str], Any]] = []


@contextmanager
def serving(provider: Provider) -> Iterator[str]:
    """The address of `provider` on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            provider.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            sent = json.dumps(provider.answer).encode()
            self.send_response(provider.status)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def counted(url: str, kind: str, model: str) -> Counted:
    """The count of four words, where the provider counts at `url`."""
    name = {"anthropic": "anthropic", "google": "google"}[kind]
    own = parse(
        f"providers: {{{name}: {{margin: 0.4, detect: [claude, gemini], count: "
        f"{{url: '{url}/{{model}}', kind: {kind}, key_env: KEY}}}}}}",
        "own",
    )
    registry = Registry.of(default_file(), own)
    tokenizers = {"cl100k_base": FakeTokenizer(), "o200k_base": FakeTokenizer()}
    async with httpx.AsyncClient() as client:
        local = LocalCounter(tokenizers, lambda: registry)
        counter = EndpointCounter(client, lambda: registry, {"KEY": "the secret"}.get, local)
        return await counter.count("one two three four", model)


async def test_anthropic_is_asked_as_it_wants() -> None:
    """Its header, its body, its answer; the key comes from the named variable."""
    provider = Provider(200, {"input_tokens": 11})
    with serving(provider) as url:
        assert await counted(url, "anthropic", "anthropic/claude-sonnet-4-5") == Counted(11, "anthropic", exact=True)
    path, headers, body = provider.asked[0]
    assert (path, headers["x-api-key"]) == ("/claude-sonnet-4-5", "the secret")
    assert body["messages"] == [{"role": "user", "content": "one two three four"}]


async def test_google_is_asked_as_it_wants() -> None:
    """Its header, its body, its answer."""
    provider = Provider(200, {"totalTokens": 5})
    with serving(provider) as url:
        assert await counted(url, "google", "gemini-2.5-pro") == Counted(5, "google", exact=True)
    assert provider.asked[0][2] == {"contents": [{"parts": [{"text": "one two three four"}]}]}


@pytest.mark.parametrize(
    ("status", "answer"),
    [(500, {}), (200, {}), (200, []), (200, {"input_tokens": "many"}), (200, {"input_tokens": -1}), (401, {})],
)
async def test_a_provider_that_fails_is_made_up_for(status: int, answer: object) -> None:
    """The stand-in counts, with the margin, rounded up."""
    with serving(Provider(status, answer)) as url:
        assert await counted(url, "anthropic", "claude-x") == Counted(6, "cl100k_base", exact=False)


async def test_a_provider_that_is_away_is_made_up_for() -> None:
    """Nobody listens there."""
    assert await counted("http://127.0.0.1:1", "anthropic", "claude-x") == Counted(6, "cl100k_base", exact=False)


async def test_other_models_are_counted_here() -> None:
    """Exactly, and nothing is sent."""
    provider = Provider(200, {"input_tokens": 11})
    with serving(provider) as url:
        assert await counted(url, "anthropic", "gpt-4o") == Counted(4, "o200k_base", exact=True)
    assert provider.asked == []

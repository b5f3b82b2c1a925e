"""Error answers (problem documents): statuses, Retry-After, security headers, and no internals in a
500.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.wiring.container import Services
from memtypes.model.errors import Overloaded, RemembrancerError, Unavailable
from memtypes.model.scope import Scope
from tests.api.conftest import ASK, connect, problem

pytestmark = pytest.mark.anyio


class FailingRetriever:
    """A retriever whose search raises `error`."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def search(self, _scope: Scope, _request: Any) -> Any:
        """Raise the error that the test passed in."""
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [(Overloaded("the queue is full"), 429, "1"), (Unavailable("away", retry_after_s=7), 503, "7")],
)
async def test_retryable_problems_have_retry_after(
    services: Services, error: Exception, status: int, retry_after: str
) -> None:
    """An error answer with status 429 or 503 has the header Retry-After, in seconds."""
    failing: Any = FailingRetriever(error)
    async with connect(replace(services, retriever=failing)) as client:
        response = await client.post("/v1/search", json=ASK)
    problem(response, status)
    assert response.headers["retry-after"] == retry_after


@pytest.mark.parametrize(
    "error", [ValueError("the text of a memory"), RemembrancerError("the text of a memory")]
)
async def test_server_errors_reveal_nothing(
    services: Services, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a 500 nor the log quotes the message of the error. The log has the error's class."""
    failing: Any = FailingRetriever(error)
    async with connect(replace(services, retriever=failing)) as client:
        response = await client.post("/v1/search", json=ASK)
    assert "the text of a memory" not in str(problem(response, 500))
    assert type(error).__name__ in caplog.text
    assert "the text of a memory" not in caplog.text


async def test_answers_forbid_caching(client: httpx.AsyncClient) -> None:
    """Headers of every answer forbid caching and content sniffing."""
    for response in (
        await client.get("/v1/stats?namespace=n"),
        await client.post("/v1/search", json=ASK),
    ):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/docs", "/metrics", "/v1/stats", "/nowhere"])
async def test_answers_forbid_scripts_and_fetches(client: httpx.AsyncClient, path: str) -> None:
    """Every answer, even an error, has a Content-Security-Policy that forbids scripts and
    fetches.
    """
    headers = (await client.get(path)).headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["content-type"].count("charset") <= 1

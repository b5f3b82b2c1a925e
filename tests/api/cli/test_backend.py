"""The command line's local backend returns the same answers as the HTTP API."""

from __future__ import annotations

import pytest

from api.cli.backend import LocalBackend
from api.wiring.container import Services
from retrieval.query.request import RetrieveRequest, SearchRequest
from tests.api.conftest import connect

pytestmark = pytest.mark.anyio
SECRET = "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z"
ASK = {"namespace": "me", "query": f"which service takes {SECRET}?", "budget": 200, "agent_id": "coder"}


async def test_local_queries_are_redacted_like_http_queries(services: Services) -> None:
    """The receipts of a local and an HTTP retrieval contain the same redacted query."""
    answer = await LocalBackend(services, "default").retrieve(RetrieveRequest.model_validate(ASK))
    async with connect(services) as client:
        remote = (await client.post("/v1/retrieve", json=ASK)).json()
        receipts = [(await client.get(f"/v1/receipts/{item['receipt_id']}")).json() for item in (answer, remote)]
    assert receipts[0]["request"] == receipts[1]["request"]
    assert SECRET not in str(receipts[0])
    assert "[redacted:" in receipts[0]["request"]["query"]


async def test_local_search_equals_http_search(services: Services) -> None:
    """A local search returns the same answer as the HTTP call."""
    question = {"namespace": "me", "query": "coffee", "as_of": "2026-03-01T12:00:00Z"}
    async with connect(services) as client:
        fact = {"type": "semantic", "namespace": "me", "content": "I drink my coffee black, without sugar"}
        assert (await client.post("/v1/memories", json=fact)).status_code == 201
        answer = await LocalBackend(services, "default").search(SearchRequest.model_validate(question))
        assert answer == (await client.post("/v1/search", json=question)).json()
    assert answer["hits"]

"""Bad questions: searches, retrievals and lists that can't be answered as asked."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.test_bad_input import ASK, problem

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"query": ""}, "query"),
        ({"query": "  "}, "query"),
        ({"query": "x" * 20_001}, "query"),
        ({"query": "a\u0007"}, "query"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 1_001}, "top_k"),
        ({"top_k": 10**18}, "top_k"),
        ({"top_k": "10"}, "top_k"),
        ({"types": []}, "types"),
        ({"types": ["nonsense"]}, "types[0]"),
        ({"weights": {"luck": 1}}, "weights.luck"),
        ({"weights": {"similarity": -1}}, "weights.similarity"),
        ({"profile": ""}, "profile"),
        ({"profile": "nonsense"}, "profile"),
        ({"filters": {"nonsense": {"eq": 1}}}, "filters"),
        ({"filters": {"importance": {"about": 5}}}, "filters.importance.about"),
        ({"filters": {"importance": {"any": []}}}, "filters.importance.any"),
        ({"filters": {"importance": {"between": [9, 1]}}}, "filters.importance.between"),
        ({"filters": []}, "filters"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"min_similarity": 2}, "min_similarity"),
        ({"budget": 100}, "budget"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
async def test_a_wrong_search_is_422(client: httpx.AsyncClient, fields: dict[str, Any], path: str) -> None:
    """The path says which field."""
    members = problem(await client.post("/v1/search", json=ASK | fields), 422)
    assert path in [error["path"] for error in members["errors"]]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"budget": -1}, "budget"),
        ({"budget": 10**12}, "budget"),
        ({"budget": "100"}, "budget"),
        ({"budget": {"total": -1}}, "budget.total"),
        ({"budget": {"per_type": {"luck": 1}}}, "budget.per_type.luck"),
        ({"budget": {"per_type": {"working": 1}}}, "budget.per_type"),
        ({"tokenizer": "p50k"}, "tokenizer"),
        ({"format": "pdf"}, "format"),
        ({"working_budget": -5}, "working_budget"),
        ({"top_k": 3}, "top_k"),
    ],
)
async def test_a_wrong_retrieve_is_422(client: httpx.AsyncClient, fields: dict[str, Any], path: str) -> None:
    """The path says which field."""
    members = problem(await client.post("/v1/retrieve", json=ASK | fields), 422)
    assert path in [error["path"] for error in members["errors"]]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "namespace=",
        "namespace=%20n",
        "namespace=a%00b",
        "namespace=" + "n" * 257,
        "namespace=n&namespace=m",
        "namespace=n&nonsense=1",
        "namespace=%ff",
        "namespace=n&limit=0",
        "namespace=n&limit=501",
        "namespace=n&limit=ten",
        "namespace=n&limit=1e2",
        "namespace=n&limit=" + "9" * 5_000,
        "namespace=n&type=nonsense",
        "namespace=n&created_after=2026-01-01",
        "namespace=n&created_after=2026-01-01T00:00:00",
        "namespace=n&include_expired=maybe",
        "namespace=n&cursor=nonsense",
        "namespace=n&" + "&".join(f"a{number}=1" for number in range(100)),
    ],
)
async def test_a_wrong_list_query_is_422(client: httpx.AsyncClient, query: str) -> None:
    """Missing, repeated, unknown and impossible parameters are refused."""
    problem(await client.get(f"/v1/memories?{query}"), 422)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/retrieve", "/v1/memories"])
async def test_a_call_without_parameters_takes_none(client: httpx.AsyncClient, path: str) -> None:
    """A parameter that would be ignored is refused."""
    assert problem(await client.post(f"{path}?top_k=3", json=ASK), 422)["errors"][0]["path"] == "top_k"

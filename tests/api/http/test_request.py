"""Validation of requests: strict JSON, media types, query parameters, and the paths of invalid
fields.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import ASK, FACT, count, problem

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"tenant": "x"}, "tenant"),
        ({"id": "x"}, "id"),
        ({"steps": ["a"]}, "steps"),
        ({"content": ""}, "content"),
        ({"content": " \n"}, "content"),
        ({"content": "a\u0000b"}, "content"),
        ({"content": 5}, "content"),
        ({"content": None}, "content"),
        ({"content": "x" * 500_001}, "content"),
        ({"content": "x" * 1_000_000}, "content"),
        ({"importance": 0}, "importance"),
        ({"importance": 11}, "importance"),
        ({"importance": "5"}, "importance"),
        ({"importance": 5.5}, "importance"),
        ({"tags": "a"}, "tags"),
        ({"tags": ["a", " "]}, "tags[1]"),
        ({"tags": [f"t{number}" for number in range(65)]}, "tags"),
        ({"metadata": {"tenant": "x"}}, "metadata"),
        ({"metadata": {"a": "x" * 20_000}}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"created_at": "2026-02-01T10:00:00"}, "created_at"),
        ({"created_at": "2026-02-01"}, "created_at"),
        ({"created_at": 1_700_000_000}, "created_at"),
        ({"created_at": "2999-01-01T00:00:00Z"}, "created_at"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"type": "nonsense"}, "type"),
        ({"review": "never"}, "review"),
        ({"confidence": 1.5}, "confidence"),
        ({"pinned": "yes"}, "pinned"),
        ({"namespace": ""}, "namespace"),
        ({"namespace": " n"}, "namespace"),
        ({"namespace": "n" * 257}, "namespace"),
        ({"namespace": "a\nb"}, "namespace"),
        ({"namespace": ["n"]}, "namespace"),
        ({"session_id": ""}, "session_id"),
        ({"source": {"file": "x", "page": 3}}, "source.page"),
    ],
)
async def test_invalid_field_is_named_and_nothing_is_stored(
    client: httpx.AsyncClient, fields: dict[str, Any], path: str
) -> None:
    members = problem(await client.post("/v1/memories", json=FACT | fields), 422)
    assert path in [error["path"] for error in members["errors"]]
    assert all(len(json.dumps(error)) < 1_000 for error in members["errors"])
    assert await count(client) == 0


@pytest.mark.parametrize("field", ["namespace", "content"])
async def test_missing_field_is_named(client: httpx.AsyncClient, field: str) -> None:
    """If a required field of a write is missing, the 422 has the field's path."""
    body = {name: value for name, value in FACT.items() if name != field}
    members = problem(await client.post("/v1/memories", json=body), 422)
    assert [error["path"] for error in members["errors"]] == [field]
    assert "required" in members["detail"]


@pytest.mark.parametrize(
    "path", ["/v1/memories", "/v1/memories/batch", "/v1/search", "/v1/retrieve"]
)
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"query": NaN}', 400),
        (b'{"query": Infinity}', 400),
        (b'{"query": "\xff"}', 400),
        (b'{"query": "\\ud800"}', 400),
        (b'{"query": "a", "query": "b"}', 400),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
        (b'{"filters":' + b'{"not":' * 100 + b"{}" + b"}" * 101, 400),
        (b'{"top_k": 99999999999999999999}', 422),
        (b'{"top_k": 1e999}', 422),
        (b"[]", 422),
        (b'"text"', 422),
        (b"null", 422),
        (b"1", 422),
    ],
)
async def test_malformed_json_is_400_and_invalid_json_422(
    client: httpx.AsyncClient, path: str, raw: bytes, status: int
) -> None:
    """For every call with a body, malformed JSON is a 400, and valid JSON with wrong fields a
    422.
    """
    problem(await client.post(path, content=raw, headers=JSON), status)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "", "nonsense"]
)
async def test_other_content_types_are_415(client: httpx.AsyncClient, kind: str) -> None:
    """A body of another content type is a 415 that names application/json."""
    response = await client.post(
        "/v1/search", content=json.dumps(ASK), headers={"content-type": kind}
    )
    assert "application/json" in problem(response, 415)["detail"]


async def test_missing_body_is_an_empty_object(client: httpx.AsyncClient) -> None:
    """A call without a body is read as one with the body `{}`. It fails only if a required field is
    missing.
    """
    assert problem(await client.post("/v1/search"), 422)["errors"][0]["path"] == "query"
    assert problem(await client.post("/v1/threads/x/flush?namespace=n"), 404)["detail"].startswith(
        "there is no thread"
    )


async def test_encoded_body_is_415(client: httpx.AsyncClient) -> None:
    """A body with a Content-Encoding, such as gzip, is refused."""
    response = await client.post(
        "/v1/search", content=b"x", headers=JSON | {"content-encoding": "gzip"}
    )
    problem(response, 415)


async def test_content_type_may_have_parameters(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert (
        await client.post("/v1/search", content=json.dumps(ASK), headers=headers)
    ).status_code == 200


async def test_body_above_2_mib_is_413(client: httpx.AsyncClient) -> None:
    """A body above 2 MiB is refused, with or without a Content-Length."""
    body = b'{"query": "' + b"x" * (2 * 1024 * 1024) + b'"}'

    async def pieces() -> Any:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    problem(await client.post("/v1/search", content=body, headers=JSON), 413)
    problem(await client.post("/v1/search", content=pieces(), headers=JSON), 413)


async def test_keyed_item_above_4_mib_is_413_and_names_its_limit(client: httpx.AsyncClient) -> None:
    for mebibytes, status in ((3, 422), (5, 413)):
        body = b'{"namespace": "n", "key": "k", "value": "' + b"x" * (mebibytes << 20) + b'"}'
        answer = await client.put("/v1/items", content=body, headers=JSON)
        assert answer.status_code == status
    assert "4 MiB for a keyed item" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        (
            "/v1/retrieve",
            ASK | {"budget": {"per_type": {"semantic": -1}}},
            "budget.per_type.semantic: Input should be gr",
        ),
        (
            "/v1/retrieve",
            ASK | {"budget": -1},
            "budget: Input should be greater than or equal to 0",
        ),
        ("/v1/search", ASK | {"types": []}, "types: must have 1 or more entries, has 0"),
        (
            "/v1/search",
            ASK | {"filters": {"importance": {"eq": "x"}}},
            "filters.importance.eq: needs a number",
        ),
        (
            "/v1/search",
            ASK | {"as_of": "2026-11-21T24:00:00Z"},
            "as_of: must be RFC 3339 text with date, time and offset",
        ),
        ("/v1/search", ASK | {"topk": 3}, "topk: unknown field; did you mean top_k?"),
        (
            "/v1/memories",
            FACT | {"zzz": 3},
            "zzz: unknown field; known are agent_id, category, concept, confidence, co",
        ),
        (
            "/v1/memories",
            FACT | {"type": "luck"},
            "type: unknown type; known are episodic, semantic, prospective, pro",
        ),
        (
            "/v1/memories",
            FACT | {"source": {"lines": 3}},
            "source.lines: unknown field; did you mean line?",
        ),
        (
            "/v1/memories/batch",
            {"namespace": "n", "items": [{"type": "episodic", "content": "x", "speeker": "Ann"}]},
            "items[0].speeker: unknown field; did you mean speaker?",
        ),
        ("/v1/memories/batch", {"namespace": "n", "items": [1]}, "items[0]: must be an object"),
        (
            "/v1/memories",
            FACT | {"expires_at": "2001-01-01T00:00:00Z"},
            "expires_at: must be after created_at",
        ),
    ],
)
async def test_detail_names_field_and_reason(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], said: str
) -> None:
    """The `detail` of an error names the field and the reason in terms of JSON, such as "must be an
    object".
    """
    detail = problem(await client.post(path, json=body), 422)["detail"]
    assert detail.startswith(said)
    assert "more)" not in detail


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/memories/5a1f0c3e-6f0e-5d0b-9a58-6d3f2f8f7c11/complete?namespace=n"),
        ("POST", "/v1/memories/5a1f0c3e-6f0e-5d0b-9a58-6d3f2f8f7c11/restore?namespace=n"),
        ("DELETE", "/v1/memories?namespace=n&confirm=true"),
        ("GET", "/v1/memories?namespace=n"),
    ],
)
async def test_a_call_that_takes_no_body_refuses_one(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    """A call that takes no body refuses any body but an empty object, because its sender expects an
    effect.
    """
    await client.post("/v1/memories", json=FACT)
    refused = problem(await client.request(method, path, json={"type": "episodic"}), 422)
    assert "takes no body" in refused["detail"]
    assert await count(client) == 1
    for body in (b"", b" {} "):
        answer = await client.request(method, path, content=body, headers=JSON)
        assert answer.status_code not in (400, 422)


async def test_bad_ndjson_line_is_named_with_its_column(client: httpx.AsyncClient) -> None:
    """If a line of newline-delimited JSON is malformed, the 400 names the line and the column.
    Nothing is stored.
    """
    lines = b'{"type": "semantic", "content": "one"}\n{"type": "sem\n'
    headers = {"content-type": "application/x-ndjson"}
    response = await client.post("/v1/memories/batch?namespace=n", content=lines, headers=headers)
    detail = problem(response, 400)["detail"]
    assert detail == "items[1]: line 2: not JSON: Unterminated string starting at (column 10)"
    assert await count(client) == 0


async def test_unknown_path_is_404_and_unknown_method_405(client: httpx.AsyncClient) -> None:
    """A 405 lists in its Allow header the methods that the path supports."""
    problem(await client.get("/v1/nonsense"), 404)
    problem(await client.post("/v1/nonsense", json={}), 404)
    response = await client.put("/v1/memories", json={})
    problem(response, 405)
    assert {"GET", "POST", "DELETE"} <= set(response.headers["allow"].split(", "))


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    lambda name: name == name.strip()
)


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    name=NAMES
    | st.sampled_from(
        ["a&b=c", "50%", "a:b/c,d", "a b", "ü", "名前", "a+b", "%2e", "n' or 1=1", "🦊"]
    )
)
async def test_namespaces_of_any_characters_are_separate(
    client: httpx.AsyncClient, name: str
) -> None:
    """A namespace may have any characters. A memory is found in its own namespace and in no
    other.
    """
    await client.delete("/v1/memories", params={"namespace": name, "confirm": "true"})
    elsewhere = await count(client, "elsewhere")
    response = await client.post("/v1/memories", json=FACT | {"namespace": name})
    assert response.status_code == 201
    assert await count(client, name) == 1
    if name != "elsewhere":
        assert await count(client, "elsewhere") == elsewhere
    results = await client.get(f"/v1/memories/{response.json()['id']}", params={"namespace": name})
    assert results.json()["namespace"] == name


@settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    path=st.sampled_from(["/v1/memories", "/v1/memories/batch", "/v1/search", "/v1/retrieve"]),
    body=st.dictionaries(
        st.sampled_from(
            [
                "query",
                "namespace",
                "budget",
                "filters",
                "items",
                "type",
                "content",
                "top_k",
                "weights",
                "x",
            ]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=8), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        max_size=8,
    ),
)
async def test_no_json_body_causes_a_server_error(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    """Any generated JSON body gets a documented status, never a 500."""
    response = await client.post(path, content=json.dumps(body), headers=JSON)
    assert response.status_code in (200, 201, 400, 422), response.text


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
async def test_invalid_list_query_is_422(client: httpx.AsyncClient, query: str) -> None:
    """GET /v1/memories refuses missing, repeated, unknown and invalid query parameters."""
    problem(await client.get(f"/v1/memories?{query}"), 422)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/retrieve", "/v1/memories"])
async def test_unexpected_query_parameters_are_422(client: httpx.AsyncClient, path: str) -> None:
    """A call that takes no query parameters refuses any parameter by its name."""
    assert (
        problem(await client.post(f"{path}?top_k=3", json=ASK), 422)["errors"][0]["path"] == "top_k"
    )

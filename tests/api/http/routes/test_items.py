"""Calls for keyed items (JSON values stored by path and key), with an in-memory store and a fake
encoder.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from api.auth.keys import KeyBook, KeyEntry, Role, hashed
from api.wiring.container import Services
from memtypes.items.item import MAX_VALUE_BYTES
from tests.api.conftest import NOW, bearer, connect
from tests.api.fake_services import fake_services

pytestmark = pytest.mark.anyio

SPACE = {"namespace": "n"}


class Items:
    """A client for keyed items in one namespace of a service. now: time of the service, which tests
    may change.
    """

    def __init__(self) -> None:
        self.now = NOW
        self.http: httpx.AsyncClient

    def clock(self) -> datetime:
        """The time of the service (`now`)."""
        return self.now

    async def put(self, path: str, key: str, value: Any, **fields: Any) -> httpx.Response:
        """Store an item and return the answer. path: labels separated by dots."""
        body = {
            **SPACE,
            "path": path.split(".") if path else [],
            "key": key,
            "value": value,
            **fields,
        }
        return await self.http.put("/v1/items", json=body)

    async def get(self, path: str, key: str, **params: Any) -> httpx.Response:
        """Read an item and return the answer."""
        return await self.http.get(
            "/v1/items", params={**SPACE, "path": path, "key": key, **params}
        )

    async def search(self, **body: Any) -> list[dict[str, Any]]:
        """Search with these fields of the request, and return the items that are found."""
        answer = await self.http.post("/v1/items/search", json={**SPACE, **body})
        items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return items

    async def paths(self, **body: Any) -> Any:
        """List paths of items with these fields of the request, and return the paths."""
        return (
            (await self.http.post("/v1/items/paths", json={**SPACE, **body}))
            .raise_for_status()
            .json()["paths"]
        )


@pytest.fixture
async def items() -> AsyncIterator[Items]:
    """A client for the keyed items of a new service, which has none yet."""
    client = Items()
    async with connect(fake_services(client.clock)) as client.http:
        yield client


async def test_an_item_has_its_address_value_and_times(items: Items) -> None:
    """A GET of an item returns its path, key, value and times. A second PUT replaces the value and
    keeps created_at.
    """
    first = await items.put("users.ann", "food", {"text": "pizza"})
    assert (first.status_code, first.json()) == (
        200,
        {"created_at": "2026-03-01T12:00:00Z", "updated_at": "2026-03-01T12:00:00Z"},
    )
    items.now += timedelta(seconds=5)
    times = {"created_at": "2026-03-01T12:00:00Z", "updated_at": "2026-03-01T12:00:05Z"}
    assert (await items.put("users.ann", "food", None)).json() == times
    got = await items.get("users.ann", "food")
    assert got.json() == {"path": ["users", "ann"], "key": "food", "value": None, **times}


async def test_a_value_is_returned_exactly_as_it_was_stored(items: Items) -> None:
    """A value is returned exactly as stored, even large integers, tiny floats, empty names and
    secrets.
    """
    value = {
        "big": 123456789012345678901234567890,
        "float": 0.1,
        "tiny": 5e-324,
        "one": 1.0,
        "text": "žluťoučký 🐴 \u0000 \u202e",
        "secret": "ghp_" + "a1B2" * 9,
        "": [[], {}, None, True, {"a.b": "$"}],
    }
    await items.put("p", "k", value)
    got = await items.get("p", "k")
    assert json.dumps(got.json()["value"]) == json.dumps(value)
    (hit,) = await items.search(filter={"big": 123456789012345678901234567890})
    assert json.dumps(hit["value"]) == json.dumps(value)


async def test_a_value_of_one_mebibyte_is_stored_and_a_larger_one_refused(items: Items) -> None:
    """The size of a value is that of its compact UTF-8 JSON. Escape sequences in the request do not
    add to it.
    """
    text = "é" * ((MAX_VALUE_BYTES - 2) // 2)
    assert (await items.put("p", "k", text, index=False)).status_code == 200
    body = json.dumps({**SPACE, "key": "escaped", "value": text, "index": False}, ensure_ascii=True)
    escaped = await items.http.put(
        "/v1/items", content=body, headers={"Content-Type": "application/json"}
    )
    assert escaped.status_code == 200
    assert (await items.get("", "escaped")).json()["value"] == text
    refused = await items.put("p", "k", f"{text}é", index=False)
    assert refused.status_code == 422
    assert (
        refused.json()["detail"]
        == "value: has 1048578 bytes as JSON; at most 1048576 can be stored"
    )


async def test_a_deleted_item_is_not_found(items: Items) -> None:
    await items.put("p", "k", 1)
    address = {**SPACE, "path": "p", "key": "k"}
    for _ in range(2):
        deleted = await items.http.delete("/v1/items", params=address)
        assert (deleted.status_code, deleted.content) == (204, b"")
    missing = await items.get("p", "k")
    assert (missing.status_code, missing.json()["detail"]) == (404, "no item 'k' at p")


async def test_head_does_not_renew_an_item(items: Items) -> None:
    """HEAD with refresh_ttl is a 405 and leaves the item's time to live as it was."""
    await items.put("p", "k", 1, ttl_s=60)
    items.now += timedelta(seconds=59)
    assert (
        await items.http.head(
            "/v1/items", params={**SPACE, "path": "p", "key": "k", "refresh_ttl": "true"}
        )
    ).status_code == 405
    assert (await items.get("p", "k")).json()["expires_at"] == "2026-03-01T12:01:00Z"


async def test_an_item_with_a_time_to_live_expires(items: Items) -> None:
    """An item with ttl_s expires after that time. A GET or a search with refresh_ttl starts the
    time again.
    """
    stored = await items.put("p", "k", 1, ttl_s=60)
    assert stored.json()["expires_at"] == "2026-03-01T12:01:00Z"
    items.now += timedelta(seconds=59)
    assert (await items.get("p", "k", refresh_ttl=True)).json()[
        "expires_at"
    ] == "2026-03-01T12:01:59Z"
    items.now += timedelta(seconds=59)
    assert len(await items.search(refresh_ttl=True)) == 1
    items.now += timedelta(seconds=59)
    assert (await items.get("p", "k")).status_code == 200
    items.now += timedelta(seconds=1)
    assert (await items.get("p", "k")).status_code == 404
    assert await items.search() == await items.paths() == []


async def test_a_search_scores_items_by_their_value_or_index_paths(items: Items) -> None:
    """A search scores an item by its whole value or by the texts at its index paths.

    An item with `index` false has no score and comes last.
    """
    await items.put("p", "whole", {"text": "green tea"})
    await items.put("p", "title", {"title": "green tea", "body": "red wine"}, index=["title"])
    await items.put(
        "p",
        "parts",
        {"parts": [{"text": "red wine"}, {"text": "green tea"}]},
        index=["parts[*].text"],
    )
    await items.put("p", "hidden", {"text": "green tea"}, index=False)
    hits = await items.search(query="green tea", prefix=["p"])
    assert [each["key"] for each in hits][-1] == "hidden"
    assert "score" not in hits[-1]
    scores = {each["key"]: each["score"] for each in hits[:-1]}
    assert scores["title"] == pytest.approx(1.0, abs=1e-5)
    assert scores["parts"] == pytest.approx(1.0, abs=1e-5)
    red = {each["key"]: each.get("score") for each in await items.search(query="red wine")}
    assert red["parts"] == pytest.approx(1.0, abs=1e-5)
    assert (red["title"] or 0.0) < 0.99


async def test_items_are_filtered_and_paged(items: Items) -> None:
    """A search filters items by members of their values, newest first, and returns 10 items by
    default.
    """
    for number in range(12):
        await items.put(
            "p",
            f"{number}",
            {"size": number, "color": "red" if number % 2 else "blue"},
            index=False,
        )
    assert [each["key"] for each in await items.search()] == [
        f"{number}" for number in range(11, 1, -1)
    ]
    assert [
        each["key"] for each in await items.search(filter={"color": "red", "size": {"$gte": 9}})
    ] == ["11", "9"]
    assert [
        each["key"] for each in await items.search(filter={"size": {"$ne": 11}}, limit=2, offset=1)
    ] == ["9", "8"]
    assert await items.search(filter={}, limit=0) == []


async def test_item_paths_are_listed_and_filtered(items: Items) -> None:
    """Item paths can be filtered by prefix or suffix, cut to a depth, and read in pages."""
    for path in ("a.b.c", "a.d", "b.c", ""):
        await items.put(path, "k", 1, index=False)
    assert await items.paths() == [[], ["a", "b", "c"], ["a", "d"], ["b", "c"]]
    assert await items.paths(match=[{"type": "suffix", "path": ["c"]}], max_depth=1) == [
        ["a"],
        ["b"],
    ]
    assert await items.paths(match=[{"type": "prefix", "path": ["*", "d"]}]) == [["a", "d"]]
    assert await items.paths(limit=1, offset=2) == [["a", "d"]]


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"path": ["a.b"]}, "path[0]: a label must not contain a dot"),
        ({"path": "a.b"}, "path: must be a list"),
        ({"path": [""]}, "path[0]:"),
        ({"path": ["x"] * 33}, "path:"),
        ({"key": ""}, "key:"),
        ({"key": "x" * 1025}, "key:"),
        ({"key": "a\x00"}, "key: must not contain U+0000"),
        ({"index": ["$.title"]}, "index[0]: index paths are written without `$`"),
        ({"index": ["a..b"]}, "index[0]: is not a path (at character 3)"),
        ({"index": True}, "index: must be false or a list of paths"),
        ({"ttl_s": 0}, "ttl_s:"),
        ({"ttl_s": 1e12}, "ttl_s:"),
        ({"value": list(range(257)), "index": ["*"]}, "index: gives more than 256 texts"),
        ({"extra": 1}, "extra:"),
    ],
)
async def test_a_bad_put_says_what_is_wrong(
    items: Items, fields: dict[str, Any], detail: str
) -> None:
    """An invalid put is a 422 that names the field and the reason."""
    body: dict[str, Any] = {**SPACE, "path": ["p"], "key": "k", "value": 1, **fields}
    answer = await items.http.put("/v1/items", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"filter": {"a": {"$regex": "x"}}}, "filter.a: unknown operator; known are $eq, $ne, $gt"),
        ({"filter": {"a": {"$gt": None}}}, "filter.a.$gt: $gt needs a number or a text"),
        ({"filter": {"a": {"b": {"$gt": 1, "c": 2}}}}, "filter.a.b: unknown operator"),
        ({"filter": {f"{n}": n for n in range(257)}}, "filter: has 257 conditions"),
        ({"query": "  "}, "query: must not be blank"),
        ({"limit": 1001}, "limit:"),
        ({"offset": -1}, "offset:"),
        ({"prefix": ["a", "b.c"]}, "prefix[1]: a label must not contain a dot"),
    ],
)
async def test_a_bad_search_says_what_is_wrong(
    items: Items, body: dict[str, Any], detail: str
) -> None:
    """An invalid search of items is a 422 that names the field and the reason."""
    answer = await items.http.post("/v1/items/search", json={**SPACE, **body})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)


async def test_a_put_needs_a_value(items: Items) -> None:
    """A put without the member `value` is a 422. The value null is allowed."""
    answer = await items.http.put("/v1/items", json={**SPACE, "key": "k"})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "value")


async def test_an_export_has_the_items_and_an_import_restores_them(items: Items) -> None:
    await items.put("p", "k", {"title": "tea", "n": 10**30}, index=["title"], ttl_s=3600)
    items.now += timedelta(seconds=9)
    await items.put("p", "k", {"title": "green tea", "n": 10**30}, index=["title"], ttl_s=3600)
    await items.put("", "of ann", None, agent_id="ann", index=False)
    memory = {**SPACE, "type": "semantic", "content": "Tea is green."}
    (await items.http.post("/v1/memories", json=memory)).raise_for_status()
    exported = (await items.http.post("/v1/admin/export", json=SPACE)).content
    assert exported.count(b'"type":"item"') == 2
    await items.http.post("/v1/admin/erase", json=SPACE)
    ndjson = {"Content-Type": "application/x-ndjson"}
    backwards = b"\n".join(reversed(exported.splitlines()))
    restored = await items.http.post(
        "/v1/admin/import?namespace=n", content=backwards, headers=ndjson
    )
    assert restored.json()["counts"] == {"stored": 3, "merged": 0, "rejected": 0, "failed": 0}
    assert (await items.http.post("/v1/admin/export", json=SPACE)).content == exported
    (hit,) = await items.search(query="green tea")
    assert hit["score"] == pytest.approx(1.0, abs=1e-5)
    wrong = exported.splitlines()[-1].replace(b'"key"', b'"kee"')
    refused = await items.http.post("/v1/admin/import?namespace=n", content=wrong, headers=ndjson)
    assert refused.json()["errors"][0]["path"] == "items[0].key"


@pytest.mark.parametrize("index", [["x" * 513], ["x"] * 65, [""]])
async def test_index_paths_of_an_import_have_the_limits_of_a_put(
    items: Items, index: list[str]
) -> None:
    """An imported item whose index paths are too many, too long or empty is a 422, as in a PUT."""
    line = {"type": "item", "path": [], "key": "k", "value": 1, "index": index}
    line |= {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
    ndjson = {"Content-Type": "application/x-ndjson"}
    answer = await items.http.post(
        "/v1/admin/import?namespace=n", content=json.dumps(line), headers=ndjson
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"].startswith("items[0].index")


async def test_stats_count_the_items_of_every_agent(items: Items) -> None:
    """The statistics of a namespace count the items of all its agents, without expired ones."""
    await items.put("p", "k", 1)
    await items.put("p", "k", 1, agent_id="ann")
    await items.put("p", "short", 1, ttl_s=1)
    items.now += timedelta(seconds=2)
    assert (await items.http.get("/v1/stats", params=SPACE)).json()["items"] == 2


async def test_an_erasure_of_the_namespace_erases_its_items(items: Items) -> None:
    await items.put("p", "k", 1)
    await items.put("p", "k", 1, agent_id="ann")
    erasure = await items.http.post(
        "/v1/admin/erase", json={**SPACE, "memory_id": str(uuid.UUID(int=0))}
    )
    assert erasure.json()["erased"]["items"] == 0
    everything = (await items.http.post("/v1/admin/erase", json=SPACE)).json()
    assert (everything["erased"]["items"], everything["remaining"]["items"]) == (2, 0)
    assert await items.search() == []


async def test_readers_may_not_put_or_delete_items(guarded: Services) -> None:
    body = {**SPACE, "path": ["p"], "key": "k", "value": 1}
    address = {**SPACE, "path": "p", "key": "k"}
    async with connect(guarded) as http:
        reader = bearer("acme", Role.READER)
        writer = bearer("acme", Role.WRITER)
        assert (await http.put("/v1/items", json=body, headers=reader)).status_code == 403
        assert (await http.put("/v1/items", json=body)).status_code == 401
        assert (await http.put("/v1/items", json=body, headers=writer)).status_code == 200
        assert (await http.get("/v1/items", params=address, headers=reader)).json()["value"] == 1
        assert (await http.delete("/v1/items", params=address, headers=reader)).status_code == 403
        other = bearer("other", Role.ADMIN)
        assert (await http.get("/v1/items", params=address, headers=other)).status_code == 404
        hits = await http.post("/v1/items/search", json=SPACE, headers=other)
        assert hits.json() == {"items": []}
        assert (await http.post("/v1/items/paths", json=SPACE, headers=other)).json() == {
            "paths": []
        }


async def test_a_key_bound_to_agents_reaches_their_items_alone(services: Services) -> None:
    """An API key bound to one agent uses the items of that agent.

    A key bound to several must name one of them. Any other agent is a 403.
    """
    entries = [
        KeyEntry(key="key-of-ann", tenant="acme", role=Role.WRITER, agents=["ann"]),
        KeyEntry(key="key-of-both", tenant="acme", role=Role.WRITER, agents=["ann", "bob"]),
        KeyEntry(key="key-of-all", tenant="acme", role=Role.WRITER),
    ]
    body: dict[str, Any] = {**SPACE, "path": ["p"], "key": "k", "value": "ann's"}
    bound = replace(services, keys=KeyBook(hashed(entries)))
    async with connect(bound) as http:
        ann, both, free = ({"X-API-Key": f"key-of-{name}"} for name in ("ann", "both", "all"))
        assert (await http.put("/v1/items", json=body, headers=ann)).status_code == 200
        assert (
            await http.put("/v1/items", json={**body, "agent_id": "bob"}, headers=ann)
        ).status_code == 403
        assert (await http.put("/v1/items", json=body, headers=both)).status_code == 422
        shared = {**body, "value": "nobody's"}
        assert (await http.put("/v1/items", json=shared, headers=free)).status_code == 200

        async def values(headers: dict[str, str], **agent: str) -> list[Any]:
            hits = await http.post("/v1/items/search", json={**SPACE, **agent}, headers=headers)
            return [item["value"] for item in hits.raise_for_status().json()["items"]]

        assert (
            await values(ann)
            == await values(both, agent_id="ann")
            == await values(free, agent_id="ann")
            == ["ann's"]
        )
        assert await values(free) == ["nobody's"]
        assert await values(both, agent_id="bob") == []
        address = {**SPACE, "path": "p", "key": "k"}
        assert (
            await http.get("/v1/items", params={**address, "agent_id": "bob"}, headers=ann)
        ).status_code == 403
        got = await http.get("/v1/items", params=address, headers=ann)
        assert (got.json()["value"], got.json()["agent_id"]) == ("ann's", "ann")
        await http.delete("/v1/items", params=address, headers=ann)
        assert await values(free) == ["nobody's"]

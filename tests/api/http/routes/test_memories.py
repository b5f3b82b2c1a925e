"""The HTTP calls that write, read, change, list, rate and delete memories."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from api.http.problems import validated
from api.http.shapes.memories import ListQuery, MemoryPost
from api.wiring.container import Services
from memtypes.model.filters import All
from memtypes.model.memory import Draft
from memtypes.model.policy import MemoryType
from memtypes.model.semantic import SemanticDraft
from memtypes.model.types import MEMORY_CLASSES
from tests.api.conftest import FACT, connect, count, write_fact
from tests.api.fake_services import AwayStore

pytestmark = pytest.mark.anyio


async def test_new_memory_is_201(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/v1/memories", json=FACT | {"tags": ["ci"], "importance": 7, "session_id": "s"}
    )
    answer = response.json()
    assert (response.status_code, answer["status"]) == (201, "stored")
    memory = answer["memory"]
    assert (memory["id"], memory["content"], memory["tags"]) == (
        answer["id"],
        FACT["content"],
        ["ci"],
    )
    assert (memory["importance"], memory["session_id"], memory["namespace"]) == (7, "s", "n")


async def test_repeated_memory_is_merged_with_200(client: httpx.AsyncClient) -> None:
    """If the same content is written again, the answer is a 200 with the id of the existing
    memory.
    """
    first = await write_fact(client)
    response = await client.post("/v1/memories", json=FACT)
    answer = response.json()
    assert (response.status_code, answer["status"], answer["merged_into"]) == (
        200,
        "merged",
        first["id"],
    )


@pytest.mark.parametrize("kind", list(MemoryType))
async def test_memory_answers_have_every_field_for_callers(
    client: httpx.AsyncClient, kind: MemoryType
) -> None:
    """A memory in an answer has every field of its type, null if unset, except `tenant` and
    `earlier` (old texts).
    """
    answer = await write_fact(client, type=kind, session_id="s")
    memory = (await client.get(f"/v1/memories/{answer['id']}", params={"namespace": "n"})).json()
    assert memory.keys() == MEMORY_CLASSES[kind].model_fields.keys() - {"tenant", "earlier"}
    assert memory == answer["memory"]


async def test_times_are_stored_as_utc(client: httpx.AsyncClient) -> None:
    """A time with a UTC offset is returned as the same instant in UTC."""
    answer = await write_fact(client, created_at="2026-02-01T10:00:00+05:30")
    assert answer["memory"]["created_at"] == "2026-02-01T04:30:00Z"


async def test_patch_changes_only_the_named_fields(client: httpx.AsyncClient) -> None:
    answer = await write_fact(client, tags=["a"])
    path = f"/v1/memories/{answer['id']}"
    query = {"namespace": "n"}
    changed = await client.patch(
        path, params=query, json={"importance": 9, "content": "The build runs on Monday."}
    )
    assert changed.status_code == 200
    memory = (await client.get(path, params=query)).json()
    assert memory == changed.json()
    assert (memory["importance"], memory["content"], memory["tags"]) == (
        9,
        "The build runs on Monday.",
        ["a"],
    )


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"importance": 11}, "importance"),
        ({"namespace": "m"}, "namespace"),
        ({"tenant": "t"}, "tenant"),
        ({"id": "x"}, "id"),
        ({"nonsense": 1}, "nonsense"),
        ({"metadata": {"tenant": "x"}}, "metadata"),
        ({"content": " "}, "content"),
    ],
)
async def test_invalid_patch_changes_nothing(
    client: httpx.AsyncClient, changes: dict[str, Any], path: str
) -> None:
    """A PATCH with an invalid or unknown field is a 422 that names the field."""
    answer = await write_fact(client)
    where = f"/v1/memories/{answer['id']}?namespace=n"
    refused = await client.patch(where, json=changes)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["path"] == path
    assert (await client.get(where)).json() == answer["memory"]


async def test_a_write_with_a_link_to_no_memory_of_the_namespace_is_422(
    client: httpx.AsyncClient,
) -> None:
    """A link to an unknown id, or to a memory of another namespace, is refused as in a PATCH;
    nothing is stored.
    """
    target = (await write_fact(client))["id"]
    elsewhere = (await write_fact(client, namespace="m"))["id"]
    good = {"to": target, "type": "extends"}
    for kind, to in (
        ("extends", elsewhere),
        ("contradicts", "no-id"),
        ("extends", str(uuid.uuid4())),
    ):
        item = {
            "type": "semantic",
            "content": "The build takes an hour.",
            "links": [good, {"to": to, "type": kind}],
        }
        refused = await client.post("/v1/memories", json=item | {"namespace": "n"})
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "links[1].to")
        batch = {"namespace": "n", "items": [{"type": "semantic", "content": "It builds."}, item]}
        refused = await client.post("/v1/memories/batch", json=batch)
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (
            422,
            "items[1].links[1].to",
        )
    assert await count(client) == 1
    assert (await write_fact(client, content="The build takes an hour.", links=[good]))["memory"][
        "links"
    ][0]["to"] == target


async def test_empty_patch_is_422(client: httpx.AsyncClient) -> None:
    """A PATCH that changes no field is refused."""
    answer = await write_fact(client)
    assert (
        await client.patch(f"/v1/memories/{answer['id']}?namespace=n", json={})
    ).status_code == 422


async def test_deleted_memory_is_404(client: httpx.AsyncClient) -> None:
    """A delete is a 204. Afterwards a read or another delete of the memory is a 404."""
    path = f"/v1/memories/{(await write_fact(client))['id']}?namespace=n"
    removed = await client.delete(path)
    assert (removed.status_code, removed.content) == (204, b"")
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path)).status_code == 404


@pytest.mark.parametrize(
    "unknown", ["5a1f0c3e-6f0e-5d0b-9a58-6d3f2f8f7c11", "nonsense", "%00", "..%2f", "é" * 50]
)
async def test_unknown_memory_id_is_404(client: httpx.AsyncClient, unknown: str) -> None:
    """Reading, changing or deleting a memory is a 404 if its id is unknown or malformed."""
    path = f"/v1/memories/{unknown}"
    assert (await client.get(path, params={"namespace": "n"})).status_code == 404
    assert (await client.delete(path, params={"namespace": "n"})).status_code == 404
    assert (
        await client.patch(path, params={"namespace": "n"}, json={"pinned": True})
    ).status_code == 404


async def test_helpful_feedback_raises_the_importance(client: httpx.AsyncClient) -> None:
    answer = await write_fact(client)
    rated = await client.post(
        f"/v1/memories/{answer['id']}/feedback?namespace=n", json={"outcome": "helpful"}
    )
    assert (rated.status_code, rated.json()["importance"]) == (200, 6)
    wrong = await client.post(
        f"/v1/memories/{answer['id']}/feedback?namespace=n", json={"outcome": "so-so"}
    )
    assert wrong.status_code == 422


async def test_list_pages_contain_every_memory_once(client: httpx.AsyncClient) -> None:
    """Following the cursors lists all memories once, newest first."""
    for number in range(7):
        await write_fact(
            client, content=f"Fact {number}", created_at=f"2026-02-0{number % 3 + 1}T00:00:00Z"
        )
    memories: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = (
            await client.get("/v1/memories", params={"namespace": "n", "limit": "3"} | cursor)
        ).json()
        assert page["total"] == 7
        memories += page["memories"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len({memory["id"] for memory in memories}) == len(memories) == 7
    times = [memory["created_at"] for memory in memories]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("query", "contents"),
    [
        ({"type": "episodic"}, {"E"}),
        ({"tag": "x"}, {"A", "E"}),
        ({"session_id": "s"}, {"A"}),
        ({"agent_id": "g"}, {"B"}),
        ({"created_after": "2026-02-02T00:00:00Z"}, {"B", "E"}),
        ({"created_before": "2026-02-02T00:00:00Z"}, {"A"}),
        ({"include_expired": "true"}, {"A", "B", "E", "X"}),
        ({}, {"A", "B", "E"}),
    ],
)
async def test_list_parameters_filter(
    client: httpx.AsyncClient, query: dict[str, str], contents: set[str]
) -> None:
    await write_fact(
        client, content="A", tags=["x"], session_id="s", created_at="2026-02-01T00:00:00Z"
    )
    await write_fact(client, content="B", agent_id="g", created_at="2026-02-02T00:00:00Z")
    await write_fact(
        client, content="E", type="episodic", tags=["x", "y"], created_at="2026-02-03T00:00:00Z"
    )
    await write_fact(
        client, content="X", created_at="2026-01-01T00:00:00Z", expires_at="2026-02-01T00:00:00Z"
    )
    page = (await client.get("/v1/memories", params={"namespace": "n"} | query)).json()
    assert {memory["content"] for memory in page["memories"]} == contents


async def test_bulk_delete_needs_confirm(client: httpx.AsyncClient) -> None:
    """A bulk delete without confirm=true, or without a namespace, is refused and deletes
    nothing.
    """
    await write_fact(client)
    for query in ({"namespace": "n"}, {"namespace": "n", "confirm": "yes"}, {"confirm": "true"}):
        assert (await client.delete("/v1/memories", params=query)).status_code == 422
    assert (await client.get("/v1/memories?namespace=n")).json()["total"] == 1


async def test_bulk_delete_counts_deleted_and_remaining(client: httpx.AsyncClient) -> None:
    """A bulk delete removes the memories that match its filter. The answer counts them, and those
    that still match.
    """
    await write_fact(client, content="A", session_id="s")
    await write_fact(client, content="B", session_id="s", type="episodic")
    await write_fact(client, content="C")
    removed = await client.delete(
        "/v1/memories?namespace=n&confirm=true&type=semantic&session_id=s"
    )
    assert (removed.status_code, removed.json()) == (200, {"deleted": 1, "remaining": 0})
    assert (await client.delete("/v1/memories?namespace=n&confirm=true")).json() == {
        "deleted": 2,
        "remaining": 0,
    }


async def test_stats_count_each_type(client: httpx.AsyncClient) -> None:
    """The statistics of a namespace count the memories of each of the five types and in total."""
    await write_fact(client, content="A")
    await write_fact(client, content="B", type="episodic")
    stats = (await client.get("/v1/stats?namespace=n")).json()
    assert stats["types"].keys() == set(MemoryType)
    assert [stats["types"][kind]["count"] for kind in ("semantic", "episodic", "working")] == [
        1,
        1,
        0,
    ]
    assert stats["total"]["count"] == 2
    assert stats["total"]["tokens"] == sum(item["tokens"] for item in stats["types"].values()) > 0


async def test_stats_count_replaced_and_expired_memories_apart(client: httpx.AsyncClient) -> None:
    """Counts and tokens are those of the memories that still hold; `past` counts the replaced and
    the expired ones.
    """
    await write_fact(
        client, content="The port of the API is 80.", created_at="2026-01-01T00:00:00Z"
    )
    newer = await write_fact(client, content="The port of the API is 81.")
    await write_fact(
        client, content="X", created_at="2026-01-01T00:00:00Z", expires_at="2026-02-01T00:00:00Z"
    )
    stats = (await client.get("/v1/stats?namespace=n")).json()
    expected = {"count": 1, "tokens": newer["memory"]["tokens"]["count"]}
    assert (stats["types"]["semantic"], stats["total"], stats["past"]) == (expected, expected, 2)


async def test_unavailable_store_is_503_with_retry_after(services: Services) -> None:
    """If the memory store is unavailable, every call that needs it is a 503 with the header
    Retry-After.
    """
    async with connect(replace(services, store=AwayStore())) as client:
        for response in (
            await client.get("/v1/memories?namespace=n"),
            await client.get("/v1/stats?namespace=n"),
            await client.get("/v1/memories/5a1f0c3e-6f0e-5d0b-9a58-6d3f2f8f7c11?namespace=n"),
        ):
            assert (response.status_code, response.headers["retry-after"]) == (503, "3")
            assert response.json()["detail"] == "the store is away"


async def test_newer_fact_replaces_the_older(client: httpx.AsyncClient) -> None:
    """A search `as_of` a time before the newer fact finds the older one only.

    One `as_of` a later time finds the newer.
    """
    fact = {
        "namespace": "ann",
        "type": "semantic",
        "content": "The deadline of the sprint is April 5",
    }
    old = (
        await client.post("/v1/memories", json=fact | {"created_at": "2026-01-01T00:00:00Z"})
    ).json()
    fact["content"] = "The deadline of the sprint is April 12"
    new = (
        await client.post("/v1/memories", json=fact | {"created_at": "2026-02-01T00:00:00Z"})
    ).json()
    assert new["supersedes"] == [old["id"]]
    results = {}
    for as_of in ("2026-01-15T00:00:00Z", "2026-02-15T00:00:00Z"):
        question = {"namespace": "ann", "query": "deadline of the sprint", "as_of": as_of}
        hits = (await client.post("/v1/search", json=question)).json()["hits"]
        results[as_of] = [hit["id"] for hit in hits]
    assert list(results.values()) == [[old["id"]], [new["id"]]]


def test_draft_of_a_post_excludes_fields_of_the_write() -> None:
    """The memory draft from the body of a POST lacks the fields that only control the write, such
    as `review`.
    """
    fields = {
        "type": "semantic",
        "content": "A fact.",
        "importance": 7,
        "created_at": "2026-01-01T00:00:00Z",
    }
    draft: Draft = validated(
        MemoryPost, {**fields, "namespace": "n", "review": "skip"}
    ).root.draft()
    assert draft == TypeAdapter(SemanticDraft).validate_python(fields)
    assert draft.model_fields_set == fields.keys()


def test_list_excludes_expired_memories_by_default() -> None:
    """A list filters out expired memories unless include_expired is true."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert isinstance(ListQuery(namespace="n").listing(now).filter, All)
    assert ListQuery(namespace="n", include_expired=True).listing(now).filter is None

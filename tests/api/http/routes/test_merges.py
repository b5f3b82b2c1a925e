"""A text written twice over HTTP: what the merged memory has of both writes, and which texts are
not merged.
"""

from __future__ import annotations

import httpx
import pytest

from memtypes.model.memory import MAX_METADATA_BYTES, MAX_TAGS
from tests.api.conftest import FACT, write_fact

pytestmark = pytest.mark.anyio

EVENT = {"type": "episodic", "namespace": "n", "content": "The deploy of the shop failed."}


@pytest.mark.parametrize(
    "again", [FACT["content"], "The build runs on friday"], ids=["same text", "reworded"]
)
async def test_a_merge_keeps_pin_expiry_and_tags_of_both_writes(
    client: httpx.AsyncClient, again: str
) -> None:
    """A fact written twice is pinned if either write pins it, and has the later expiry and the tags
    of both writes.
    """
    first = await write_fact(
        client,
        importance=8,
        tags=["a", "b"],
        metadata={"k": 1, "old": 1},
        source="Ann",
        expires_at="2027-01-01T00:00:00Z",
        session_id="s 1",
    )
    answer = await write_fact(
        client,
        content=again,
        importance=3,
        tags=["b", "c"],
        metadata={"k": 2, "new": 2},
        source={"file": "a.md", "line": 3},
        pinned=True,
        session_id="s 2",
    )
    memory = answer["memory"]
    assert (answer["status"], answer["merged_into"], memory["content"]) == (
        "merged",
        first["id"],
        FACT["content"],
    )
    assert (memory["importance"], memory["pinned"], memory["expires_at"]) == (8, True, None)
    assert (memory["tags"], memory["metadata"]) == (["a", "b", "c"], {"k": 2, "old": 1, "new": 2})
    assert memory["source"]["caller"] == "Ann"
    assert [(source["file"], source["line"]) for source in memory["sources"]] == [("a.md", 3)]
    assert memory["source_sessions"] == ["s 1", "s 2"]
    assert set(answer["changed"]) == {
        *(
            "pinned",
            "expires_at",
            "tags",
            "metadata",
            "sources",
            "evidence_count",
            "source_sessions",
        ),
        *(["rewordings"] if again != FACT["content"] else []),
    }
    response = await client.get(f"/v1/memories/{first['id']}", params={"namespace": "n"})
    assert response.json() == memory


async def test_the_later_of_two_expiry_times_counts(client: httpx.AsyncClient) -> None:
    """A merged memory has the later expiry time of its two writes, in whatever order they come."""
    await write_fact(client, expires_at="2027-01-01T00:00:00Z")
    assert (await write_fact(client, expires_at="2026-06-01T00:00:00Z"))["memory"][
        "expires_at"
    ] == "2027-01-01T00:00:00Z"
    later = await write_fact(client, expires_at="2028-01-01T00:00:00Z")
    assert (later["memory"]["expires_at"], "expires_at" in later["changed"]) == (
        "2028-01-01T00:00:00Z",
        True,
    )


async def test_a_merge_stays_within_the_limits(client: httpx.AsyncClient) -> None:
    """If the tags of two writes exceed the limit, the merged memory keeps those of the first write.

    If their metadata do, those of the second write are kept, and of the first only what fits.
    """
    await write_fact(
        client,
        tags=[f"old {n}" for n in range(MAX_TAGS)],
        metadata={"long": "x" * 10_000, "short": 1},
    )
    memory = (await write_fact(client, tags=["new"], metadata={"other": "y" * 10_000}))["memory"]
    assert memory["tags"] == [f"old {n}" for n in range(MAX_TAGS)]
    assert set(memory["metadata"]) == {"other", "short"}
    assert len(str(memory["metadata"])) < MAX_METADATA_BYTES


async def test_links_of_both_writes_are_joined(client: httpx.AsyncClient) -> None:
    ends = [
        (await write_fact(client, content=content))["id"]
        for content in ("Tea is hot.", "Rain is wet.")
    ]
    await write_fact(client, links=[{"to": ends[0], "type": "extends", "strength": 0.9}])
    links = [
        {"to": ends[0], "type": "extends", "strength": 0.2},
        {"to": ends[1], "type": "refines", "strength": 0.5},
    ]
    memory = (await write_fact(client, links=links))["memory"]
    assert [(link["to"], link["strength"]) for link in memory["links"]] == [
        (ends[0], 0.9),
        (ends[1], 0.5),
    ]


async def test_a_merge_adds_fields_that_the_first_write_lacked(client: httpx.AsyncClient) -> None:
    """If only the second write of a fact sets the field `concept`, the merged memory has its
    value.
    """
    await write_fact(client)
    answer = await write_fact(client, concept="Build times")
    assert (answer["memory"]["concept"], "concept" in answer["changed"]) == ("Build times", True)


async def test_a_second_write_from_the_same_source_does_not_raise_the_evidence_count(
    client: httpx.AsyncClient,
) -> None:
    """The evidence count stays 1. A field that only the second write sets, such as `pinned`, is
    added.
    """
    source = {"source": {"file": "a.md", "line": 3}}
    await write_fact(client, **source)
    second = await write_fact(client, **source)
    assert (second["memory"]["evidence_count"], second.get("changed")) == (1, None)
    pinned = await write_fact(client, **source, pinned=True)
    assert (pinned["memory"]["evidence_count"], pinned["changed"]) == (1, ["pinned"])


async def test_a_merge_does_not_widen_visibility(client: httpx.AsyncClient) -> None:
    """A memory that is private to a session is not merged with the same text that the whole
    namespace may see.
    """
    private = await write_fact(client, session_id="s", visibility="session")
    public = await write_fact(client, session_id="s")
    assert (public["status"], public["id"] != private["id"]) == ("stored", True)
    second = await write_fact(client, session_id="s", visibility="session")
    assert (second["merged_into"], second["memory"]["visibility"]) == (private["id"], "session")


async def test_an_event_on_another_day_is_another_event(client: httpx.AsyncClient) -> None:
    """The same event written for another day is a second event. A fact written on another day is
    merged.
    """
    first = await write_fact(client, **EVENT, created_at="2026-02-01T08:00:00Z")
    same = await write_fact(client, **EVENT, created_at="2026-02-01T19:00:00Z")
    assert (same["status"], same["merged_into"]) == ("merged", first["id"])
    other = await write_fact(client, **EVENT, created_at="2026-02-02T08:00:00Z")
    assert (other["status"], other["id"] != first["id"]) == ("stored", True)
    fact = await write_fact(client, created_at="2026-02-01T08:00:00Z")
    assert (await write_fact(client, created_at="2026-02-02T08:00:00Z"))["merged_into"] == fact[
        "id"
    ]


async def test_batch_results_name_the_fields_that_items_changed(client: httpx.AsyncClient) -> None:
    item = {"type": "semantic", "content": "Tea is hot."}
    items = [item, item | {"tags": ["x"]}, item | {"pinned": True}]
    answer = (
        await client.post("/v1/memories/batch", json={"namespace": "n", "items": items})
    ).json()
    assert [result["status"] for result in answer["results"]] == ["stored", "merged", "merged"]
    assert ["tags" in result.get("changed", ()) for result in answer["results"]] == [
        False,
        True,
        False,
    ]
    response = await client.get(
        f"/v1/memories/{answer['results'][0]['id']}", params={"namespace": "n"}
    )
    memory = response.json()
    assert (memory["tags"], memory["pinned"], memory["evidence_count"]) == (["x"], True, 3)

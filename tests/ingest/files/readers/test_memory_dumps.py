"""The readers of exports from mem0, Zep, LangGraph stores and MCP memory servers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest.files.readers.memory_dumps import read_langgraph, read_mcp, read_mem0, read_zep
from ingest.files.readers.sources import Format, format_of
from tests.ingest.files.readers.reading import read_items

MEM0 = {
    "results": [
        {
            "id": "x",
            "memory": "Likes tea",
            "hash": "h",
            "metadata": {"city": "Bonn", "id": 3},
            "user_id": "ann",
            "created_at": "2026-01-02T10:00:00.5-08:00",
            "categories": ["food"],
        },
        {"id": "y", "hash": "h"},
    ]
}
MCP = "\n".join(
    json.dumps(record)
    for record in (
        {
            "type": "entity",
            "name": "Ann",
            "entityType": "person",
            "observations": ["likes tea", "lives in Bonn"],
        },
        {"type": "entity", "name": "Bonn", "entityType": "city", "observations": []},
        {"type": "relation", "from": "Ann", "to": "Lee", "relationType": "works_with"},
        {"type": "other"},
    )
)


def test_mem0_and_zep_exports_may_be_json_lines() -> None:
    """An export of mem0 or Zep may have an object on each line; a broken line is reported with its
    number.
    """
    memories = "".join(
        json.dumps(memory) + "\n" for memory in (*MEM0["results"][:1], {"memory": "Lives in Bonn"})
    )
    items, bad = read_items(read_mem0, memories + "{")
    assert [(item["content"], item["source"]["line"]) for item in items] == [
        ("Likes tea", 1),
        ("Lives in Bonn", 2),
    ]
    assert [line.line for line in bad] == [3]
    items, bad = read_items(read_zep, '{"fact": "Ann drinks tea."}\n{"fact": "Ann is nine."}\n')
    assert ([item["content"] for item in items], bad) == (["Ann drinks tea.", "Ann is nine."], [])


def test_zep_facts_keep_their_start_and_end() -> None:
    """A Zep fact has its start as its creation time and its end as its expiry.

    A start that is later than the end is moved to a second before the end.
    """
    edges = [
        {
            "uuid": "e1",
            "name": "DRINKS",
            "fact": "Ann drinks tea.",
            "valid_at": "2026-01-02T03:04:05Z",
            "invalid_at": None,
            "created_at": "2026-01-03T00:00:00Z",
            "source_node_uuid": "n1",
        },
        {
            "uuid": "e2",
            "name": "LIVES_IN",
            "fact": "Ann lives in Oslo.",
            "created_at": "2026-01-03T00:00:00",
            "invalid_at": "2026-02-01T00:00:00Z",
        },
        {
            "uuid": "e3",
            "fact": "Ann is nine.",
            "valid_at": "2026-02-02T00:00:00Z",
            "expired_at": "2026-02-01T00:00:00Z",
        },
    ]
    items, bad = read_items(read_zep, {"edges": edges})
    assert [
        (item["content"], item.get("created_at"), item.get("expires_at")) for item in items
    ] == [
        ("Ann drinks tea.", "2026-01-02T03:04:05+00:00", None),
        ("Ann lives in Oslo.", "2026-01-03T00:00:00Z", "2026-02-01T00:00:00+00:00"),
        ("Ann is nine.", "2026-01-31T23:59:59+00:00", "2026-02-01T00:00:00+00:00"),
    ]
    assert items[0]["metadata"] == {"zep_uuid": "e1", "zep_name": "DRINKS"}
    assert not bad


def test_zep_episodes_are_events_of_their_thread() -> None:
    """A Zep episode becomes an episodic item that keeps the speaker and has the episode's thread as
    its session.

    The item is marked for review, so the panel decides whether to store it.
    """
    episode = {
        "uuid": "p1",
        "content": "I moved to Bergen.",
        "role": "user",
        "role_name": "Ann",
        "source": "message",
        "thread_uuid": "t1",
        "created_at": "2026-01-03T00:00:00Z",
    }
    ((item,), bad) = read_items(read_zep, [episode])
    assert (item["type"], item["session_id"], item["speaker"], item["review"]) == (
        "episodic",
        "t1",
        "user",
        "auto",
    )
    assert not bad


def test_langgraph_items_keep_path_and_key() -> None:
    """A LangGraph item's content is the text in its value, or the value as JSON.

    Its path and key go into the metadata.
    """
    lines = [
        {
            "namespace": ["memories", "ann"],
            "key": "k1",
            "value": {"text": "Ann likes rust."},
            "created_at": "2026-01-02T00:00:00+00:00",
            "updated_at": "2026-01-02T00:00:00+00:00",
        },
        {
            "namespace": ["m"],
            "key": "k2",
            "value": {"kind": "Memory", "content": {"content": "Ann likes tea."}},
        },
        {"namespace": [], "key": "k3", "value": {"level": 3}},
        {"key": "k4"},
    ]
    items, bad = read_items(read_langgraph, "\n".join(map(json.dumps, lines)))
    assert [item["content"] for item in items] == [
        "Ann likes rust.",
        "Ann likes tea.",
        '{"level": 3}',
    ]
    assert items[0]["metadata"] == {"langgraph_path": ["memories", "ann"], "langgraph_key": "k1"}
    assert datetime.fromisoformat(items[0]["created_at"]) == datetime(2026, 1, 2, tzinfo=UTC)
    assert [(line.line, line.reason) for line in bad] == [
        (4, "is no entry of the chosen export format: it has no 'namespace'; choose another")
    ]


def test_dumps_are_recognised(tmp_path: Path) -> None:
    """The names of fields in a file tell whether it is a Zep or a LangGraph export."""
    zep = tmp_path / "zep.json"
    graph = tmp_path / "store.jsonl"
    zep.write_text('[{"fact": "Ann drinks tea.", "valid_at": null}]')
    graph.write_text('{"namespace": ["a"], "key": "k", "value": {}}\n')
    assert (format_of(zep, by_content=True), format_of(graph, by_content=True)) == (
        Format.ZEP,
        Format.LANGGRAPH,
    )


def test_the_year_1_stands_for_no_time() -> None:
    """If the end of a Zep fact is in the year 1, the fact has no end.

    Programs written in Go export this date for "none".
    """
    edge = {
        "fact": "Ann drinks tea.",
        "invalid_at": "0001-01-01T00:00:00Z",
        "valid_at": "2026-01-02T03:04:05Z",
    }
    ((item,), bad) = read_items(read_zep, {"edges": [edge]})
    assert (item["created_at"], item.get("expires_at"), bad) == (
        "2026-01-02T03:04:05+00:00",
        None,
        [],
    )


@pytest.mark.parametrize("data", [MEM0, MEM0["results"]])
def test_mem0_memories_become_facts(data: Any) -> None:
    """A mem0 memory becomes a fact with its time, tags and metadata. A memory without text is
    reported.
    """
    items, bad = read_items(read_mem0, data)
    assert [(item["content"], item["tags"], item["created_at"]) for item in items] == [
        ("Likes tea", ["food"], "2026-01-02T10:00:00.500000-08:00")
    ]
    assert items[0]["metadata"] == {
        "city": "Bonn",
        "original_id": 3,
        "mem0_id": "x",
        "mem0_user_id": "ann",
    }
    assert len(bad) == 1


def test_an_mcp_graph_becomes_facts() -> None:
    """In an MCP knowledge graph, each observation, each relation and each entity without
    observations becomes a fact.

    Unknown records are reported with lines.
    """
    items, bad = read_items(read_mcp, MCP)
    assert [item["content"] for item in items] == [
        "Ann: likes tea",
        "Ann: lives in Bonn",
        "Bonn is a city",
        "Ann works with Lee",
    ]
    assert items[0]["concept"] == "Ann"
    assert [line.line for line in bad] == [4]

"""The readers of exports from ChatGPT, Claude, mem0 and MCP memory servers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingest.files.readers.exports import read_chatgpt, read_claude
from ingest.files.readers.memory_dumps import read_mcp, read_mem0
from tests.ingest.files.readers.reading import read_items

CHATGPT: list[dict[str, Any]] = [
    {
        "id": "c1", "title": "Tea", "create_time": 1767225600.0, "current_node": "d",
        "mapping": {
            "root": {"message": None, "parent": None, "children": ["a"]},
            "a": {"parent": "root", "message": {"author": {"role": "system"}, "content": {"parts": ["be nice"]}}},
            "b": {"parent": "a", "message": {"author": {"role": "user"}, "create_time": 1767225601.5,
                                             "content": {"content_type": "text", "parts": ["Which tea?"]}}},
            "c": {"parent": "b", "message": {"author": {"role": "assistant"}, "content": {"parts": ["Black."]}}},
            "d": {"parent": "b", "message": {"author": {"role": "assistant"},
                                             "content": {"parts": [{"type": "image"}, "Green."]}}},
        },
    },
    {"id": "c2", "title": "no mapping"},
]  # fmt: skip
CLAUDE = [
    {
        "uuid": "k1", "name": "Trains", "created_at": "2026-01-02T10:00:00Z",
        "chat_messages": [
            {"uuid": "m1", "sender": "human", "text": "When does it leave?", "created_at": "2026-01-02T10:00:01Z"},
            {"uuid": "m2", "sender": "assistant", "text": "", "content": [{"type": "text", "text": "At nine."}]},
            {"uuid": "m3", "sender": "human", "text": " "},
        ],
    },
]  # fmt: skip
MEM0 = {
    "results": [
        {"id": "x", "memory": "Likes tea", "hash": "h", "metadata": {"city": "Bonn", "id": 3}, "user_id": "ann",
         "created_at": "2026-01-02T10:00:00.5-08:00", "categories": ["food"]},
        {"id": "y", "hash": "h"},
    ]
}  # fmt: skip
MCP = "\n".join(
    json.dumps(record)
    for record in (
        {"type": "entity", "name": "Ann", "entityType": "person", "observations": ["likes tea", "lives in Bonn"]},
        {"type": "entity", "name": "Bonn", "entityType": "city", "observations": []},
        {"type": "relation", "from": "Ann", "to": "Lee", "relationType": "works_with"},
        {"type": "other"},
    )
)


def test_chatgpt_reads_the_current_branch() -> None:
    """System messages and other branches are skipped; a broken conversation is reported with its line."""
    items, bad = read_items(read_chatgpt, CHATGPT)
    assert [(item["speaker"], item["content"]) for item in items] == [("user", "Which tea?"), ("assistant", "Green.")]
    assert items[0]["created_at"] == "2026-01-01T00:00:01.500000+00:00"
    assert (items[0]["session_id"], items[0]["source"]["turns"]) == ("c1", [2 - 1])
    assert "mapping" in bad[0].reason
    assert bad[0].line is not None
    assert bad[0].line > 1


def test_chatgpt_without_current_node_reads_to_the_last_leaf() -> None:
    """The branch of the last leaf is read; a cycle ends it."""
    (conversation,) = CHATGPT[:1]
    items, _ = read_items(read_chatgpt, [{**conversation, "current_node": None}])
    assert [item["content"] for item in items] == ["Which tea?", "Green."]
    loop = {"x": {"parent": "y", "message": None}, "y": {"parent": "x", "message": None}}
    assert read_items(read_chatgpt, [{"id": "c", "current_node": "x", "mapping": loop}]) == ([], [])


def test_a_chatgpt_conversation_without_id_is_identified_by_its_time() -> None:
    """Its creation time is the session id."""
    items, _ = read_items(read_chatgpt, [{name: value for name, value in CHATGPT[0].items() if name != "id"}])
    assert {item["session_id"] for item in items} == {"1767225600.0"}


def test_claude_messages_become_events() -> None:
    """Texts and content blocks are read in order; blank messages are skipped."""
    items, bad = read_items(read_claude, CLAUDE)
    assert [(item["event_type"], item["content"]) for item in items] == [
        ("user_query", "When does it leave?"),
        ("agent_response", "At nine."),
    ]
    assert [item["created_at"] for item in items] == ["2026-01-02T10:00:01Z", "2026-01-02T10:00:00Z"]
    assert not bad


@pytest.mark.parametrize("data", [MEM0, MEM0["results"]])
def test_mem0_memories_become_facts(data: Any) -> None:
    """Facts have the memory's time, tags and metadata; a memory without text is reported."""
    items, bad = read_items(read_mem0, data)
    assert [(item["content"], item["tags"], item["created_at"]) for item in items] == [
        ("Likes tea", ["food"], "2026-01-02T10:00:00.500000-08:00")
    ]
    assert items[0]["metadata"] == {"city": "Bonn", "original_id": 3, "mem0_id": "x", "mem0_user_id": "ann"}
    assert len(bad) == 1


def test_an_mcp_graph_becomes_facts() -> None:
    """Each observation, relation and entity without observations is a fact; unknown records are reported with lines."""
    items, bad = read_items(read_mcp, MCP)
    assert [item["content"] for item in items] == [
        "Ann: likes tea", "Ann: lives in Bonn", "Bonn is a city", "Ann works with Lee",
    ]  # fmt: skip
    assert items[0]["concept"] == "Ann"
    assert [item.line for item in bad] == [4]


def test_conversations_with_impossible_values_are_bad_lines() -> None:
    """A time beyond all clocks and a missing id concern their conversation only."""
    late = CHATGPT[0] | {"mapping": {"b": CHATGPT[0]["mapping"]["b"] | {"parent": None}}, "current_node": "b"}
    late["mapping"]["b"]["message"] = late["mapping"]["b"]["message"] | {"create_time": 1e300}
    items, bad = read_items(read_chatgpt, [late, CHATGPT[0]])
    assert (len(items), len(bad)) == (2, 1)
    items, bad = read_items(read_claude, [CLAUDE[0] | {"uuid": ""}, *CLAUDE])
    assert (len(items), [line.reason for line in bad]) == (
        2,
        ["does not have the form of this export: it has no 'uuid'"],
    )

"""What other programs export: read into rows that are valid drafts; what is broken is told with its place."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest.files.items import RowOptions, to_item
from ingest.files.readers.exports.shape import Origin, origin_of
from ingest.files.readers.formats import READERS, Format
from ingest.files.readers.rows import BadLine, RawItem
from ingest.files.readers.sources import find_sources

NOW = datetime(2026, 3, 1, tzinfo=UTC)

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
    json.dumps(one)
    for one in (
        {"type": "entity", "name": "Ann", "entityType": "person", "observations": ["likes tea", "lives in Bonn"]},
        {"type": "entity", "name": "Bonn", "entityType": "city", "observations": []},
        {"type": "relation", "from": "Ann", "to": "Lee", "relationType": "works_with"},
        {"type": "other"},
    )
)
NOTE = """---
title: Tea notes
tags: [tea, kitchen]
date: 2026-01-02
status: draft
id: 7
---
# Green
Seventy degrees.
"""


def _rows(form: Format, data: Any) -> tuple[list[dict[str, Any]], list[BadLine]]:
    """The rows as valid items, and the bad places."""
    text = data if isinstance(data, str) else json.dumps(data, indent=1)
    readings = list(READERS[form](io.BytesIO(text.encode()), "f"))
    items = [to_item(one, RowOptions(), NOW) for one in readings if isinstance(one, RawItem)]
    return items, [one for one in readings if isinstance(one, BadLine)]


def test_the_branch_that_was_seen_last_is_read() -> None:
    """Of ChatGPT's tree only the current branch, without the system's message; a broken conversation is told."""
    items, bad = _rows(Format.CHATGPT, CHATGPT)
    assert [(one["speaker"], one["content"]) for one in items] == [("user", "Which tea?"), ("assistant", "Green.")]
    assert items[0]["created_at"] == "2026-01-01T00:00:01.500000+00:00"
    assert (items[0]["session_id"], items[0]["source"]["turns"]) == ("c1", [2 - 1])
    assert "mapping" in bad[0].reason
    assert bad[0].line is not None
    assert bad[0].line > 1


def test_a_tree_without_a_current_node_is_read_to_its_last_leaf() -> None:
    """Also a tree that turns in a circle comes to an end."""
    (conversation,) = CHATGPT[:1]
    items, _ = _rows(Format.CHATGPT, [{**conversation, "current_node": None}])
    assert [one["content"] for one in items] == ["Which tea?", "Green."]
    loop = {"x": {"parent": "y", "message": None}, "y": {"parent": "x", "message": None}}
    assert _rows(Format.CHATGPT, [{"id": "c", "current_node": "x", "mapping": loop}]) == ([], [])


def test_a_conversation_without_an_id_is_known_by_its_beginning() -> None:
    """Exports that name none still come as one session each."""
    rows, _ = _rows(Format.CHATGPT, [{name: one for name, one in CHATGPT[0].items() if name != "id"}])
    assert {one["session_id"] for one in rows} == {"1767225600.0"}


def test_claude_messages_are_events() -> None:
    """Texts and content blocks, in order; blank messages are left out."""
    items, bad = _rows(Format.CLAUDE, CLAUDE)
    assert [(one["event_type"], one["content"]) for one in items] == [
        ("user_query", "When does it leave?"),
        ("agent_response", "At nine."),
    ]
    assert [one["created_at"] for one in items] == ["2026-01-02T10:00:01Z", "2026-01-02T10:00:00Z"]
    assert not bad


@pytest.mark.parametrize("data", [MEM0, MEM0["results"]])
def test_mem0_memories_are_facts(data: Any) -> None:
    """With their time, tags and metadata; one without a text is told."""
    items, bad = _rows(Format.MEM0, data)
    assert [(one["content"], one["tags"], one["created_at"]) for one in items] == [
        ("Likes tea", ["food"], "2026-01-02T10:00:00.500000-08:00")
    ]
    assert items[0]["metadata"] == {"city": "Bonn", "original_id": 3, "mem0_id": "x", "mem0_user_id": "ann"}
    assert len(bad) == 1


def test_a_graph_becomes_facts() -> None:
    """A fact an observation, an entity without one, a relation; an unknown record is told with its line."""
    items, bad = _rows(Format.MCP, MCP)
    assert [one["content"] for one in items] == [
        "Ann: likes tea", "Ann: lives in Bonn", "Bonn is a city", "Ann works with Lee",
    ]  # fmt: skip
    assert items[0]["concept"] == "Ann"
    assert [one.line for one in bad] == [4]


def test_a_note_has_its_front_matter() -> None:
    """Title, tags and date are fields; the rest is metadata, under names that are free."""
    items, bad = _rows(Format.NOTES, NOTE)
    (note,) = items
    assert (note["concept"], note["tags"], note["created_at"]) == (
        "Tea notes",
        ["tea", "kitchen"],
        "2026-01-02T00:00:00+00:00",
    )
    assert note["metadata"] == {"status": "draft", "original_id": 7}
    assert note["content"] == "# Green\nSeventy degrees."
    assert not bad


def test_broken_front_matter_is_told_and_the_text_kept() -> None:
    """What is no YAML, and what would unfold without end, is told; the note itself is read."""
    for head in ("a: [", "- x", "a: &x [1]\nb: *x"):
        items, bad = _rows(Format.NOTES, f"---\n{head}\n---\nText.\n")
        assert len(bad) == 1
        assert items[0]["content"].endswith("Text.")


def test_a_long_note_is_cut_at_its_headings() -> None:
    """Each part has the line on which it begins."""
    readings = list(READERS[Format.NOTES](io.BytesIO(b"# A\n" + b"word " * 900 + b"\n# B\nend\n"), "f"))
    assert [one.line for one in readings] == [1, 3]


@pytest.mark.parametrize(
    ("name", "data", "origin"),
    [
        ("conversations.json", json.dumps(CHATGPT), Origin.CHATGPT),
        ("conversations.json", json.dumps(CLAUDE), Origin.CLAUDE),
        ("all.json", json.dumps(MEM0), Origin.MEM0),
        ("memory.jsonl", MCP, Origin.MCP),
        ("memory.json", MCP, Origin.MCP),
        ("note.md", NOTE, Origin.NOTES),
        ("own.jsonl", '{"type": "semantic", "content": "x"}', None),
        ("x.txt", "text", None),
    ],
)
def test_shapes_are_told_apart(tmp_path: Path, name: str, data: str, origin: Origin | None) -> None:
    """Each export is known by what it holds; our own files go by their names."""
    assert origin_of(name, data.encode()) is origin
    (tmp_path / name).write_text(data)
    found = find_sources((str(tmp_path),), None, by_shape=True).files[0].format
    assert found == (origin or find_sources((str(tmp_path),), None).files[0].format)

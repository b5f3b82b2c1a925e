"""Readers for conversations in the exports of ChatGPT and Claude."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ingest.files.readers.chats import ChatFile, read_chatgpt, read_claude
from tests.ingest.files.readers.reading import read_items

CHATGPT: list[dict[str, Any]] = [
    {
        "id": "c1",
        "title": "Tea",
        "create_time": 1767225600.0,
        "current_node": "d",
        "mapping": {
            "root": {"message": None, "parent": None, "children": ["a"]},
            "a": {
                "parent": "root",
                "message": {"author": {"role": "system"}, "content": {"parts": ["be nice"]}},
            },
            "b": {
                "parent": "a",
                "message": {
                    "author": {"role": "user"},
                    "create_time": 1767225601.5,
                    "content": {"content_type": "text", "parts": ["Which tea?"]},
                },
            },
            "c": {
                "parent": "b",
                "message": {"author": {"role": "assistant"}, "content": {"parts": ["Black."]}},
            },
            "d": {
                "parent": "b",
                "message": {
                    "author": {"role": "assistant"},
                    "content": {"parts": [{"type": "image"}, "Green."]},
                },
            },
        },
    },
    {"id": "c2", "title": "no mapping"},
]
CLAUDE = [
    {
        "uuid": "k1",
        "name": "Trains",
        "created_at": "2026-01-02T10:00:00Z",
        "chat_messages": [
            {
                "uuid": "m1",
                "sender": "human",
                "text": "When does it leave?",
                "created_at": "2026-01-02T10:00:01Z",
            },
            {
                "uuid": "m2",
                "sender": "assistant",
                "text": "",
                "content": [{"type": "text", "text": "At nine."}],
            },
            {"uuid": "m3", "sender": "human", "text": " "},
        ],
    },
]


def chatgpt() -> list[dict[str, Any]]:
    """A ChatGPT export: one conversation with an edited prompt, a tool call and hidden
    instructions.
    """
    expected = [
        ("root", None, None),
        ("s", "root", ("system", "Be kind.")),
        ("u1", "s", ("user", "What is a sku?")),
        ("a1", "u1", ("assistant", "An article number.")),
        ("old", "a1", ("user", "Old wording")),
        ("u2", "a1", ("user", "And a hold?")),
        ("t", "u2", ("assistant", "search('hold')")),
        ("r", "t", ("tool", "result")),
        ("a2", "r", ("assistant", "A reservation.")),
    ]
    mapping: dict[str, Any] = {}
    for number, (name, parent, message) in enumerate(expected):
        node: dict[str, Any] = {"id": name, "parent": parent, "children": [], "message": None}
        if message is not None:
            role, text = message
            node["message"] = {
                "id": name,
                "author": {"role": role},
                "create_time": 1.77e9 + number,
                "recipient": "all",
                "content": {"content_type": "text", "parts": [text]},
                "metadata": {},
            }
        mapping[name] = node
    mapping["t"]["message"]["recipient"] = "browser"
    mapping["s"]["message"]["metadata"]["is_visually_hidden_from_conversation"] = True
    return [
        {
            "conversation_id": "c1",
            "title": "Stock",
            "create_time": 1.77e9,
            "mapping": mapping,
            "current_node": "a2",
        }
    ]


def claude() -> list[dict[str, Any]]:
    """A Claude export with one conversation."""
    messages = [
        {
            "uuid": "m1",
            "sender": "human",
            "text": "Which tea?",
            "created_at": "2026-03-01T10:00:00.123Z",
        },
        {
            "uuid": "m2",
            "sender": "assistant",
            "text": "",
            "content": [{"type": "text", "text": "Green tea."}],
            "created_at": "2026-03-01T10:00:09Z",
        },
    ]
    return [
        {
            "uuid": "k1",
            "name": "Tea",
            "created_at": "2026-03-01T10:00:00Z",
            "chat_messages": messages,
        }
    ]


def test_the_current_branch_of_chatgpt_is_read(tmp_path: Path) -> None:
    """Of a ChatGPT conversation the current branch is read, with times.

    Edited prompts, tool calls and hidden messages are left out.
    """
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps(chatgpt()))
    (session,) = ChatFile(path, read_chatgpt).sessions(quiet=True)
    assert (session.id, session.folder) == ("c1", None)
    assert [(message.role, message.text) for message in session.messages] == [
        ("user", "What is a sku?"),
        ("assistant", "An article number."),
        ("user", "And a hold?"),
        ("assistant", "A reservation."),
    ]
    assert session.times()[0] == "2026-02-02T02:40:02+00:00"


def test_claude_conversations_are_read_also_from_an_archive(tmp_path: Path) -> None:
    """The ZIP file that Claude users download can be read directly.

    Its messages have the same keys as those from the file inside.
    """
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps(claude()))
    packed = tmp_path / "data-2026.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("export/conversations.json", path.read_text())
        archive.writestr("export/users.json", "[]")
    plain, zipped = (ChatFile(file, read_claude).sessions(quiet=True) for file in (path, packed))
    assert [message.text for message in plain[0].messages] == ["Which tea?", "Green tea."]
    assert plain == zipped


def test_the_same_words_twice_are_two_messages(tmp_path: Path) -> None:
    """Two equal messages in a conversation have different keys, so an import sends both.

    A message's key includes how often the same text came before it.
    """
    conversations = claude()
    conversations[0]["chat_messages"] = [conversations[0]["chat_messages"][0]] * 2
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps(conversations))
    (session,) = ChatFile(path, read_claude).sessions(quiet=True)
    assert len({message.keys for message in session.messages}) == 2


def test_a_damaged_archive_is_an_error_of_the_file(tmp_path: Path) -> None:
    """A damaged ZIP file raises an error that says what is wrong."""
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(OSError, match="archive"):
        ChatFile(path, read_claude).sessions(quiet=True)


def test_conversations_of_another_form_are_counted(tmp_path: Path) -> None:
    """Conversations of unknown form are counted as left out, and the other conversations of the
    file are read.
    """
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([*claude(), {"uuid": "x"}, 7]))
    file = ChatFile(path, read_claude)
    assert len(file.sessions(quiet=True)) == 1
    assert file.left_out.total() == 2


def test_odd_times_and_ids_of_messages_do_not_stop_the_reading(tmp_path: Path) -> None:
    """In a Claude export a time that is a number is ignored, and a lone surrogate is removed from
    an id.
    """
    path = tmp_path / "conversations.json"
    message = {"sender": "human", "text": "We moved to Postgres.", "created_at": 1_700_000_000}
    path.write_text(json.dumps([{"uuid": "k\ud800", "chat_messages": [message]}]))
    (session,) = ChatFile(path, read_claude).sessions(quiet=True)
    assert (session.id, session.times(), session.messages[0].text) == (
        "k",
        [],
        "We moved to Postgres.",
    )


def test_chatgpt_reads_the_current_branch() -> None:
    """In a ChatGPT export, system messages and abandoned branches are skipped.

    A broken conversation is reported with its line.
    """
    items, bad = read_items(read_chatgpt, CHATGPT)
    assert [(item["speaker"], item["content"]) for item in items] == [
        ("user", "Which tea?"),
        ("assistant", "Green."),
    ]
    assert items[0]["created_at"] == "2026-01-01T00:00:01.500000+00:00"
    assert (items[0]["session_id"], items[0]["source"]["turns"]) == ("c1", [2 - 1])
    assert "mapping" in bad[0].reason
    assert bad[0].line is not None
    assert bad[0].line > 1


def test_chatgpt_without_current_node_reads_to_the_last_leaf() -> None:
    """A ChatGPT conversation without `current_node` is read up to its last leaf.

    A cycle of parents ends the reading.
    """
    (conversation,) = CHATGPT[:1]
    items, _ = read_items(read_chatgpt, [{**conversation, "current_node": None}])
    assert [item["content"] for item in items] == ["Which tea?", "Green."]
    loop = {"x": {"parent": "y", "message": None}, "y": {"parent": "x", "message": None}}
    assert read_items(read_chatgpt, [{"id": "c", "current_node": "x", "mapping": loop}]) == ([], [])


def test_a_chatgpt_conversation_without_id_is_identified_by_its_time() -> None:
    items, _ = read_items(
        read_chatgpt, [{name: value for name, value in CHATGPT[0].items() if name != "id"}]
    )
    assert {item["session_id"] for item in items} == {"1767225600.0"}


def test_claude_messages_become_events() -> None:
    """Each message in a Claude export becomes an episodic item, from its text or content blocks.

    Blank messages are skipped.
    """
    items, bad = read_items(read_claude, CLAUDE)
    assert [(item["event_type"], item["content"]) for item in items] == [
        ("user_query", "When does it leave?"),
        ("agent_response", "At nine."),
    ]
    assert [item["created_at"] for item in items] == [
        "2026-01-02T10:00:01Z",
        "2026-01-02T10:00:00Z",
    ]
    assert not bad


def test_conversations_with_impossible_values_are_bad_lines() -> None:
    """A conversation with an impossible time or without an id is a bad line. The other
    conversations are read.
    """
    late = CHATGPT[0] | {
        "mapping": {"b": CHATGPT[0]["mapping"]["b"] | {"parent": None}},
        "current_node": "b",
    }
    late["mapping"]["b"]["message"] = late["mapping"]["b"]["message"] | {"create_time": 1e300}
    items, bad = read_items(read_chatgpt, [late, CHATGPT[0]])
    assert (len(items), len(bad)) == (2, 1)
    items, bad = read_items(read_claude, [CLAUDE[0] | {"uuid": ""}, *CLAUDE])
    assert (len(items), [line.reason for line in bad]) == (
        2,
        ["is no entry of the chosen export format: it has no 'uuid'; choose another"],
    )

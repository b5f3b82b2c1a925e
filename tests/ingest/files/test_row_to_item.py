"""Conversion of file rows to import items."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.files.readers.rows import FileRow
from ingest.files.row_to_item import _RENAME, RowOptions, check_mapping, to_item
from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from tests.ingest.doubles import NOW

SEMANTIC = RowOptions(type=MemoryType.SEMANTIC)


def item(fields: dict[str, Any], options: RowOptions = SEMANTIC, **raw: Any) -> dict[str, Any]:
    """The import item for a row with `fields`. raw: further arguments of FileRow, such as
    `heading`.
    """
    return to_item(FileRow(fields, "f.csv", 3, **raw), options, NOW)


def refusal(fields: dict[str, Any], options: RowOptions = SEMANTIC, **raw: Any) -> str:
    """The error message for a row with `fields`, which must be refused. raw: further arguments of
    FileRow.
    """
    with pytest.raises(InvalidRequest) as refused:
        item(fields, options, **raw)
    return str(refused.value)


def test_defaults_apply_where_the_row_has_no_value() -> None:
    """The request's type, session and agent are used if the row sets none. Its file and line become
    the source.
    """
    options = RowOptions(type=MemoryType.SEMANTIC, session_id="s", agent_id="a")
    assert item({"content": "x", "session_id": "row"}, options) == {
        "type": "semantic",
        "content": "x",
        "session_id": "row",
        "agent_id": "a",
        "source": {"file": "f.csv", "line": 3},
    }


def test_file_and_line_are_added_to_the_source_of_a_row() -> None:
    """The file and line of a row are added to its `source`, but do not replace values that it has.

    A `source` that is a plain text becomes the field `caller` of the source.
    """
    assert item({"content": "x", "source": {"thread_id": "t", "line": 9}})["source"] == {
        "thread_id": "t",
        "file": "f.csv",
        "line": 9,
    }
    assert item({"content": "x", "source": "chat"})["source"] == {
        "caller": "chat",
        "file": "f.csv",
        "line": 3,
    }
    assert refusal({"content": "x", "source": 5}).startswith("source: ")


def test_mapping_renames_fields() -> None:
    """A mapping renames row fields to memory fields or metadata.

    A row that has both the old and the new name is refused.
    """
    options = RowOptions(
        MemoryType.EPISODIC,
        mapping={"text": "content", "ts": "created_at", "room": "metadata.room"},
    )
    imported = item(
        {"text": "x", "ts": "2026-01-01T00:00:00Z", "room": 5, "metadata": {"a": 1}}, options
    )
    assert (imported["content"], imported["created_at"], imported["metadata"]) == (
        "x",
        "2026-01-01T00:00:00Z",
        {"a": 1, "room": 5},
    )
    assert (
        refusal({"text": "x", "content": "y"}, options)
        == "has both text and content, to which text is mapped; remove one"
    )


def test_invalid_mappings_are_refused() -> None:
    """A mapping to an unknown field is refused, as are two mappings to the same field."""
    check_mapping({"text": "content", "k": "metadata.k"})
    with pytest.raises(InvalidRequest, match="no memory has a field 'contents'"):
        check_mapping({"text": "contents"})
    with pytest.raises(InvalidRequest, match="two fields are mapped to content"):
        check_mapping({"text": "content", "body": "content"})


def test_rows_with_unknown_fields_or_invalid_values_are_refused() -> None:
    """The error for a row with unknown fields names the first five and counts the rest.

    Invalid values are refused, too.
    """
    assert (
        refusal({"content": "x", "mood": 1, "colour": 2})
        == f"mood: unknown field; colour: unknown field; {_RENAME}"
    )
    steps = refusal({"content": "x", "steps": ["y"]}, RowOptions())
    assert steps.startswith("steps is a field of the type procedural: name the type; ")
    assert refusal({f"x{n}": n for n in range(7)} | {"content": "x"}).endswith(
        f"; and 2 more; {_RENAME}"
    )


@pytest.mark.parametrize(
    ("fields", "start", "end"),
    [
        (
            {"content": " "},
            "content: must not be blank (the row has ' '); give the row a text",
            "or remove the row",
        ),
        ({"content": ""}, "content: ", "or remove the row"),
        ({}, "content: is required; give the row a text", "or remove the row"),
        (
            {"content": "a\x00b"},
            "content: must not contain control characters",
            "; correct the row and import the file again",
        ),
        (
            {"content": "x", "importance": 11},
            "importance: Input should be less than or equal to 10 (the row has 11); ",
            "again",
        ),
        (
            {"content": "x", "tags": [" "]},
            "tags[0]: must not be blank (the row has ' '); ",
            "again",
        ),
        (
            {"content": "x", "type": "fact"},
            "unknown type; known are episodic, ",
            " (the row has 'fact'); correct the row and import the file again",
        ),
        (
            {"content": "x", "created_at": "2027-01-01T00:00:00Z"},
            "created_at: must not be more than a day ahead",
            "again",
        ),
        (
            {"content": "x", "expires_at": "2020-01-01T00:00:00Z"},
            "expires_at: must be after created_at",
            "again",
        ),
    ],
)
def test_the_reason_for_a_refused_row_names_the_field_its_value_and_what_to_do(
    fields: dict[str, Any], start: str, end: str
) -> None:
    reason = refusal(fields)
    assert (reason[: len(start)], reason[-len(end) :]) == (start, end)


def test_the_reason_for_a_refused_row_does_not_cut_its_value() -> None:
    """A long value is not shown at all: a secret that is cut in two might not be redacted."""
    assert "aaa" not in refusal({"content": "x", "importance": "a" * 100})


def test_a_row_may_have_no_type() -> None:
    """An item may have no type, and its row's heading is put before the content. An unknown type is
    refused.
    """
    assert "type" not in item({"content": "x"}, RowOptions())
    assert item({"content": "x"}, RowOptions(), heading="Locks")["content"] == "Locks: x"
    assert refusal({"content": "x", "type": "dream"}, RowOptions()).startswith(
        "unknown type; known are episodic, semantic"
    )


def test_extra_fields_are_moved_to_metadata_on_request() -> None:
    """With `extra_to_metadata`, fields that the row's memory type does not have go into the
    metadata.

    A field is renamed there if memories have a field of that name, such as `id`.
    """
    options = RowOptions(MemoryType.SEMANTIC, extra_to_metadata=True)
    imported = item(
        {"content": "x", "mood": 1, "id": "7", "due_at": "soon", "metadata": {"a": 2}}, options
    )
    assert imported["metadata"] == {"a": 2, "mood": 1, "original_id": "7", "due_at": "soon"}
    assert "metadata" not in item({"content": "x"}, options)
    assert refusal({"content": "x", "mood": 1, "metadata": 5}, options).startswith("metadata: ")


def test_a_row_may_set_its_review_mode() -> None:
    """A row may set `review` to auto or skip. Another value is refused with the error for an
    unknown field.
    """
    assert item({"content": "x", "review": "skip"})["review"] == "skip"
    assert "review" not in item({"content": "x"})
    assert item({"content": "x", "review": "auto"})["review"] == "auto"
    assert refusal({"content": "x", "review": "never"}) == f"review: unknown field; {_RENAME}"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("semantic", {"concept": "Locks", "content": "x"}),
        ("episodic", {"title": "Locks", "content": "x"}),
        ("procedural", {"procedure_name": "Locks", "content": "x"}),
        ("working", {"content": "Locks: x"}),
    ],
)
def test_a_heading_becomes_title_concept_or_name(kind: str, expected: dict[str, str]) -> None:
    """The heading of a file's section becomes the title, concept or procedure name that the
    memory's type has.

    A working memory has no such field, so the heading is put before the content.
    """
    imported = item(
        {"content": "x", "title": "of the file"} if kind != "working" else {"content": "x"},
        RowOptions(MemoryType(kind)),
        heading="Locks",
    )
    assert {name: imported.get(name) for name in expected} == expected


def test_cells_are_parsed_by_the_type_of_their_field() -> None:
    """A CSV cell is parsed if its field is a number, a flag, a list or an object.

    Text fields stay text; errors name the field.
    """
    cells = {
        "content": "[1, 2]",
        "importance": " 7 ",
        "pinned": "TRUE",
        "tags": '["a;b", "c"]',
        "related": "x; y ;",
        "source_sessions": "s1,s2",
        "metadata": '{"k": 1}',
        "confidence": "0.5",
        "session_id": "42",
    }
    assert item(cells, textual=True) | {"source": None} == {
        "type": "semantic",
        "source": None,
        "content": "[1, 2]",
        "importance": 7,
        "pinned": True,
        "tags": ["a;b", "c"],
        "related": ["x", "y"],
        "source_sessions": ["s1", "s2"],
        "metadata": {"k": 1},
        "confidence": 0.5,
        "session_id": "42",
    }
    assert item({"content": "x", "tags": "[a, b]"}, textual=True)["tags"] == ["a", "b"]
    assert refusal({"content": "x", "importance": "high"}, textual=True).startswith("importance: ")
    assert refusal({"content": "x", "importance": "7"}).startswith("importance: ")


def test_a_heading_without_content_is_reported_as_missing_content() -> None:
    """If a mapping renames the field `content` of a row with a heading, the row is refused for its
    missing content.
    """
    options = RowOptions(type=MemoryType.WORKING, mapping={"content": "metadata.text"})
    assert refusal({"content": "x"}, options, heading="Title").startswith("content: is required; ")

"""From a row to an item."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.files.items import RowOptions, check_mapping, to_item
from ingest.files.readers.rows import RawItem
from ingest.writing.drafts import ReviewMode, submission_from
from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from tests.ingest.doubles import NOW

SEMANTIC = RowOptions(type=MemoryType.SEMANTIC)


def item(fields: dict[str, Any], options: RowOptions = SEMANTIC, **raw: Any) -> dict[str, Any]:
    """The item that a row of `fields` becomes."""
    return to_item(RawItem(fields, "f.csv", 3, **raw), options, NOW)


def why(fields: dict[str, Any], options: RowOptions = SEMANTIC, **raw: Any) -> str:
    """Why a row of `fields` is refused."""
    with pytest.raises(InvalidRequest) as refused:
        item(fields, options, **raw)
    return str(refused.value)


def test_defaults_fill_what_the_row_leaves_out() -> None:
    """Type, session and agent are the row's own where it has them; the place in the file is its source."""
    options = RowOptions(type=MemoryType.SEMANTIC, session_id="s", agent_id="a")
    assert item({"content": "x", "session_id": "own"}, options) == {
        "type": "semantic",
        "content": "x",
        "session_id": "own",
        "agent_id": "a",
        "source": {"file": "f.csv", "line": 3},
    }


def test_a_row_keeps_its_own_source() -> None:
    """What a row says of its source stays, and its place in the file is added; a name alone is the caller."""
    assert item({"content": "x", "source": {"thread_id": "t", "line": 9}})["source"] == {
        "thread_id": "t",
        "file": "f.csv",
        "line": 9,
    }
    assert item({"content": "x", "source": "chat"})["source"] == {"caller": "chat", "file": "f.csv", "line": 3}
    assert why({"content": "x", "source": 5}).startswith("source: ")


def test_mapping_renames_fields() -> None:
    """Foreign names become ours, or metadata."""
    options = RowOptions(MemoryType.EPISODIC, mapping={"text": "content", "ts": "created_at", "room": "metadata.room"})
    made = item({"text": "x", "ts": "2026-01-01T00:00:00Z", "room": 5, "metadata": {"a": 1}}, options)
    assert (made["content"], made["created_at"], made["metadata"]) == ("x", "2026-01-01T00:00:00Z", {"a": 1, "room": 5})
    assert why({"text": "x", "content": "y"}, options) == "has both text and content, to which text is mapped"


def test_mappings_that_lead_nowhere_are_refused() -> None:
    """A target that no memory has, and one that two fields share, are refused."""
    check_mapping({"text": "content", "k": "metadata.k"})
    with pytest.raises(InvalidRequest, match="no memory has a field 'contents'"):
        check_mapping({"text": "contents"})
    with pytest.raises(InvalidRequest, match="two fields are mapped to content"):
        check_mapping({"text": "content", "body": "content"})


def test_unknown_fields_are_rejected_by_name() -> None:
    """The reason names each of them."""
    assert why({"content": "x", "mood": 1, "colour": 2}) == "mood: unknown field; colour: unknown field"
    assert why({"content": "x", "steps": ["y"]}, RowOptions()) == "steps: unknown field"
    assert why({"content": "x", "importance": 11, "type": "working"}) == (
        "importance: Input should be less than or equal to 10"
    )
    assert why({f"x{n}": n for n in range(7)} | {"content": "x"}).endswith("; and 2 more")
    assert why({"content": "x", "created_at": "2027-01-01T00:00:00Z"}).startswith("must not be more than a day ahead")


def test_a_row_may_leave_its_type_to_be_found() -> None:
    """It has no type then, and its heading stands before its text; a type that is none is a mistake."""
    assert "type" not in item({"content": "x"}, RowOptions())
    assert item({"content": "x"}, RowOptions(), heading="Locks")["content"] == "Locks: x"
    assert "dream" in why({"content": "x", "type": "dream"}, RowOptions())


def test_extra_fields_may_go_to_metadata() -> None:
    """Fields that the row's type lacks are kept; names that memories use themselves are marked as the original's."""
    options = RowOptions(MemoryType.SEMANTIC, extra_to_metadata=True)
    made = item({"content": "x", "mood": 1, "id": "7", "due_at": "soon", "metadata": {"a": 2}}, options)
    assert made["metadata"] == {"a": 2, "mood": 1, "original_id": "7", "due_at": "soon"}
    assert "metadata" not in item({"content": "x"}, options)
    assert why({"content": "x", "mood": 1, "metadata": 5}, options).startswith("metadata: ")


def test_a_row_may_ask_for_a_review() -> None:
    """As an item of the HTTP batch may; anything else under that name is unknown."""
    assert item({"content": "x", "review": "skip"})["review"] == "skip"
    assert "review" not in item({"content": "x"})
    assert submission_from(item({"content": "x", "review": "auto"})).review is ReviewMode.AUTO
    assert submission_from(item({"content": "x"})).review is ReviewMode.GIVEN
    assert why({"content": "x", "review": "never"}) == "review: unknown field"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("semantic", {"concept": "Locks", "content": "x"}),
        ("episodic", {"title": "Locks", "content": "x"}),
        ("procedural", {"procedure_name": "Locks", "content": "x"}),
        ("working", {"content": "Locks: x"}),
    ],
)
def test_a_heading_becomes_the_name_of_its_type(kind: str, expected: dict[str, str]) -> None:
    """Each type keeps a heading where it keeps its name; one without a name has it before the content."""
    made = item(
        {"content": "x", "title": "of the file"} if kind != "working" else {"content": "x"},
        RowOptions(MemoryType(kind)),
        heading="Locks",
    )
    assert {name: made.get(name) for name in expected} == expected


def test_cells_are_read_as_their_fields() -> None:
    """Numbers, flags, lists and objects are read out of text; text fields stay text; nonsense is refused by field."""
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
    assert why({"content": "x", "importance": "high"}, textual=True).startswith("importance: ")
    assert why({"content": "x", "importance": "7"}).startswith("importance: ")

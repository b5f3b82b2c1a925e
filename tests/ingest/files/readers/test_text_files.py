"""The readers of Markdown and plain text files."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ingest.files.readers.rows import MAX_LINE, BadLine, FileRow
from ingest.files.readers.text_files import read_markdown, read_text
from ingest.files.row_to_item import RowOptions, to_item
from memtypes.model.policy import MemoryType
from tests.ingest.files.readers.reading import bad, read, rows
from tests.ingest.screening.redaction.secrets import filler

MARKDOWN = """---
type: semantic
tags:
  - ops
  - "db"
note: 'quoted'
---
Before any heading.

# Deploy
Run it.

```sh
# no heading
```
## Roll back ##
### Empty
# Last
The end.
"""


def test_markdown_has_one_row_per_section() -> None:
    """Each section of a Markdown file becomes a row.

    Fenced code blocks are part of its text, and the front matter applies to every section.
    """
    readings = [
        reading for reading in read(read_markdown, MARKDOWN) if isinstance(reading, FileRow)
    ]
    assert [(reading.line, reading.heading) for reading in readings] == [
        (8, None),
        (10, "Deploy"),
        (18, "Last"),
    ]
    assert readings[1].fields["content"] == "Run it.\n\n```sh\n# no heading\n```"
    assert all(
        {name: value for name, value in reading.fields.items() if name != "content"}
        == {"type": "semantic", "tags": ["ops", "db"], "note": "quoted"}
        for reading in readings
    )


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("title: 'Rollback: how'", {"concept": "Rollback: how"}),
        ("date: 2026-01-02", {"created_at": "2026-01-02T00:00:00+00:00"}),
        ("created: soon", {"metadata": {"created": "soon"}}),
        ("author: Ann\ncategory:\nlayout: post", {"metadata": {"author": "Ann", "layout": "post"}}),
        ("type: [a, b]", {"metadata": {"original_type": ["a", "b"]}}),
        (
            "type: note\nstatus: pending",
            {"metadata": {"original_type": "note", "status": "pending"}},
        ),
        ("type: episodic\nspeaker: Ann", {"type": "episodic", "speaker": "Ann"}),
        (
            "tags: [ops, db]\nimportance: 7\nsession_id: 12",
            {"tags": ["ops", "db"], "importance": 7, "session_id": "12"},
        ),
        ("expires_at: 2027-01-02T03:04:05Z", {"expires_at": "2027-01-02T03:04:05+00:00"}),
    ],
)
def test_front_matter_never_makes_a_markdown_file_invalid(
    header: str, fields: dict[str, object]
) -> None:
    """Front matter's fields of a memory become those of the row; all others, also those of other
    types, metadata.

    A date becomes the creation time, and a title the title of text without heading.
    """
    (reading,) = read(read_markdown, f"---\n{header}\n---\nRestore the database first.\n")
    assert isinstance(reading, FileRow)
    item = to_item(reading, RowOptions(type=MemoryType.SEMANTIC), datetime(2026, 3, 1, tzinfo=UTC))
    expected = {"type": "semantic", "content": "Restore the database first.", **fields}
    assert {name: value for name, value in item.items() if name != "source"} == expected


def test_the_title_of_a_markdown_file_is_kept_beside_its_headings() -> None:
    """A section's heading is its title; the title in the front matter then becomes metadata."""
    readings = read(read_markdown, "---\ntitle: Runbook\n---\n# Restore\nThe database first.\n")
    assert isinstance(readings[0], FileRow)
    item = to_item(
        readings[0], RowOptions(type=MemoryType.SEMANTIC), datetime(2026, 3, 1, tzinfo=UTC)
    )
    assert (item["concept"], item["metadata"]) == ("Restore", {"title": "Runbook"})


def test_markdown_with_broken_front_matter_is_reported_and_read() -> None:
    fault, text = read(read_markdown, "---\ntitle: a: b\n---\nText.\n")
    assert isinstance(fault, BadLine)
    assert fault.reason.startswith("the front matter is not YAML: ")
    assert isinstance(text, FileRow)


def test_a_line_in_a_comment_is_no_heading() -> None:
    """No section begins at a line in an HTML comment; comments in code and closed ones change
    nothing.
    """
    text = "# A\n<!-- one --> x\n<!-- two\n# no heading\n--> y\n```\n<!--\n```\n# B\nz\n"
    assert [line for line, _ in rows(read_markdown, text)] == [1, 9]


def test_a_heading_is_the_path_of_all_headings_above_it() -> None:
    """A section's heading is the path of all headings above it; a higher heading ends the lower
    ones.
    """
    text = "# A\n## B\nb\n### C\nc\n## D\nd\n# E\ne\n"
    readings = [reading for reading in read(read_markdown, text) if isinstance(reading, FileRow)]
    assert [reading.heading for reading in readings] == ["A > B", "A > B > C", "A > D", "E"]


@pytest.mark.parametrize(
    "text", ["---\nno end\n", "---\n" + "a: b\n" * 300, "text\n---\na: b\n---\n", "#no blank\n"]
)
def test_incomplete_front_matter_and_headings_are_text(text: str) -> None:
    """Front matter without a closing line, and a heading without a blank after the hash, are read
    as text.
    """
    assert [fields["content"] for _, fields in rows(read_markdown, text)] == [text.rstrip("\n")]


def test_markdown_reports_invalid_utf8() -> None:
    assert bad(read_markdown, b"# A\n\xff\ntext\n") == [
        (2, "is not UTF-8 (byte 1 of the line); convert the file")
    ]
    assert bad(read_markdown, b"\xff\ntext\n") == [
        (1, "is not UTF-8 (byte 1 of the line); convert the file")
    ]


def test_text_has_one_row_per_paragraph() -> None:
    """Any number of blank lines separates paragraphs; single line breaks are part of the text."""
    assert rows(read_text, "\na\nb\n\n \n\nc") == [(2, {"content": "a\nb"}), (7, {"content": "c"})]
    assert bad(read_text, b"a\n\xff\n") == [
        (2, "is not UTF-8 (byte 1 of the line); convert the file")
    ]


def test_a_heading_in_plain_text_is_in_a_row_with_the_next_paragraph() -> None:
    paragraphs = rows(
        read_text, "# Plan\n\n## Open questions\n\nWho pays?\n\n#42 is fixed\n\nThe end.\n"
    )
    assert [fields["content"] for _, fields in paragraphs] == [
        "# Plan\n\n## Open questions\n\nWho pays?",
        "#42 is fixed",
        "The end.",
    ]


def test_a_too_long_paragraph_is_skipped() -> None:
    long = b"".join(b"x" * 1_000_000 + b"\n" for _ in range(9))
    readings = read(read_text, long + b"\nnext\n")
    assert readings[0] == BadLine(
        "f", 1, f"the text from here on is longer than {MAX_LINE} characters; divide it"
    )
    assert readings[1] == FileRow({"content": "next"}, "f", 11)


def test_paragraphs_that_together_have_a_secret_are_one_row() -> None:
    """A private key with blank lines, and a label and its value, are one row each; other paragraphs
    stay rows.
    """
    line = "-" * 5
    head = f"{line}BEGIN RSA PRIVATE" + f" KEY{line}\nProc-Type: 4,ENCRYPTED"
    end = f"{line}END RSA PRIVATE KEY{line}"
    key = f"{head}\n\n{filler(64)}\n\n{filler(64, 5)}\n{end}"
    label = "The API key of the shop is:\n\n" + filler(32)
    listed = "passwords:\n\n- " + filler(9) + "\n\n- " + filler(11, 4)
    paragraphs = [
        "First.",
        key,
        "Restart the proxy.",
        label,
        "Password rules are in the wiki.",
        listed,
        "Version 2.14.3",
    ]
    assert [
        fields["content"] for _, fields in rows(read_text, "\n\n\n".join(paragraphs))
    ] == paragraphs

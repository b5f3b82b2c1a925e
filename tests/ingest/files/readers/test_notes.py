"""The reader for Markdown notes."""

from __future__ import annotations

from ingest.files.readers.notes import LONG_NOTE, read_notes
from ingest.files.readers.rows import FileRow
from tests.ingest.files.readers.reading import read, read_items

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


def test_front_matter_becomes_fields() -> None:
    """Title, tags and date of a note's front matter become fields.

    Other entries go into the metadata, renamed if a memory has a field of that name.
    """
    items, bad = read_items(read_notes, NOTE)
    (note,) = items
    assert (note["concept"], note["tags"], note["created_at"]) == (
        "Tea notes",
        ["tea", "kitchen"],
        "2026-01-02T00:00:00+00:00",
    )
    assert note["metadata"] == {"status": "draft", "original_id": 7}
    assert note["content"] == "# Green\nSeventy degrees."
    assert not bad


def test_broken_front_matter_is_reported_and_the_text_read() -> None:
    for head in (
        "a: [",
        "- x",
        "a: &x [1]\nb: *x",
        "a: !!bool maybe",
        "a: !!int ''",
        "a: !!timestamp x",
    ):
        items, bad = read_items(read_notes, f"---\n{head}\n---\nText.\n")
        assert len(bad) == 1
        assert items[0]["content"].endswith("Text.")


def test_a_long_note_is_cut_at_its_headings() -> None:
    """A long note becomes several rows, cut at its headings. Each row has its line number."""
    readings = read(read_notes, "# A\n" + "x" * LONG_NOTE + "\n# B\nend\n")
    assert [reading.line for reading in readings] == [1, 3]


def test_a_long_note_is_not_cut_in_code_or_after_a_heading_alone() -> None:
    """A part of a long note has the text below its headings; a comment in a fenced block is no
    heading.
    """
    code = "```sh\n# no heading\n```\n"
    readings = read(
        read_notes, f"# A\n\n## B\n{'x' * LONG_NOTE}\n{code}# C\n\n## D\nend\n\n## Open questions\n"
    )
    contents = [reading.fields["content"] for reading in readings if isinstance(reading, FileRow)]
    assert contents == [
        f"# A\n\n## B\n{'x' * LONG_NOTE}\n{code}".strip(),
        "# C\n\n## D\nend\n\n## Open questions",
    ]

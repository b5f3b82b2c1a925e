"""The reader for notes in an Obsidian vault."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.files.readers.notes import read_obsidian
from ingest.files.readers.rows import FileRow
from ingest.files.row_to_item import RowOptions, to_item
from tests.ingest.doubles import NOW

NOTE = """---
tags: [work]
due: 2026-04-01
---
# Locks %% draft, ask [[Bo]] %% <!-- hidden
remark -->
We use [[Advisory locks#Postgres|advisory locks]], see [[Stock counter]] and [[#Costs]].
#db/postgres (#locks) ^a1b2
![[diagram.png]]
Not a tag: C#, #12, a#b, https://x/#y.

```sh
echo "[[not a link]]" #no-tag
```
"""


def notes(text: str) -> list[dict[str, Any]]:
    """The import items made from a note with this text."""
    readings = list(read_obsidian(io.BytesIO(text.encode()), "vault/Locks.md"))
    return [
        to_item(reading, RowOptions(), NOW) for reading in readings if isinstance(reading, FileRow)
    ]


def test_links_become_texts_and_embeds_and_comments_are_removed() -> None:
    """Links become their texts, and tags in the text are added to the note's.

    Embeds, comments and block ids are removed; code is unchanged.
    """
    (item,) = notes(NOTE)
    assert "advisory locks, see Stock counter and Costs." in item["content"]
    assert 'echo "[[not a link]]" #no-tag' in item["content"]
    assert not [
        word
        for word in ("diagram", "draft", "a1b2", "%%", "<!--", "remark")
        if word in item["content"]
    ]
    assert item["tags"] == ["work", "db/postgres", "locks"]
    assert item["metadata"] == {
        "due": "2026-04-01",
        "linked_notes": ["Advisory locks", "Stock counter"],
    }
    assert (item["concept"], item["type"]) == ("Locks", "semantic")


def test_a_note_with_nothing_but_embeds_is_no_memory() -> None:
    """A note that has only embeds gives no row, because no text is left."""
    assert notes("![[a.png]]\n%% todo %%\n") == []


@given(st.text(alphabet="[]!|#%`~^a\n ", max_size=80))
def test_a_note_with_any_text_is_read_without_error(text: str) -> None:
    notes(text)

"""Read the notes of an Obsidian vault: Markdown notes with links to other notes, embeds, tags and comments in the text.

A link becomes its text, and its target is listed in the metadata; embeds, comments and block ids are left out; tags in
the text are added to the note's tags. Code stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Any, BinaryIO

from ingest.files.readers.notes import read_notes
from ingest.files.readers.rows import FileRow, Reading
from memtypes.model.memory import MAX_LABEL, MAX_TAG, MAX_TAGS

_CODE = re.compile(r"(^```.*?^```|^~~~.*?^~~~|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"%%.*?%%", re.DOTALL)
_EMBED = re.compile(r"!\[\[[^\[\]\n]*\]\]")
_LINK = re.compile(r"\[\[([^\[\]|\n]+)(?:\|([^\[\]\n]*))?\]\]")
_BLOCK_ID = re.compile(r"[ \t]\^[A-Za-z0-9-]+[ \t]*$", re.MULTILINE)
_TAG = re.compile(r"(?<![^\s(])#([\w/-]*[^\W\d][\w/-]*)")

_MAX_LINKS = 100
"""Targets of links that a note's metadata lists."""


def read_obsidian(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """One row per note, or per section of a long one, as `read_notes` returns them; the title is the file's name."""
    for reading in read_notes(stream, file):
        if not isinstance(reading, FileRow):
            yield reading
        elif (fields := _plain(reading.fields, PurePath(file).stem)) is not None:
            yield replace(reading, fields=fields)


def _plain(fields: dict[str, Any], title: str) -> dict[str, Any] | None:
    """The fields of a note with its text as plain Markdown; None if no text is left."""
    links: dict[str, None] = {}
    tags: dict[str, None] = dict.fromkeys(fields.get("tags", ()))

    def linked(match: re.Match[str]) -> str:
        target = match[1].strip()
        if note := target.partition("#")[0]:  # else a heading of this note
            links.setdefault(note)
        return (match[2] or "").strip() or target.removeprefix("#").replace("#", " > ")

    parts = _CODE.split(fields["content"])
    for place in range(0, len(parts), 2):  # the others are code
        text = _BLOCK_ID.sub("", _EMBED.sub("", _COMMENT.sub("", parts[place])))
        tags.update(dict.fromkeys(tag.strip("/")[:MAX_TAG] for tag in _TAG.findall(text)))
        parts[place] = _LINK.sub(linked, text)
    content = "".join(parts).strip()
    if not content:
        return None
    metadata = fields.get("metadata", {}) | ({"linked_notes": [*links][:_MAX_LINKS]} if links else {})
    tagged = {"tags": [*tags][:MAX_TAGS]} if tags else {}
    concept = fields.get("concept") or title[:MAX_LABEL]
    return {**fields, **tagged, "content": content, "concept": concept, "metadata": metadata}

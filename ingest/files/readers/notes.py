"""Read Markdown notes: one row per note, or per section of a long note, with fields from its YAML
front matter.

`title` becomes the memory's concept, `tags` its tags, a date (created, date, updated ...) its
`created_at`. Other fields become metadata.

In the notes of an Obsidian vault, a link becomes its text, and its target is listed in the
metadata. Embeds, comments and block ids are left out; tags in the text are added to the note's
tags. Code stays as it is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import PurePath
from typing import Any, BinaryIO

import yaml

from ingest.files.readers.rows import BadLine, FileRow, Reading, as_metadata, in_utc, read_utf8, row
from memtypes.config import YAML_ERRORS
from memtypes.model.memory import MAX_LABEL, MAX_TAG, MAX_TAGS

MAX_NOTE = 8 * 1024 * 1024
MAX_FRONT = 201
"""Maximum lines of front matter, with the two `---` lines."""

LONG_NOTE = 4_000
"""Characters above which a note is cut into several rows at its headings."""

_DATES = ("created", "created_at", "date", "updated", "modified")

HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_CODE = re.compile(r"(^```.*?^```|^~~~.*?^~~~|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"%%.*?%%|<!--.*?-->", re.DOTALL)
_EMBED = re.compile(r"!\[\[[^\[\]\n]*\]\]")
_LINK = re.compile(r"\[\[([^\[\]|\n]+)(?:\|([^\[\]\n]*))?\]\]")
_BLOCK_ID = re.compile(r"[ \t]\^[A-Za-z0-9-]+[ \t]*$", re.MULTILINE)
_TAG = re.compile(r"(?<![^\s(])#([\w/-]*[^\W\d][\w/-]*)")

_MAX_LINKS = 100
"""Maximum link targets that are listed in a note's metadata."""


def read_notes(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """One row per note, or per section of a long note. If the front matter is not valid YAML, a
    BadLine comes first.
    """
    text = read_utf8(stream, file, MAX_NOTE, "; split the note")
    if isinstance(text, BadLine):
        yield text
        return
    lines = text.splitlines()
    front = front_matter(lines, file)
    if front.fault:
        yield front.fault
    fields = {
        "type": "semantic",
        "concept": str(front.extra.pop("title", None) or "")[:MAX_LABEL],
        **front.fields,
    }
    for first, content in _sections(lines, front.end):
        heading = (
            content.partition("\n")[0] if first > front.end + 1 and content.startswith("#") else ""
        )
        yield row(
            file,
            first,
            {**fields, "metadata": as_metadata(front.extra), "content": content},
            heading,
        )


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """YAML between two `---` lines at the top of a note. end: number of lines up to and with the
    second `---`.

    fault: why it could not be read. fields: `tags` and `created_at` of a memory, from its tags and
    dates. extra: the rest of it, as plain JSON.
    """

    end: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    fault: BadLine | None = None


def front_matter(lines: Sequence[str], file: str) -> FrontMatter:
    """The front matter in the first lines of a note; an empty one if there is none or it is not
    YAML.
    """
    ends = (
        index for index, line in enumerate(lines[1:MAX_FRONT], 1) if line.rstrip() in ("---", "...")
    )
    if not lines or lines[0].rstrip() != "---" or (end := next(ends, None)) is None:
        return FrontMatter()
    try:
        front = _mapping("\n".join(lines[1:end]))
    except YAML_ERRORS as error:
        reason = (
            f"the front matter is not YAML: {' '.join(str(error).split())[:200]}; correct "
            "or remove it"
        )
        return FrontMatter(fault=BadLine(file, 1, reason))
    tags = front.pop("tags", None) or front.pop("tag", None)
    words = tags if isinstance(tags, list) else str(tags or "").replace(",", " ").split()
    names = dict.fromkeys(
        str(word).lstrip("#").strip()[:MAX_TAG] for word in words if str(word).strip("# ")
    )
    times = ((name, in_utc(str(front[name]))) for name in _DATES if name in front)
    dated, created_at = next(((name, time) for name, time in times if time), (None, None))
    extra = {name: _plain(value) for name, value in front.items() if name != dated}
    return FrontMatter(end + 1, {"tags": [*names][:MAX_TAGS], "created_at": created_at}, extra)


def _mapping(head: str) -> dict[str, Any]:
    if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(head)):
        raise ValueError("aliases are not supported")  # a few of them can expand to gigabytes
    front = yaml.safe_load(head)
    if front is not None and not isinstance(front, dict):
        raise ValueError("it is no mapping")
    return {str(name): value for name, value in (front or {}).items()}


def _sections(lines: list[str], start: int) -> Iterator[tuple[int, str]]:
    """Divide a long note at its headings, a short one not at all; yield each section with its first
    line number.
    """
    outline = Outline()
    cuts = [start]
    is_bare = True
    for index in range(start, len(lines)):
        if is_heading := outline.enters_section(lines[index]):
            cuts += [] if is_bare else [index]  # a heading alone is no section
        is_bare = is_heading or (is_bare and not lines[index].strip())
    later = cuts[1 : len(cuts) - is_bare] if len("\n".join(lines[start:])) > LONG_NOTE else []
    for first, end in itertools.pairwise([start, *later, len(lines)]):
        if text := "\n".join(lines[first:end]).strip():
            yield first + 1, text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def read_obsidian(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """The rows of `read_notes` without Obsidian's own markup. A note without a title gets its
    file's name as title.
    """
    for reading in read_notes(stream, file):
        if not isinstance(reading, FileRow):
            yield reading
        elif (fields := _without_marks(reading.fields, PurePath(file).stem)) is not None:
            yield replace(reading, fields=fields)


def _without_marks(fields: dict[str, Any], title: str) -> dict[str, Any] | None:
    """The fields of an Obsidian note without its markup; None if no text remains. title: for a note
    without one.
    """
    links: dict[str, None] = {}
    tags: dict[str, None] = dict.fromkeys(fields.get("tags", ()))

    def linked(match: re.Match[str]) -> str:
        target = match[1].strip()
        if note := target.partition("#")[0]:  # else a heading of this note
            links.setdefault(note)
        return (match[2] or "").strip() or target.removeprefix("#").replace("#", " > ")

    pieces = _CODE.split(fields["content"])
    for index in range(0, len(pieces), 2):  # odd pieces are code
        text = _BLOCK_ID.sub("", _EMBED.sub("", _COMMENT.sub("", pieces[index])))
        tags.update(dict.fromkeys(tag.strip("/")[:MAX_TAG] for tag in _TAG.findall(text)))
        pieces[index] = _LINK.sub(linked, text)
    content = "".join(pieces).strip()
    if not content:
        return None
    metadata = fields.get("metadata", {}) | (
        {"linked_notes": [*links][:_MAX_LINKS]} if links else {}
    )
    tagged = {"tags": [*tags][:MAX_TAGS]} if tags else {}
    concept = fields.get("concept") or title[:MAX_LABEL]
    return {**fields, **tagged, "content": content, "concept": concept, "metadata": metadata}


class Outline:
    """The headings above the current line of a Markdown file, and whether it is in a fenced block
    or a comment.
    """

    def __init__(self) -> None:
        self._fence: str | None = None
        self._is_comment = False
        self._headings: dict[int, str] = {}

    def enters_section(self, text: str) -> bool:
        """Whether the line `text` is a heading, at which a section begins. Must be called for every
        line, in order.
        """
        if not self._is_comment and (fence := _FENCE.match(text)):
            closes = (
                self._fence is not None
                and fence[1].startswith(self._fence)
                and not fence[2].strip()
            )
            self._fence = None if closes else self._fence or fence[1]
            return False
        heading = None if self._fence or self._is_comment else HEADING.match(text)
        begins = not self._fence and text.lstrip().startswith("<!--")
        self._is_comment = (begins or self._is_comment) and "-->" not in text
        if heading is None:
            return False
        level = len(heading[1])
        self._headings = {other: name for other, name in self._headings.items() if other < level}
        self._headings[level] = (heading[2] or "").strip()
        return True

    def path(self) -> str | None:
        """The headings above the current line as a path ("Deploying > Rolling back"); None before
        the first heading.
        """
        return " > ".join(name for _, name in sorted(self._headings.items()) if name) or None

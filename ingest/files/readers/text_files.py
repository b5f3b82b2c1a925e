"""Read plain text and Markdown.

Plain text: one row per paragraph; blank lines separate paragraphs. A heading is in one row with the
paragraph below it. Two paragraphs that together have a secret, such as its name and its value, are
one row, so that it is found.

Markdown: one row per section, with the text of the section and the path of its heading ("Deploying
> Rolling back"). A heading begins with `#` outside fenced blocks. Text before the first heading is
a section without heading. Front matter (YAML between two `---` lines at the top) gives fields that
every section has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import BinaryIO

from ingest.files.readers.notes import HEADING, MAX_FRONT, Outline, front_matter
from ingest.files.readers.rows import (
    MAX_LINE,
    BadLine,
    FileRow,
    Reading,
    TextLine,
    as_metadata,
    read_lines,
    row,
)
from ingest.screening.redaction.scan import secrets_in
from memtypes.model.policy import MemoryType

_WINDOW = 64 * 1024
"""Characters on each side of a cut that are searched for secrets."""


def read_text(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """One row per paragraph of a plain-text file; see `_belong_together` for paragraphs that share
    a row.
    """
    previous: Reading | None = None
    for reading in chain(_blocks(read_lines(stream, file), file, None), [None]):
        if (
            isinstance(previous, FileRow)
            and isinstance(reading, FileRow)
            and _belong_together(previous, reading)
        ):
            previous.fields["content"] += f"\n\n{reading.fields['content']}"
            continue
        if previous:
            yield previous
        previous = reading


def _belong_together(first: FileRow, second: FileRow) -> bool:
    """Whether a paragraph is the heading of the next, or a secret is found only if both are read
    together.
    """
    if HEADING.match(first.fields["content"].rpartition("\n\n")[2]):
        return True
    end = first.fields["content"][-_WINDOW:]
    start = second.fields["content"][:_WINDOW]
    offset = len(f"{end}\n\n")
    separate = [(secret.start, secret.end) for secret in secrets_in(end)]
    separate += [(offset + secret.start, offset + secret.end) for secret in secrets_in(start)]
    joined = [(secret.start, secret.end) for secret in secrets_in(f"{end}\n\n{start}")]
    return len(first.fields["content"]) <= MAX_LINE and joined != separate


def read_markdown(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """One row per section that has text, with the fields of the front matter; unknown ones are
    metadata.
    """
    lines = read_lines(stream, file)
    head = list(islice(lines, 1))
    if head and isinstance(head[0], TextLine) and head[0].text.rstrip() == "---":
        head += islice(lines, MAX_FRONT - 1)
    front = front_matter([line.text if isinstance(line, TextLine) else "" for line in head], file)
    if front.fault:
        yield front.fault
    fields = {**front.extra, **front.fields}
    if fields.get("type") not in tuple(MemoryType):
        fields |= as_metadata({"type": fields.pop("type", None)})
    for reading in _blocks(chain(head[front.end :], lines), file, Outline()):
        if isinstance(reading, FileRow):
            section = row(file, reading.line, {**fields, **reading.fields}, reading.heading or "")
            heading = reading.heading or str(fields.get("title") or "") or None
            yield replace(section, heading=heading, textual=True, extra_to_metadata=True)
        else:
            yield reading


def _blocks(
    lines: Iterator[TextLine | BadLine], file: str, outline: Outline | None
) -> Iterator[Reading]:
    """Divide a text into rows: at its headings with `outline` (for Markdown), otherwise at its
    blank lines.

    A block that is too long gives a BadLine, and is not kept, so that memory use is bounded.
    """
    # the line at which the block begins, 0 between blocks; the headings above it
    first = 0
    heading = None
    texts = list[str]()
    size = 0

    def block() -> Iterator[Reading]:
        content = "\n".join(texts).strip("\n").rstrip()
        if size > MAX_LINE:
            yield BadLine(
                file,
                first,
                f"the text from here on is longer than {MAX_LINE} characters; divide it",
            )
        elif content.strip():
            yield FileRow({"content": content}, file, first, heading=heading)

    for line in lines:
        if isinstance(line, BadLine):
            yield line
        elif outline.enters_section(line.text) if outline else not line.text.strip():
            yield from block()
            first, heading = (line.number, outline.path()) if outline else (0, None)
            texts = []
            size = 0
        elif first or line.text.strip():
            first = first or line.number
            size += len(line.text) + 1
            texts += [line.text] if size <= MAX_LINE else []
    yield from block()

"""Plain text: one row a paragraph; paragraphs are parted by blank lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from ingest.files.readers.lines import MAX_LINE, read_lines
from ingest.files.readers.rows import BadLine, RawItem, Reading


class Block:
    """Lines that belong together, gathered in bounded memory. line: the first one's number."""

    def __init__(self, line: int, *, heading: str | None = None) -> None:
        self.line = line
        self.heading = heading
        self._texts: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        """Take `text` as the next line; once the block is too large, only its size is kept."""
        self._size += len(text) + 1
        if self._size <= MAX_LINE:
            self._texts.append(text)

    def reading(self, file: str) -> Iterator[Reading]:
        """The row that the block is, if it holds any text."""
        content = "\n".join(self._texts).strip("\n").rstrip()
        if self._size > MAX_LINE:
            yield BadLine(file, self.line, f"the text from here on is longer than {MAX_LINE} characters")
        elif content.strip():
            yield RawItem({"content": content}, file, self.line, heading=self.heading)


def read_text(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """A row for each paragraph."""
    block: Block | None = None
    for line in read_lines(stream, file):
        if isinstance(line, BadLine):
            yield line
        elif line.text.strip():
            block = block or Block(line.number)
            block.add(line.text)
        elif block:
            yield from block.reading(file)
            block = None
    if block:
        yield from block.reading(file)

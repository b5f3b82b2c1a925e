"""Read CSV with a header: one row per record. Values stay text; an empty cell is an absent field.

The separator is whichever of comma, semicolon and tab the header has most of.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

from ingest.files.readers.rows import MAX_LINE, BadLine, FileRow, Reading, read_lines

_SEPARATORS = ",;\t"


def read_csv(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """A row for each record after the header."""
    lines = _CsvLines(stream, file)
    first = next(lines, None)
    if first is None:
        yield from lines.take_problems()
        return
    separator = max(_SEPARATORS, key=first.count)
    header = [name.strip() for name in next(csv.reader([first], delimiter=separator))]
    if "" in header or len(set(header)) != len(header):
        yield BadLine(file, 1, "the header must name every column, each once")
        return
    # The csv module's own limit is 131,072 characters a cell for the whole process; a content may have 500,000.
    csv.field_size_limit(MAX_LINE)
    yield from _records(csv.reader(lines, delimiter=separator, strict=True), lines, header)


def _records(reader: Iterator[list[str]], lines: _CsvLines, header: list[str]) -> Iterator[Reading]:
    while True:
        lines.begin_record()
        try:
            cells = next(reader)
        except StopIteration:
            yield from lines.take_problems()
            return
        except csv.Error as error:
            yield from lines.take_problems()
            yield BadLine(lines.file, lines.record, f"is not CSV: {error}")
            continue
        yield from lines.take_problems()
        if any(cells):
            yield _row(cells, header, lines.file, lines.record)


def _row(cells: list[str], header: list[str], file: str, line: int) -> Reading:
    if len(cells) > len(header):
        return BadLine(file, line, f"has {len(cells)} cells, the header has {len(header)}")
    fields = {name: cell for name, cell in zip(header, cells, strict=False) if cell.strip()}
    return FileRow(fields, file, line, textual=True)


class _CsvLines:
    """An iterator of lines for the csv module. record: the line on which the current record begins.

    Unreadable lines are skipped and kept for `take_problems`.
    """

    def __init__(self, stream: BinaryIO, file: str) -> None:
        self.file = file
        self.record = 0
        self._at_start = True
        self._lines = read_lines(stream, file)
        self._problems: list[BadLine] = []

    def __iter__(self) -> _CsvLines:
        return self

    def __next__(self) -> str:
        for line in self._lines:
            if isinstance(line, BadLine):
                self._problems.append(line)
                continue
            if self._at_start:
                self.record, self._at_start = line.number, False
            return line.text + "\n"
        raise StopIteration

    def begin_record(self) -> None:
        """Take the next line as the first of a record."""
        self._at_start = True

    def take_problems(self) -> list[BadLine]:
        """The unreadable lines since the last call."""
        problems, self._problems = self._problems, []
        return problems

"""Read CSV with a header: one row per record. Values stay text; a row has no field for an empty
cell.

The separator is comma, semicolon or tab, whichever occurs most often in the header.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from ingest.files.readers.rows import MAX_LINE, BadLine, FileRow, Reading, read_lines

_SEPARATORS = ",;\t"
_QUOTE = "put cells that have separators or line breaks in quotes"


def read_csv(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """One row for each CSV record after the header, a BadLine for each unreadable one. file: its
    name in reports.
    """
    numbers: list[int] = []
    unreadable: list[BadLine] = []
    lines = _text_lines(stream, file, numbers, unreadable)
    header_line = next((line for line in lines if line.strip()), None)
    if header_line is None:
        yield from unreadable
        return
    separator = max(_SEPARATORS, key=header_line.count)
    header = _header(header_line, separator)
    if isinstance(header, str):
        yield BadLine(file, numbers[-1], header)
        return
    # The csv module's own limit is 131,072 characters a cell for the whole process; a content may
    # have 500,000.
    csv.field_size_limit(MAX_LINE)
    records = csv.reader(lines, delimiter=separator, strict=True)
    cells: list[str] | None = header
    while cells is not None:
        numbers.clear()
        readings: list[Reading] = []
        try:
            cells = next(records, None)
            if cells and len(cells) > len(header) and any(cells):
                reason = f"has {len(cells)} cells, the header has {len(header)}; {_QUOTE}"
                readings.append(BadLine(file, numbers[0], reason))
            elif cells and any(cells):
                fields = {
                    name: cell for name, cell in zip(header, cells, strict=False) if cell.strip()
                }
                readings.append(FileRow(fields, file, numbers[0], textual=True))
        except csv.Error as error:
            readings.append(BadLine(file, numbers[0], f"is not CSV: {error}; {_QUOTE}"))
        yield from unreadable
        yield from readings
        unreadable.clear()


def _header(line: str, separator: str) -> list[str] | str:
    """The column names in the header `line`; an error message instead if the header is invalid."""
    if "\r" in line:
        return "the lines end with a carriage return alone; save the file with line feeds"
    names = [name.strip() for name in next(csv.reader([line], delimiter=separator))]
    if "" in names:
        return (
            f"the header must name every column; column {names.index('') + 1} of "
            f"{len(names)} has no name"
        )
    name, count = Counter(names).most_common(1)[0]
    return (
        names
        if count == 1
        else f"the header must name every column once; {name:.50} stands there {count} times"
    )


def _text_lines(
    stream: BinaryIO, file: str, numbers: list[int], unreadable: list[BadLine]
) -> Iterator[str]:
    """Yield readable lines and append their numbers to `numbers`; append the other lines to
    `unreadable`.
    """
    for line in read_lines(stream, file):
        if isinstance(line, BadLine):
            unreadable.append(line)
        else:
            numbers.append(line.number)
            yield line.text + "\n"

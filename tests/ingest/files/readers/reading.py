"""Helpers that run a file reader over a text."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

from ingest.files.readers.rows import BadLine, FileRow, Reader, Reading
from ingest.files.row_to_item import RowOptions, to_item


def read(reader: Reader, data: str | bytes) -> list[Reading]:
    """All rows and bad lines that the reader returns for the data."""
    raw = data.encode() if isinstance(data, str) else data
    return list(reader(io.BytesIO(raw), "f"))


def rows(reader: Reader, data: str | bytes) -> list[tuple[int, dict[str, Any]]]:
    """The line number and fields of each row that the reader returns. Fails if there is a bad
    line.
    """
    readings = read(reader, data)
    assert all(isinstance(reading, FileRow) for reading in readings), readings
    return [(reading.line, reading.fields) for reading in readings if isinstance(reading, FileRow)]


def bad(reader: Reader, data: str | bytes) -> list[tuple[int | None, str]]:
    """The number and reason of each bad line. The number is None if the whole file is bad."""
    return [
        (reading.line, reading.reason)
        for reading in read(reader, data)
        if isinstance(reading, BadLine)
    ]


def read_items(reader: Reader, data: Any) -> tuple[list[dict[str, Any]], list[BadLine]]:
    """The import items and the bad lines that the reader finds in `data`: a text, or a value to be
    written as JSON.
    """
    readings = read(reader, data if isinstance(data, str) else json.dumps(data, indent=1))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    items = [
        to_item(reading, RowOptions(), now) for reading in readings if isinstance(reading, FileRow)
    ]
    return items, [reading for reading in readings if isinstance(reading, BadLine)]

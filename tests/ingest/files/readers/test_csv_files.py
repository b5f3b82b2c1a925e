"""The reader of CSV files."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.readers.csv_files import read_csv
from ingest.files.readers.rows import BadLine
from tests.ingest.files.readers.reading import bad, read, rows


def test_csv_has_one_row_per_record() -> None:
    """Each CSV record becomes a row with the number of its first line.

    Quoted cells may have separators and line breaks; empty cells are left out.
    """
    text = 'content,tags\n"a, b\nc",x\n,\nlast,\n'
    assert rows(read_csv, text) == [
        (2, {"content": "a, b\nc", "tags": "x"}),
        (5, {"content": "last"}),
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_detected_from_the_header(separator: str) -> None:
    """The separator (comma, semicolon or tab) is detected from the header line."""
    assert rows(read_csv, f"content{separator}type\nx{separator}semantic\n") == [
        (2, {"content": "x", "type": "semantic"})
    ]


def test_bad_records_are_reported_and_the_rest_is_read() -> None:
    """A record with too many cells, broken quoting or invalid UTF-8 is reported. The other records
    are read.
    """
    content = b'content,type\na,b,c\nok,x\n"q"r,x\n\xff,x\nlast,x\n'
    readings = read(read_csv, content)
    assert [reading.line for reading in readings] == [2, 3, 4, 5, 6]
    reasons = [reading.reason for reading in readings if isinstance(reading, BadLine)]
    assert reasons[0].startswith("has 3 cells, the header has 2; ")
    assert reasons[1].startswith("is not CSV: ")
    assert reasons[2] == "is not UTF-8 (byte 1 of the line); convert the file"


def test_headers_must_name_each_column_once() -> None:
    """A header with an empty or repeated column name is reported as an error, as is a file in
    UTF-16.

    An empty file has no rows.
    """
    assert bad(read_csv, "a,\nx,y\n") == [
        (1, "the header must name every column; column 2 of 2 has no name")
    ]
    assert bad(read_csv, "\na,b,a\nx,y,z\n") == [
        (2, "the header must name every column once; a stands there 2 times")
    ]
    assert read(read_csv, "") == []
    assert bad(read_csv, "a,b".encode("utf-16")) == [(None, "is UTF-16 text; convert it to UTF-8")]


def test_the_header_may_follow_blank_lines() -> None:
    """Blank lines before the header, as spreadsheets write them, are skipped.

    If lines end with a carriage return alone, the error says how to save the file.
    """
    assert rows(read_csv, "\n \ncontent,type\nx,semantic\n") == [
        (4, {"content": "x", "type": "semantic"})
    ]
    reason = "the lines end with a carriage return alone; save the file with line feeds"
    assert bad(read_csv, "content,type\rx,semantic\r") == [(1, reason)]


def test_a_cell_may_be_longer_than_the_limit_of_the_csv_module() -> None:
    """A cell of 400,000 characters is read, although the default limit of Python's csv module is
    lower.
    """
    assert rows(read_csv, "content\n" + "x" * 400_000 + "\n")[0][1] == {"content": "x" * 400_000}


cells = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\n"), min_size=1
).filter(str.strip)


@given(st.lists(st.tuples(cells, cells), max_size=8))
def test_csv_round_trips(records: list[tuple[str, str]]) -> None:
    """Rows written by Python's csv module are read back unchanged."""
    out = io.StringIO()
    csv.writer(out).writerows([("content", "other"), *records])
    assert [fields for _, fields in rows(read_csv, out.getvalue())] == [
        {"content": a, "other": b} for a, b in records
    ]

"""Reading the lines of text files with bounded memory."""

from __future__ import annotations

import io

import pytest

from ingest.files.readers.rows import MAX_LINE, BadLine, TextLine, read_lines, read_utf8


def test_lines_have_numbers_and_no_line_breaks() -> None:
    """A byte order mark and Windows line ends are removed. Blank lines count for the line
    numbers.
    """
    lines = list(read_lines(io.BytesIO(b"\xef\xbb\xbfa\r\n\nb"), "f"))
    assert lines == [TextLine(1, "a"), TextLine(2, ""), TextLine(3, "b")]


def test_a_too_long_line_is_skipped() -> None:
    lines = list(read_lines(io.BytesIO(b"x" * (2 * MAX_LINE) + b"\nnext"), "f"))
    assert lines == [
        BadLine("f", 1, f"the line is longer than {MAX_LINE} bytes; split it"),
        TextLine(2, "next"),
    ]


def test_utf16_is_recognised() -> None:
    """A UTF-16 file is reported once, with the advice to convert it."""
    assert list(read_lines(io.BytesIO("a\nb".encode("utf-16")), "f")) == [
        BadLine("f", None, "is UTF-16 text; convert it to UTF-8")
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbfabc", "abc"),
        (b"abcde", BadLine("f", None, "is larger than 4 bytes; split it")),
        (b"a\n\xff", BadLine("f", 2, "is not UTF-8; convert the file")),
    ],
)
def test_a_whole_file_is_read_up_to_a_limit(data: bytes, expected: str | BadLine) -> None:
    """A file that is larger than the limit, or has invalid UTF-8, is one bad line."""
    limit = 6 if data.startswith(b"\xef") else 4
    assert read_utf8(io.BytesIO(data), "f", limit, "; split it") == expected


def test_a_utf16_file_that_is_read_whole_is_reported_with_advice() -> None:
    """A UTF-16 file of a format that is read whole, such as JSON, is one bad line with the advice
    to convert it.
    """
    reason = "is UTF-16 text; convert it to UTF-8"
    assert read_utf8(io.BytesIO("[]".encode("utf-16")), "f", 100, "") == BadLine("f", None, reason)

"""The readers of JSON and JSON Lines files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.readers.json_files import read_json, read_jsonl
from ingest.files.readers.rows import MAX_LINE, BadLine, FileRow
from tests.ingest.files.readers.reading import bad, read, rows


def test_json_lines_have_one_row_per_line() -> None:
    """Blank lines and a byte order mark are skipped; Windows line ends are accepted."""
    assert rows(read_jsonl, b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}') == [
        (1, {"a": 1}),
        (4, {"a": 2}),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is not JSON: Expecting property name enclosed in double quotes at character 2"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[1]", "must be a JSON object, is a list"),
        ('"x"', "must be a JSON object, is a text"),
        ("null", "must be a JSON object, is null"),
        ("true", "must be a JSON object, is true or false"),
        ("1.5", "must be a JSON object, is a number"),
        ('{"a": 1} x', "has text after the JSON value, from character 10 on"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a": ' + "9" * 5_000 + "}", "is JSON that cannot be stored"),
    ],
)
def test_a_bad_json_line_is_reported_and_the_rest_is_read(line: str, reason: str) -> None:
    """A bad line is reported with its number, and the other lines become rows."""
    readings = read(read_jsonl, f'{{"a": 1}}\n{line}\n{{"a": 3}}\n')
    assert [reading.line for reading in readings] == [1, 2, 3]
    assert isinstance(readings[1], BadLine)
    assert readings[1].reason.startswith(reason)


def test_invalid_utf8_affects_its_line_only() -> None:
    """A line with invalid UTF-8 is reported with the position of the invalid byte. The other lines
    are read.
    """
    assert bad(read_jsonl, b'{"a": 1}\n{"a": "\xff"}\n{"a": 3}') == [
        (2, "is not UTF-8 (byte 8 of the line); convert the file")
    ]
    assert bad(read_jsonl, '{"a": 1}'.encode("utf-16")) == [
        (None, "is UTF-16 text; convert it to UTF-8")
    ]


def test_a_too_long_line_is_skipped() -> None:
    readings = read(read_jsonl, b'{"a": "' + b"x" * (2 * MAX_LINE) + b'"}\n{"a": 2}\n')
    assert readings[0] == BadLine("f", 1, f"the line is longer than {MAX_LINE} bytes; split it")
    assert readings[1] == FileRow({"a": 2}, "f", 2)


@pytest.mark.parametrize(
    "form",
    ['[{"a": 1},\n {"a": 2}]', '{"v": {"x": [1]},\n"memories": [\n{"a": 1},\n{"a": 2}], "n": 1}'],
)
def test_json_may_be_a_list_or_an_object_with_a_list(form: str) -> None:
    """Each object in the list becomes a row, whether the list is the whole file or a member of an
    object.
    """
    assert [fields for _, fields in rows(read_json, form)] == [{"a": 1}, {"a": 2}]


def test_json_rows_have_the_line_on_which_they_begin() -> None:
    assert rows(read_json, '{"items": [\n{"a":\n1},\n\n{"a": 2}]}') == [
        (2, {"a": 1}),
        (5, {"a": 2}),
    ]


def test_a_single_json_object_is_one_row() -> None:
    """A file with one object that has no list of memories becomes one row."""
    assert rows(read_json, ' {"content": "x", "tags": ["a"]}\n') == [
        (1, {"content": "x", "tags": ["a"]})
    ]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('[{"a": 1},\n{"a": }]', 2, "is not JSON: Expecting value"),
        ('[{"a": 1}\n{"a": 2}]', 2, "is not JSON: , expected, { found"),
        ('[{"a": 1},\n]', 2, "is not JSON: a comma before ]"),
        ('[{"a": 1}', 1, "is not JSON: , expected, the end found"),
        ('[{"a": 1}] x', 1, "has text after the JSON value"),
        ('{"memories": [{"a": 1}], 5: 6}', 1, "is not JSON: a name must be text"),
    ],
)
def test_rows_before_a_syntax_error_are_read(text: str, line: int, reason: str) -> None:
    readings = read(read_json, text)
    assert readings[0] == FileRow({"a": 1}, "f", 1)
    assert isinstance(readings[-1], BadLine)
    assert readings[-1].line == line
    assert readings[-1].reason.startswith(reason)
    assert readings[-1].reason.endswith("; nothing after it was read")


def test_json_without_objects_is_reported() -> None:
    """A scalar, an empty file and invalid UTF-8 are errors. A list member that is no object is one
    bad line.
    """
    assert bad(read_json, "5") == [(1, 'must be a list, or an object with "memories" or "items"')]
    assert bad(read_json, "") == [(1, 'must be a list, or an object with "memories" or "items"')]
    assert bad(read_json, b"[\n\xff]") == [(2, "is not UTF-8; convert the file")]
    assert read(read_json, '["x", {"a": 1}]')[0] == BadLine(
        "f", 1, "must be a JSON object, is a text"
    )


objects = st.lists(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=8), max_size=3),
    max_size=8,
)


@given(objects, st.sampled_from([None, 0, 3]))
def test_json_and_json_lines_round_trip(values: list[dict[str, Any]], indent: int | None) -> None:
    """Objects written as JSON or JSON Lines are read back unchanged, whatever the indentation."""
    text = json.dumps({"n": {"x": 1}, "memories": values}, indent=indent)
    assert [fields for _, fields in rows(read_json, text)] == values
    assert [fields for _, fields in rows(read_jsonl, "\n".join(map(json.dumps, values)))] == values

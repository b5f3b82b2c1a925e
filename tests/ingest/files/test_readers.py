"""Files in, rows out."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.readers.csvfile import read_csv
from ingest.files.readers.formats import READERS, Format
from ingest.files.readers.jsonfile import read_json
from ingest.files.readers.jsonl import read_jsonl
from ingest.files.readers.lines import MAX_LINE
from ingest.files.readers.markdown import read_markdown
from ingest.files.readers.plaintext import read_text
from ingest.files.readers.rows import BadLine, RawItem, Reader, Reading


def read(reader: Reader, data: str | bytes) -> list[Reading]:
    """Everything that `reader` finds."""
    raw = data.encode() if isinstance(data, str) else data
    return list(reader(io.BytesIO(raw), "f"))


def rows(reader: Reader, data: str | bytes) -> list[tuple[int, dict[str, Any]]]:
    """Lines and fields, where all is well."""
    found = read(reader, data)
    assert all(isinstance(reading, RawItem) for reading in found), found
    return [(reading.line, reading.fields) for reading in found if isinstance(reading, RawItem)]


def bad(reader: Reader, data: str | bytes) -> list[tuple[int | None, str]]:
    """Lines and reasons of what is not."""
    return [(reading.line, reading.reason) for reading in read(reader, data) if isinstance(reading, BadLine)]


# JSON Lines


def test_json_lines_have_a_row_a_line() -> None:
    """Blank lines and a byte order mark are passed over; Windows line ends are fine."""
    assert rows(read_jsonl, b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}') == [(1, {"a": 1}), (4, {"a": 2})]


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
def test_a_bad_line_is_reported_and_the_rest_is_read(line: str, reason: str) -> None:
    """What is wrong is told with its line, and the lines around it are rows."""
    found = read(read_jsonl, f'{{"a": 1}}\n{line}\n{{"a": 3}}\n')
    assert [reading.line for reading in found] == [1, 2, 3]
    assert isinstance(found[1], BadLine)
    assert found[1].reason.startswith(reason)


def test_bytes_that_are_not_utf8_spoil_their_line_only() -> None:
    """The byte's place is told."""
    assert bad(read_jsonl, b'{"a": 1}\n{"a": "\xff"}\n{"a": 3}') == [(2, "is not UTF-8 (byte 8 of the line)")]
    assert bad(read_jsonl, '{"a": 1}'.encode("utf-16")) == [(None, "is UTF-16 text; convert it to UTF-8")]


def test_a_line_too_long_is_passed_over_in_bounded_memory() -> None:
    """The line after it is read, under its right number."""
    found = read(read_jsonl, b'{"a": "' + b"x" * (2 * MAX_LINE) + b'"}\n{"a": 2}\n')
    assert found[0] == BadLine("f", 1, f"the line is longer than {MAX_LINE} bytes")
    assert found[1] == RawItem({"a": 2}, "f", 2)


# JSON


@pytest.mark.parametrize(
    "form", ['[{"a": 1},\n {"a": 2}]', '{"v": {"x": [1]},\n"memories": [\n{"a": 1},\n{"a": 2}], "n": 1}']
)
def test_json_is_a_list_or_an_object_around_one(form: str) -> None:
    """Each object of the list is a row, with the line on which it begins."""
    assert [fields for _, fields in rows(read_json, form)] == [{"a": 1}, {"a": 2}]


def test_json_rows_have_their_lines() -> None:
    """Lines are counted through values that span several."""
    assert rows(read_json, '{"items": [\n{"a":\n1},\n\n{"a": 2}]}') == [(2, {"a": 1}), (5, {"a": 2})]


def test_one_json_object_is_one_row() -> None:
    """An object without a list of memories is a memory itself."""
    assert rows(read_json, ' {"content": "x", "tags": ["a"]}\n') == [(1, {"content": "x", "tags": ["a"]})]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('[{"a": 1},\n{"a": }]', 2, "is not JSON: Expecting value"),
        ('[{"a": 1}\n{"a": 2}]', 2, "is not JSON: , expected, { found"),
        ('[{"a": 1},\n]', 2, "is not JSON: a comma before ]"),
        ('[{"a": 1}', 1, "is not JSON: , expected, the end found"),
        ('[{"a": 1}] x', 1, "has more after the JSON value"),
        ('{"memories": [{"a": 1}], 5: 6}', 1, "is not JSON: a name must be text"),
    ],
)
def test_rows_before_a_broken_place_are_read(text: str, line: int, reason: str) -> None:
    """The broken place is told with its line, and that nothing after it was read."""
    found = read(read_json, text)
    assert found[0] == RawItem({"a": 1}, "f", 1)
    assert isinstance(found[-1], BadLine)
    assert found[-1].line == line
    assert found[-1].reason.startswith(reason)
    assert found[-1].reason.endswith("; nothing after it was read")


def test_json_that_is_no_list() -> None:
    """Scalars, an empty file and foreign bytes are told as such; a member that is no object spoils only itself."""
    assert bad(read_json, "5") == [(1, 'must be a list, or an object with "memories" or "items"')]
    assert bad(read_json, "") == [(1, 'must be a list, or an object with "memories" or "items"')]
    assert bad(read_json, b"[\n\xff]") == [(2, "is not UTF-8")]
    assert read(read_json, '["x", {"a": 1}]')[0] == BadLine("f", 1, "must be a JSON object, is a text")


objects = st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=8), max_size=3), max_size=8)


@given(objects, st.sampled_from([None, 0, 3]))
def test_json_and_json_lines_read_what_was_written(values: list[dict[str, Any]], indent: int | None) -> None:
    """However it is laid out, JSON gives back its objects, and so do JSON Lines."""
    whole = json.dumps({"n": {"x": 1}, "memories": values}, indent=indent)
    assert [fields for _, fields in rows(read_json, whole)] == values
    assert [fields for _, fields in rows(read_jsonl, "\n".join(map(json.dumps, values)))] == values


# CSV


def test_csv_has_a_row_a_record() -> None:
    """Quoted cells may hold separators and line breaks; the line is the record's first; empty cells are absent."""
    text = 'content,tags\n"a, b\nc",x\n,\nlast,\n'
    assert rows(read_csv, text) == [(2, {"content": "a, b\nc", "tags": "x"}), (5, {"content": "last"})]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_separators_are_told_by_the_header(separator: str) -> None:
    """Comma, semicolon and tab all work."""
    assert rows(read_csv, f"content{separator}type\nx{separator}semantic\n") == [
        (2, {"content": "x", "type": "semantic"})
    ]


def test_csv_bad_records_are_reported() -> None:
    """Too many cells, broken quoting and foreign bytes spoil their record only."""
    data = b'content,type\na,b,c\nok,x\n"q"r,x\n\xff,x\nlast,x\n'
    found = read(read_csv, data)
    assert [reading.line for reading in found] == [2, 3, 4, 5, 6]
    reasons = [reading.reason for reading in found if isinstance(reading, BadLine)]
    assert reasons[0] == "has 3 cells, the header has 2"
    assert reasons[1].startswith("is not CSV: ")
    assert reasons[2] == "is not UTF-8 (byte 1 of the line)"


def test_csv_headers_must_name_each_column_once() -> None:
    """An empty or doubled name is told; an empty file has no rows; a foreign one says so."""
    message = "the header must name every column, each once"
    assert bad(read_csv, "a,\nx,y\n") == [(1, message)]
    assert bad(read_csv, "a,a\nx,y\n") == [(1, message)]
    assert read(read_csv, "") == []
    assert bad(read_csv, "a,b".encode("utf-16")) == [(None, "is UTF-16 text; convert it to UTF-8")]


def test_csv_cells_may_be_as_long_as_a_memory() -> None:
    """The csv module's own limit does not apply."""
    assert rows(read_csv, "content\n" + "x" * 400_000 + "\n")[0][1] == {"content": "x" * 400_000}


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\n"), min_size=1).filter(str.strip)


@given(st.lists(st.tuples(cells, cells), max_size=8))
def test_csv_reads_what_was_written(records: list[tuple[str, str]]) -> None:
    """What Python's csv module writes comes back."""
    out = io.StringIO()
    csv.writer(out).writerows([("content", "other"), *records])
    assert [fields for _, fields in rows(read_csv, out.getvalue())] == [{"content": a, "other": b} for a, b in records]


# Markdown and text

MARKDOWN = """---
type: semantic
tags:
  - ops
  - "db"
note: 'quoted'
---
Before any heading.

# Deploy
Run it.

```sh
# no heading
```
## Roll back ##
### Empty
# Last
The end.
"""


def test_markdown_has_a_row_a_section() -> None:
    """Headings are joined with those above them; fenced blocks are text; front matter goes to every section."""
    found = [reading for reading in read(read_markdown, MARKDOWN) if isinstance(reading, RawItem)]
    assert [(reading.line, reading.heading) for reading in found] == [(8, None), (10, "Deploy"), (18, "Last")]
    assert found[1].fields["content"] == "Run it.\n\n```sh\n# no heading\n```"
    assert all(
        {name: value for name, value in reading.fields.items() if name != "content"}
        == {"type": "semantic", "tags": ["ops", "db"], "note": "quoted"}
        for reading in found
    )


def test_markdown_headings_nest() -> None:
    """A section is named by its path, and a higher heading ends the ones below it."""
    text = "# A\n## B\nb\n### C\nc\n## D\nd\n# E\ne\n"
    found = [reading for reading in read(read_markdown, text) if isinstance(reading, RawItem)]
    assert [reading.heading for reading in found] == ["A > B", "A > B > C", "A > D", "E"]


@pytest.mark.parametrize("text", ["---\nno end\n", "---\n" + "a: b\n" * 300, "text\n---\na: b\n---\n", "#no blank\n"])
def test_markdown_that_only_looks_like_structure_is_text(text: str) -> None:
    """A rule is no front matter without its end, and a hash without a blank is no heading."""
    assert [fields["content"] for _, fields in rows(read_markdown, text)] == [text.rstrip("\n")]


def test_markdown_reports_foreign_bytes() -> None:
    """A line that is not UTF-8 is told and left out."""
    assert bad(read_markdown, b"# A\n\xff\ntext\n") == [(2, "is not UTF-8 (byte 1 of the line)")]
    assert bad(read_markdown, b"\xff\ntext\n") == [(1, "is not UTF-8 (byte 1 of the line)")]


def test_text_has_a_row_a_paragraph() -> None:
    """Paragraphs end at blank lines, whatever their number; line breaks within stay."""
    assert rows(read_text, "\na\nb\n\n \n\nc") == [(2, {"content": "a\nb"}), (7, {"content": "c"})]
    assert bad(read_text, b"a\n\xff\n") == [(2, "is not UTF-8 (byte 1 of the line)")]


def test_a_text_without_end_is_passed_over() -> None:
    """A paragraph that is too long is told once, and what follows is read."""
    long = b"".join(b"x" * 1_000_000 + b"\n" for _ in range(9))
    found = read(read_text, long + b"\nnext\n")
    assert found[0] == BadLine("f", 1, f"the text from here on is longer than {MAX_LINE} characters")
    assert found[1] == RawItem({"content": "next"}, "f", 11)


@given(st.binary(max_size=200), st.sampled_from(list(Format)))
def test_no_bytes_break_a_reader(data: bytes, form: Format) -> None:
    """Whatever the bytes, a reader gives rows and reasons and raises nothing."""
    for reading in READERS[form](io.BytesIO(data), "f"):
        assert reading.file == "f"

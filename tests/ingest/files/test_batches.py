"""Cutting the rows of an import file into batches."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.readers.rows import BadLine, FileRow, Reading
from ingest.files.readers.sources import Format, SourceFile
from ingest.files.row_to_item import RowOptions
from ingest.files.run import BATCH_ROWS, open_readings, read_batches
from memtypes.model.policy import MemoryType
from tests.ingest.doubles import NOW

FACTS = RowOptions(type=MemoryType.SEMANTIC)


def readings_of(rows: int, bad: int | None = None) -> Iterator[Reading]:
    """The rows that a reader returns for a file of `rows` rows. Row number `bad`, if given, is a
    bad line.
    """
    readings: list[Reading] = [
        BadLine("f", row, "broken") if row == bad else FileRow({"content": f"row {row}"}, "f", row)
        for row in range(rows)
    ]
    return iter(readings)


def test_a_batch_has_a_limited_number_of_rows() -> None:
    batches = read_batches(readings_of(BATCH_ROWS + 3), FACTS, lambda: NOW)
    assert [(batch.first, batch.end) for batch in batches] == [
        (0, BATCH_ROWS),
        (BATCH_ROWS, BATCH_ROWS + 3),
    ]


@pytest.mark.parametrize(("finished", "expected"), [({0, 1}, [(2, 5)]), ({1}, [(0, 1), (2, 5)])])
def test_finished_rows_are_skipped(finished: set[int], expected: list[tuple[int, int]]) -> None:
    """Rows that the import's journal lists as finished are in no batch.

    A batch ends before them, and the next batch begins after them.
    """
    batches = read_batches(readings_of(5), FACTS, lambda: NOW, finished)
    assert [(batch.first, batch.end) for batch in batches] == expected


@given(st.sets(st.integers(0, 30)))
def test_batches_cover_the_rows_that_are_not_finished(finished: set[int]) -> None:
    batches = [
        (batch.first, batch.end)
        for batch in read_batches(readings_of(31), FACTS, lambda: NOW, finished)
    ]
    assert [row for first, end in batches for row in range(first, end)] == sorted(
        set(range(31)) - finished
    )
    assert all(before[1] < after[0] for before, after in pairwise(batches))


def test_a_strict_batch_ends_at_a_bad_row() -> None:
    batch = next(read_batches(readings_of(5, bad=2), FACTS, lambda: NOW, strict=True))
    assert (batch.end, len(batch.items), batch.problems[0].line) == (3, 2, 2)


def test_reasons_do_not_quote_secrets() -> None:
    """If the reason for a bad row quotes a secret from the row, the secret is redacted."""
    readings = iter([BadLine("f", 1, "unknown field ann@example.org")])
    (batch,) = read_batches(readings, FACTS, lambda: NOW)
    assert "ann@example.org" not in batch.problems[0].reason


def test_a_file_that_disappeared_is_one_bad_line(tmp_path: Path) -> None:
    """A file that can no longer be opened is reported as one bad row without a line number."""
    with open_readings(SourceFile(tmp_path / "gone", "gone", Format.TEXT, 1), None) as (
        readings,
        _,
    ):
        assert list(readings) == [BadLine("gone", None, "can't be read: No such file or directory")]


def test_standard_input_that_cannot_be_read_is_one_bad_line(tmp_path: Path) -> None:
    """If reading standard input fails, as when it is open for writing only, one bad row says so."""
    stdin = os.fdopen(os.open(tmp_path / "f", os.O_WRONLY | os.O_CREAT), "rb")
    with stdin, open_readings(SourceFile(None, "-", Format.TEXT, None), stdin) as (readings, _):
        assert list(readings) == [BadLine("-", None, "can't be read: Bad file descriptor")]


def test_standard_input_is_read_from_the_stream() -> None:
    """Rows from standard input have `-` as the name of their file."""
    with open_readings(SourceFile(None, "-", Format.TEXT, None), io.BytesIO(b"text")) as (
        readings,
        _,
    ):
        assert list(readings) == [FileRow({"content": "text"}, "-", 1)]

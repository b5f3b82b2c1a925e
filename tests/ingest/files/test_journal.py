"""How far an import has come."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.journal import Journal, Piece, file_identity, spans
from ingest.files.readers.formats import Format
from ingest.files.readers.sources import SourceFile
from ingest.files.report import Problem
from ingest.writing.outcome import WriteStatus
from memtypes.model.errors import InvalidRequest

FIRST = Piece(
    "a", 0, 2, {WriteStatus.STORED: 1, WriteStatus.REJECTED: 1}, (Problem("f", 2, WriteStatus.REJECTED, "no"),)
)
SECOND = Piece("b", 0, 5, {WriteStatus.MERGED: 5})


def test_pieces_are_there_when_it_is_opened_again(tmp_path: Path) -> None:
    """Each piece comes back whole, for its file and its import only."""
    journal = Journal.open(tmp_path / "deep" / "journal", ["import"])
    journal.add(FIRST)
    journal.add(SECOND)
    again = Journal.open(tmp_path / "deep" / "journal", ["import"])
    assert again.finished("a") == [FIRST]
    assert again.finished("b") == [SECOND]
    assert again.finished(None) == []
    assert Journal.open(tmp_path / "deep" / "journal", ["other"]).pieces == []


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    """After a death in the middle of a line the pieces before it count, and the next one is whole."""
    journal = Journal.open(tmp_path, ["import"])
    journal.add(FIRST)
    journal.add(SECOND)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal.open(tmp_path, ["import"])
    assert again.pieces == [FIRST]
    again.add(SECOND)
    assert Journal.open(tmp_path, ["import"]).pieces == [FIRST, SECOND]


def test_a_damaged_line_is_passed_over(tmp_path: Path) -> None:
    """Its rows are sent again; the other pieces count."""
    journal = Journal.open(tmp_path, ["import"])
    journal.add(FIRST)
    path = next(tmp_path.iterdir())
    path.write_bytes(b'\xff{}\n{"file": "a"}\n[]\n5\n{"counts": 5}\n' + path.read_bytes())
    assert Journal.open(tmp_path, ["import"]).pieces == [FIRST]


def test_it_is_gone_after_an_import_that_ended_well(tmp_path: Path) -> None:
    """A complete import leaves nothing; another one leaves its journal."""
    journal = Journal.open(tmp_path, ["import"])
    journal.add(FIRST)
    journal.close(complete=False)
    assert len(list(tmp_path.iterdir())) == 1
    journal.close(complete=True)
    assert list(tmp_path.iterdir()) == []


def test_without_a_directory_nothing_is_kept() -> None:
    """An import may do without."""
    journal = Journal.open(None, ["import"])
    journal.add(FIRST)
    journal.close(complete=True)
    assert journal.pieces == [FIRST]


def test_a_place_that_can_not_be_used_is_refused(tmp_path: Path) -> None:
    """A file where the directory should be, and a journal that is a folder, are told in one sentence."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidRequest, match="can't be used: Not a directory") as refused:
        Journal.open(tmp_path / "file" / "journal", ["import"])
    assert refused.value.path == "journal"
    journal = Journal.open(tmp_path, ["import"])
    assert journal.path is not None
    journal.path.mkdir()
    with pytest.raises(InvalidRequest, match="can't be used: Is a directory"):
        journal.add(FIRST)


def test_a_changed_file_is_another_file(tmp_path: Path) -> None:
    """Path, size, time of change and beginning all count; a pipe has no identity."""
    path = tmp_path / "f"

    def identity(text: str, at: int) -> str | None:
        path.write_text(text)
        os.utime(path, ns=(at, at))
        return file_identity(SourceFile(path, "f", Format.TEXT, None))

    assert identity("abc", 1) == identity("abc", 1)
    assert len({identity("abc", 1), identity("abd", 1), identity("abcd", 1), identity("abc", 2)}) == 4
    assert file_identity(SourceFile(None, "-", Format.TEXT, None)) is None
    assert file_identity(SourceFile(tmp_path, "dir", Format.TEXT, None)) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), max_size=8))
def test_spans_hold_the_same_rows_as_their_pieces(pieces: list[tuple[int, int]]) -> None:
    """Joining loses no row and adds none, and what is left lies apart."""
    found = spans([Piece("a", first, first + length, {}) for first, length in pieces])
    rows = {row for first, length in pieces for row in range(first, first + length)}
    assert {row for first, end in found for row in range(first, end)} == rows
    assert all(before[1] < after[0] for before, after in pairwise(found))

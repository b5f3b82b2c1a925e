"""The journal of a file import, which lists the rows that are finished."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingest.files.journal import FinishedRows, ImportJournal, file_identity
from ingest.files.readers.sources import Format, SourceFile
from ingest.files.report import RowProblem
from ingest.writing.outcome import WriteStatus
from memtypes.model.errors import InvalidRequest

FIRST = FinishedRows(
    "a",
    0,
    2,
    {WriteStatus.STORED: 1, WriteStatus.REJECTED: 1},
    (RowProblem("f", 2, WriteStatus.REJECTED, "no"),),
)
SECOND = FinishedRows("b", 0, 5, {WriteStatus.MERGED: 5})


def test_entries_survive_reopening(tmp_path: Path) -> None:
    """A journal of finished rows that is opened again has its entries by file. Another import's
    journal lacks them.
    """
    journal = ImportJournal.open(tmp_path / "deep" / "journal", ["import"])
    journal.add(FIRST)
    journal.add(SECOND)
    reopened = ImportJournal.open(tmp_path / "deep" / "journal", ["import"])
    assert reopened.finished("a") == [FIRST]
    assert reopened.finished("b") == [SECOND]
    assert reopened.finished(None) == []
    assert ImportJournal.open(tmp_path / "deep" / "journal", ["other"]).entries == []


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_an_incomplete_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    """If the journal's last line is incomplete, earlier entries are read, and the next entry begins
    on a new line.
    """
    journal = ImportJournal.open(tmp_path, ["import"])
    journal.add(FIRST)
    journal.add(SECOND)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-cut])
    reopened = ImportJournal.open(tmp_path, ["import"])
    assert reopened.entries == [FIRST]
    reopened.add(SECOND)
    assert ImportJournal.open(tmp_path, ["import"]).entries == [FIRST, SECOND]


def test_a_damaged_line_is_ignored(tmp_path: Path) -> None:
    journal = ImportJournal.open(tmp_path, ["import"])
    journal.add(FIRST)
    path = next(tmp_path.iterdir())
    path.write_bytes(b'\xff{}\n{"file": "a"}\n[]\n5\n{"counts": 5}\n' + path.read_bytes())
    assert ImportJournal.open(tmp_path, ["import"]).entries == [FIRST]


def test_a_complete_import_deletes_its_journal(tmp_path: Path) -> None:
    journal = ImportJournal.open(tmp_path, ["import"])
    journal.add(FIRST)
    journal.close(complete=False)
    assert len(list(tmp_path.iterdir())) == 1
    journal.close(complete=True)
    assert list(tmp_path.iterdir()) == []


def test_without_a_directory_nothing_is_written() -> None:
    """Without a directory the journal keeps its entries in memory only."""
    journal = ImportJournal.open(None, ["import"])
    journal.add(FIRST)
    journal.close(complete=True)
    assert journal.entries == [FIRST]


def test_an_unusable_directory_is_refused(tmp_path: Path) -> None:
    """A file in place of the journal's directory, or a folder in place of its file, raises
    InvalidRequest.
    """
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidRequest, match="can't be used: Not a directory") as refused:
        ImportJournal.open(tmp_path / "file" / "journal", ["import"])
    assert refused.value.path == "journal"
    journal = ImportJournal.open(tmp_path, ["import"])
    assert journal.path is not None
    journal.path.mkdir()
    with pytest.raises(InvalidRequest, match="can't be used: Is a directory"):
        journal.add(FIRST)


def test_file_identity_changes_with_the_file(tmp_path: Path) -> None:
    """A file's identity depends on its size, modification time and first bytes. A pipe and a folder
    have none.
    """
    path = tmp_path / "f"

    def identity(text: str, at: int) -> str | None:
        path.write_text(text)
        os.utime(path, ns=(at, at))
        return file_identity(SourceFile(path, "f", Format.TEXT, None))

    assert identity("abc", 1) == identity("abc", 1)
    assert (
        len({identity("abc", 1), identity("abd", 1), identity("abcd", 1), identity("abc", 2)}) == 4
    )
    assert file_identity(SourceFile(None, "-", Format.TEXT, None)) is None
    assert file_identity(SourceFile(tmp_path, "dir", Format.TEXT, None)) is None

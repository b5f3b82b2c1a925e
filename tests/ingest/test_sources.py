"""What the given paths stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.files.feed import open_readings
from ingest.files.readers.formats import Format
from ingest.files.readers.rows import BadLine
from ingest.files.readers.sources import SourceFile, find_sources
from memtypes.model.errors import InvalidRequest


def test_folders_are_read_through_in_order(tmp_path: Path) -> None:
    """Sorted, without hidden entries; what no reader is known for is told; sizes are summed."""
    for name in ("b.md", "a/z.jsonl", "a/.hidden.md", ".git/x.md", "c.png", "D.TXT"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("1234")
    found = find_sources((str(tmp_path),), None)
    assert [Path(file.name).relative_to(tmp_path).as_posix() for file in found.files] == ["D.TXT", "a/z.jsonl", "b.md"]
    assert [file.format for file in found.files] == [Format.TEXT, Format.JSONL, Format.MARKDOWN]
    assert [Path(name).name for name in found.skipped] == ["c.png"]
    assert found.size == 12


def test_standard_input_and_chosen_formats(tmp_path: Path) -> None:
    """A chosen format holds for everything, also for names that say nothing; the default for a pipe is JSON Lines."""
    (tmp_path / "notes").write_text("x")
    found = find_sources(("-", str(tmp_path / "notes"), "-"), Format.TEXT)
    assert (found.files[0].name, found.files[0].format) == ("-", Format.TEXT)
    assert len(found.files) == 2
    assert found.size is None
    assert find_sources(("-",), None).files[0].format is Format.JSONL
    assert find_sources((str(tmp_path),), Format.TEXT).skipped == ()


@pytest.mark.parametrize(("name", "reason"), [("missing.md", "there is no file or folder"), ("notes", "can't be told")])
def test_paths_that_can_not_be_read_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    """A path that is not there, and a file of unknown format, are refused before anything is read."""
    (tmp_path / "notes").write_text("x")
    with pytest.raises(InvalidRequest, match=reason):
        find_sources((str(tmp_path / name),), None)


def test_a_file_that_is_gone_is_one_bad_row(tmp_path: Path) -> None:
    """A file that was there when the folder was listed and can't be opened now is told."""
    with open_readings(SourceFile(tmp_path / "gone", "gone", Format.TEXT, 1), None) as (readings, _):
        assert list(readings) == [BadLine("gone", None, "can't be read: No such file or directory")]


def test_no_path_is_refused() -> None:
    """There has to be something to read."""
    with pytest.raises(InvalidRequest, match="at least one"):
        find_sources((), None)

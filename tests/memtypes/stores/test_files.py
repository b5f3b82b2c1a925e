"""Files of embedded stores: locking, atomic replacement, and syncing to the disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from memtypes.stores.files import holder_of, locked, replace_file, sync_directory


def test_a_directory_is_synced_while_its_files_are_renamed(tmp_path: Path) -> None:
    (tmp_path / "open-0").touch()
    stop = threading.Event()

    def rename() -> None:
        number = 0
        while not stop.is_set():
            (tmp_path / f"open-{number}").rename(tmp_path / f"open-{number + 1}")
            number += 1

    renaming = threading.Thread(target=rename)
    renaming.start()
    try:
        for _ in range(200):
            sync_directory(tmp_path)
    finally:
        stop.set()
        renaming.join()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_directory_that_is_gone_needs_no_syncing(tmp_path: Path) -> None:
    sync_directory(tmp_path / "none")


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    """A held lock can't be taken again, and its file names the holder."""
    path = tmp_path / "lock"
    with locked(path) as first, locked(path) as second:
        assert (first, second) == (True, False)
        assert holder_of(path) == str(os.getpid())
    with locked(path) as acquired_again:
        assert acquired_again


def test_the_holder_in_a_damaged_lock_file_is_named_as_far_as_possible(tmp_path: Path) -> None:
    """Bytes of a lock file that are not UTF-8 become replacement characters.

    The holder in an empty file is "unknown".
    """
    path = tmp_path / "lock"
    path.write_bytes(b"4\xff2")
    assert holder_of(path) == "4\N{REPLACEMENT CHARACTER}2"
    path.write_bytes(b"")
    assert holder_of(path) == "unknown"


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """A replaced file has the new content, only its owner can read it, and no temporary file is
    left.
    """
    path = tmp_path / "file"
    for content in (b"a long first content", b"short"):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o077 == 0


def test_a_replaced_file_has_the_requested_mode_and_a_failure_leaves_nothing(
    tmp_path: Path,
) -> None:
    """A replaced file has exactly the requested mode, whatever the umask. After an error there is
    no temporary file.
    """
    path = tmp_path / "file"
    umask = os.umask(0o077)
    try:
        replace_file(path, b"{}", 0o640)
        assert path.stat().st_mode & 0o777 == 0o640
        os.umask(0o027)
        replace_file(path, b"{}", None)
        assert path.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(umask)
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path, b"")
    assert [*tmp_path.iterdir(), *tmp_path.parent.glob(f"{tmp_path.name}.*")] == [path]


def test_files_that_are_deleted_meanwhile_need_no_syncing(tmp_path: Path) -> None:
    """Syncing a directory succeeds even if an engine deletes log files in it at the same time."""
    sync_directory(tmp_path / "gone")
    # Listed, and not there when it is opened
    (tmp_path / "segment").symlink_to(tmp_path / "flushed")
    sync_directory(tmp_path)

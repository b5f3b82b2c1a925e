"""Files that must outlast the machine: synced, whatever their owner does meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

from memtypes.stores.files import sync_directory


def test_a_directory_is_synced_while_its_files_are_renamed(tmp_path: Path) -> None:
    """As an engine does with its log: a name that has just gone is no error."""
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
    """Its owner has deleted it."""
    sync_directory(tmp_path / "none")

"""Pages of files that are given back: they leave this process's memory, and nothing that was written is lost."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from memtypes.stores.edge.maintenance.page_cache import STEP, fetching, give_back

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pages are given back on Linux alone")
SIZE = 4 << 20


def mapped(path: Path, flags: int = mmap.MAP_SHARED) -> mmap.mmap:
    """A mapping of a new file, every page of it written to."""
    path.write_bytes(bytes(SIZE))
    with path.open("r+b") as file:
        made = mmap.mmap(file.fileno(), SIZE, flags=flags)
    for place in range(0, SIZE, mmap.PAGESIZE):
        made[place] = 7
    return made


def resident(path: Path) -> int:
    """Bytes of the file's mapping that are in this process's memory."""
    parts = re.split(
        r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    (part,) = [one for one in parts if str(path) in one.partition("\n")[0]]
    found = re.search(r"^Rss: +(\d+) kB", part, flags=re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def test_pages_leave_and_what_was_written_stays(tmp_path: Path) -> None:
    """Also what is not on the disk yet."""
    store = tmp_path / "store"
    store.mkdir()
    with mapped(store / "vectors") as pages:
        assert resident(store / "vectors") == SIZE
        give_back(store)
        assert resident(store / "vectors") == 0
        assert all(pages[place] == 7 for place in range(0, SIZE, mmap.PAGESIZE))


def test_other_mappings_keep_their_pages(tmp_path: Path) -> None:
    """A file elsewhere, also in a folder whose name begins alike, and a private mapping, whose pages would be lost."""
    store, other = tmp_path / "store", tmp_path / "store-2"
    store.mkdir()
    other.mkdir()
    with mapped(other / "vectors") as beside, mapped(store / "own", mmap.MAP_PRIVATE) as own:
        give_back(store)
        assert resident(other / "vectors") == resident(store / "own") == SIZE
        assert own[0] == beside[0] == 7


def cached(path: Path) -> bool:
    """Whether every page of the file is in the system's cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
        told = ctypes.create_string_buffer(len(pages) // mmap.PAGESIZE)
        start = np.frombuffer(pages, np.uint8).ctypes.data
        assert libc.mincore(start, len(pages), told) == 0
    return all(one & 1 for one in told.raw[:-1])


def test_files_are_fetched_in_steps(tmp_path: Path) -> None:
    """All but the log, the small ones first; one that is gone by then is left out."""
    for name, size in (("b/large", STEP + 1), ("a/small", 5), ("a/gone", 6), ("a/wal/open-1", 3 * STEP)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    steps = fetching([tmp_path / "a", tmp_path / "b"])
    assert next(steps) == 5
    (tmp_path / "a/gone").unlink()
    assert list(steps) == [STEP, 1]


def test_what_was_fetched_is_read_without_the_disk(tmp_path: Path) -> None:
    """Also after the system has dropped it."""
    file = tmp_path / "vectors"
    file.write_bytes(b"7" * SIZE)
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert sum(fetching([tmp_path])) == SIZE
    assert cached(file)


def test_more_than_there_is_room_for_is_left_on_the_disk(tmp_path: Path) -> None:
    """A file of more than the memory of any machine."""
    with (tmp_path / "vectors").open("wb") as file:
        file.truncate(1 << 43)
    assert list(fetching([tmp_path])) == []

"""Pages of files that are given back: they leave this process's memory, and nothing that was written is lost."""

from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path

import pytest

from memtypes.stores.edge.pages import give_back

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

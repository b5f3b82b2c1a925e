"""Which shards hold bytes of what was removed, and since when. Knows no engine."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

_MARK = "removed"
"""A file in a shard's directory that says that something was removed from it."""


@dataclass(slots=True)
class Wear:
    """Since when a shard holds removed bytes, as nanoseconds of the clock; None when it holds none."""

    path: Path
    since: int | None

    @classmethod
    def of(cls, path: Path) -> Wear:
        """That of the shard in `path`: since ever where it is marked, or where another version stands beside it."""
        beside = any(other != path for other in path.parent.iterdir())
        return cls(path, 0 if beside or (path / _MARK).exists() else None)

    def note(self, at: int) -> None:
        """Something is about to be removed; the mark outlives this process."""
        if self.since is None:
            self.since = at
            handle = os.open(self.path / _MARK, os.O_WRONLY | os.O_CREAT, 0o600)
            os.fsync(handle)
            os.close(handle)


def delete_others(path: Path) -> None:
    """Delete every version of a type but the one in `path`."""
    for other in path.parent.iterdir():
        if other != path:
            shutil.rmtree(other)

"""Where benchmarks keep what they make: data folders of their own, never the one that is in use."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def data_directory(kept: Path | None = None) -> Iterator[Path]:
    """`kept`, made when it is missing; or a temporary folder that is gone at the end."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="remembrancer-benchmark-") as made:
        yield Path(made)

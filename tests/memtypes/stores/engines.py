"""Helpers for worker processes of embedded stores: find the one of a directory, and end it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memtypes.platform import dies_with_parent
from memtypes.stores.edge import EdgeSettings
from memtypes.stores.edge.layout import Layout
from retrieval.columns import COLUMNS
from tests.builders import DIMENSIONS

ROOT = Path(__file__).parents[3]


def settings_for(directory: Path, **changes: float | str) -> EdgeSettings:
    """Settings of an embedded store in the directory, with short timeouts."""
    defaults: dict[str, Any] = {
        "fingerprint": "test-embedder",
        "dimensions": DIMENSIONS,
        "column_kinds": COLUMNS,
    }
    return EdgeSettings(directory, **defaults | changes)


def worker_of(directory: Path) -> int:
    """The id of the worker process that has the store in `directory` open."""
    return Layout(directory).worker_pid()


async def kill_worker(directory: Path) -> int:
    """Kill the worker of the store in `directory`, and wait for its end. Returns its id."""
    pid = worker_of(directory)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: ended(pid))
    await asyncio.sleep(0.05)  # the pool sees it a moment later
    return pid


async def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return once `holds()` is true; fail if it is not true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def ended(pid: int) -> bool:
    """Whether a process has ended, even if its parent has not waited for it."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return not state.strip() or state.startswith("Z")


def start_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python process that runs `code` in the repository and whose output can be read by
    line.
    """
    return subprocess.Popen(
        dies_with_parent([sys.executable, "-c", code, *arguments]),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )

"""Helpers for engine processes: find the one that serves a directory, and end it."""

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
from memtypes.stores.edge.layout import EngineProcess, Layout
from tests.builders import DIMENSIONS

ROOT = Path(__file__).parents[3]


def settings_for(directory: Path, **changes: float | str) -> EdgeSettings:
    """Settings of an embedded store in the directory, with short timeouts."""
    defaults: dict[str, Any] = {
        "fingerprint": "test-embedder",
        "dimensions": DIMENSIONS,
        "linger_s": 0.2,
    }
    return EdgeSettings(directory, **defaults | changes)


def engine_of(directory: Path) -> EngineProcess:
    """The engine process that serves `directory`, as its file engine.json names it."""
    engine = Layout(directory).read_engine()
    assert engine is not None
    return engine


def kill_engine(directory: Path, number: signal.Signals = signal.SIGKILL) -> int:
    """Send the signal `number` to the engine of the directory and return the engine's process
    id.
    """
    pid = engine_of(directory).pid
    os.kill(pid, number)
    return pid


async def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return once `holds()` is true; fail if it is not true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def has_socket(engine: EngineProcess) -> bool:
    """Whether the engine's socket exists."""
    return Path(engine.socket).exists()


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

"""Engine processes as tests see them: who serves a directory, and how to end it."""

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
from memtypes.stores.edge.layout import Holder, Layout
from tests.builders import DIMENSIONS

ROOT = Path(__file__).parents[3]


def settings_for(directory: Path, **changes: float | str) -> EdgeSettings:
    """Settings with short waits."""
    given: dict[str, Any] = {"fingerprint": "test-embedder", "dimensions": DIMENSIONS, "linger_s": 0.2}
    return EdgeSettings(directory, **given | changes)


def holder_in(directory: Path) -> Holder:
    """The engine that serves `directory` now."""
    holder = Layout(directory).read_holder()
    assert holder is not None
    return holder


def kill_engine(directory: Path, number: signal.Signals = signal.SIGKILL) -> int:
    """The process id of the engine that was sent the signal."""
    pid = holder_in(directory).pid
    os.kill(pid, number)
    return pid


async def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return when `holds` does; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def has_socket(holder: Holder) -> bool:
    """Whether the engine's socket is there, answered or not."""
    return Path(holder.socket).exists()


def ended(pid: int) -> bool:
    """Whether a process runs no more; a dead child that nobody has waited for counts as ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def start_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process that runs `code` in the repository, its output readable as lines."""
    return subprocess.Popen(
        dies_with_parent([sys.executable, "-c", code, *arguments]),
        cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
    )  # fmt: skip

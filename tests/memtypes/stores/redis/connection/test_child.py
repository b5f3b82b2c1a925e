"""Processes that must not outlive their starter, however and whenever that one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.apparatus.processes import holders
from memtypes.stores.redis.connection.child import tied
from tests.memtypes.stores.engines import ended, start_python, until

pytestmark = pytest.mark.anyio

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STARTER = f"""
import subprocess, sys, time
from memtypes.stores.redis.connection.child import tied
child = subprocess.Popen(tied([sys.executable, "-c", {SLEEP!r}, sys.argv[1]]), stdout=subprocess.PIPE)
if sys.argv[2] == "at once":
    print(child.pid, flush=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("when", ["at once", "later"])
async def test_a_child_ends_with_its_killed_starter(tmp_path: Path, when: str) -> None:
    """Also when the starter is killed before the child has come to ask for that."""
    with start_python(STARTER, str(tmp_path), when) as starter:
        assert starter.stdout is not None
        starter.stdout.readline()
        starter.kill()
    await until(lambda: not holders(tmp_path, besides=set()))


async def test_a_stopped_child_ends_too(tmp_path: Path) -> None:
    """A process that is stopped takes no signal but the one that kills."""
    with start_python(STARTER, str(tmp_path), "later") as starter:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        os.kill(child, signal.SIGSTOP)
        starter.kill()
    await until(lambda: ended(child))


def test_a_child_whose_starter_has_ended_before_does_not_become_the_command(tmp_path: Path) -> None:
    """The process that it was started by is not the one that it was made for."""
    made = tmp_path / "made"
    command = tied(["touch", str(made)])
    other = [str(os.getpid() + 1) if word == str(os.getpid()) else word for word in command]
    assert subprocess.run(other, check=False).returncode == 0
    assert not made.exists()
    assert subprocess.run(command, check=False).returncode == 0
    assert made.exists()


def test_the_command_s_exit_code_is_the_child_s() -> None:
    """It becomes the command, and adds nothing of its own."""
    assert subprocess.run(tied([sys.executable, "-c", "raise SystemExit(7)"]), check=False).returncode == 7

"""Functions that depend on the operating system: children that end with their parent, listening
processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.service import processes_of
from memtypes.platform import dies_with_parent, is_listening
from tests.memtypes.stores.engines import ended, start_python, until

pytestmark = pytest.mark.anyio
linux = pytest.mark.skipif(
    sys.platform != "linux",
    reason="only Linux kills a child with its parent, and tells who listens",
)

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
PARENT = f"""
import subprocess, sys, time
from memtypes.platform import dies_with_parent
command = dies_with_parent([sys.executable, "-c", {SLEEP!r}, sys.argv[1]])
child = subprocess.Popen(command, stdout=subprocess.PIPE)
if sys.argv[2] == "before exec":
    print(child.pid, flush=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
LISTENER = """
import socket, sys, time
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listening", flush=True)
time.sleep(60)
"""


@linux
@pytest.mark.parametrize("when", ["before exec", "after exec"])
async def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path, when: str) -> None:
    with start_python(PARENT, str(tmp_path), when) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.kill()
    await until(lambda: not processes_of(tmp_path, exclude=set()))


@linux
async def test_a_stopped_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    with start_python(PARENT, str(tmp_path), "after exec") as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, signal.SIGSTOP)
        parent.kill()
    await until(lambda: ended(child))


@linux
def test_a_child_whose_parent_has_already_ended_does_not_run_the_command(tmp_path: Path) -> None:
    """The launcher gets the parent's process id, and runs the command only if its parent still has
    that id.
    """
    created = tmp_path / "created"
    command = dies_with_parent(["touch", str(created)])
    orphaned = [str(os.getpid() + 1) if word == str(os.getpid()) else word for word in command]
    assert subprocess.run(orphaned, check=False).returncode == 0
    assert not created.exists()
    assert subprocess.run(command, check=False).returncode == 0
    assert created.exists()


def test_the_launcher_exits_with_the_exit_code_of_the_command() -> None:
    command = dies_with_parent([sys.executable, "-c", "raise SystemExit(7)"])
    assert subprocess.run(command, check=False).returncode == 7


@linux
def test_only_a_running_process_counts_as_listening(tmp_path: Path) -> None:
    """`is_listening()` is True while a process listens on the socket, and False if that process is
    stopped or ended.
    """
    address = tmp_path / "s"
    assert is_listening(address) is False
    with start_python(LISTENER, str(address)) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert is_listening(address) is True
        os.kill(child.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert is_listening(address) is False
        child.kill()
        child.wait()
    assert is_listening(address) is False

"""Differences between operating systems: Linux and macOS. No other module asks which system it runs
on.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import socket
import struct
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

# On Linux the child asks the kernel to kill it when its parent ends (prctl, PR_SET_PDEATHSIG = 1,
# SIGKILL = 9), then checks that the parent has not ended before that. SIGKILL, because a stopped
# process takes no other signal. macOS has no such call: a child whose parent was killed runs on
# until the next start finds it by its lock or socket.
_LAUNCHER = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(0)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def dies_with_parent(command: Sequence[str]) -> list[str]:
    """Wrap `command` so that, on Linux, it is killed when the thread that started it ends; on
    macOS, it runs on.
    """
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]


def exit_with_parent() -> None:
    """End this process, a child made by `multiprocessing`, at once when its parent ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("this is not a child process")
    sentinel = parent.sentinel

    def wait() -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()


# Parameters of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_freed_memory() -> None:
    """Make glibc keep the memory of freed arrays for later ones; without effect on other systems.

    To return it to the system took a quarter of the time of a search in 100,000 memories.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 25)
        mallopt(_M_TRIM_THRESHOLD, 1 << 27)


def is_listening(address: Path) -> bool | None:
    """Whether a process listens on the Unix socket `address` and is not stopped; None if the system
    can't tell.
    """
    if sys.platform != "linux":
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(address))
            (pid,) = struct.unpack("i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4))
            state = (
                Path(f"/proc/{pid}/stat")
                .read_text(encoding="ascii", errors="replace")
                .rpartition(") ")[2][:1]
            )
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return None
    return state not in "TtZX"

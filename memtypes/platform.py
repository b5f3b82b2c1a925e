"""Differences between operating systems: Linux and macOS. No other module asks which system it runs
on.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
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

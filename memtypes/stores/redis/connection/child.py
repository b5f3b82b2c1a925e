"""How a process is started that must not outlive its starter, however that one ends. Knows nothing of servers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# The child asks the kernel to be killed when its parent ends (Linux: PR_SET_PDEATHSIG, 1), and then looks whether it
# has ended before that. Killed, not terminated: what is stopped, or refuses to end, would stay. Where there is no such
# call it lives on until somebody ends it. Then it becomes the command.
_LAUNCH = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(0)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def tied(command: Sequence[str]) -> list[str]:
    """The command line under which `command` is killed as soon as the thread that starts it has ended."""
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]

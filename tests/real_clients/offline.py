"""`python -m tests.real_clients.offline COMMAND...` runs a command that can reach no network except
loopback.

The command runs in a new network namespace, which needs Linux and the right to create one. If that
is not possible, the command runs with the machine's network, and a line says so.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

SET_INTERFACE_FLAGS = 0x8914
UP = 0x1


def main(arguments: list[str]) -> None:
    """Replace this process by the command in `arguments`, without network access if the system
    permits it.
    """
    if arguments[0] == "--inside":
        bring_loopback_up()
        arguments = arguments[1:]
    elif can_isolate():
        arguments = [
            "unshare",
            "--net",
            "--map-root-user",
            sys.executable,
            "-m",
            __spec__.name,
            "--inside",
            *arguments,
        ]
    else:
        print("No network namespace can be made here: the clients run with the machine's network.")  # noqa: T201
    os.execvp(arguments[0], arguments)  # noqa: S606 - without a shell is as it should be


def can_isolate() -> bool:
    """Whether this user may make a network namespace."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--net", "--map-root-user", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def bring_loopback_up() -> None:
    """Enable the loopback interface, which is down in a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_INTERFACE_FLAGS, struct.pack("16sh14x", b"lo", UP))


if __name__ == "__main__":
    main(sys.argv[1:])

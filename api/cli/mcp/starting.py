"""Starts this machine's service for MCP clients, once even if several ask. It runs on after the
clients end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from memtypes.model.errors import Unavailable
from memtypes.stores.files import locked_by, private_directory, replace_file

START_S = 60.0
"""Seconds within which a service must answer after its start. The first start also prepares the
encoder.
"""

OTHER_S = 5.0
"""Seconds that a failed start waits for a service that another program started at the same time."""

_POLL_S = 0.1
_LOG = "service.log"
_PID = "service.pid"


def local_url(host: str | None = None, port: int | None = None) -> str:
    """URL of this machine's service. By default, host and port come from the environment variables
    of the service.
    """
    host = (host or os.environ.get("REMEMBRANCER_HOST") or "127.0.0.1").strip("[]")
    # It listens on loopback, too
    host = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104
    port_text = port or os.environ.get("REMEMBRANCER_PORT") or "8707"
    return f"http://[{host}]:{port_text}" if ":" in host else f"http://{host}:{port_text}"


@dataclass(frozen=True, slots=True)
class LocalService:
    """The service at `url` on this machine, which can be started if it does not run."""

    url: str

    async def ensure_running(self) -> None:
        """Start the service unless it runs, and wait until it answers. Raises Unavailable if this
        fails.
        """
        if await self._is_answering():
            return
        data_dir = await anyio.to_thread.run_sync(_data_dir)
        deadline = time.monotonic() + START_S
        async with locked_by(data_dir / "starting.lock", deadline) as locked:
            if not locked:
                raise Unavailable(
                    f"another process has been starting the service for {START_S:g} s"
                )
            if not await self._is_answering():
                pid = _pid_of_recent_start(data_dir)
                if pid is None:
                    pid = await anyio.to_thread.run_sync(_spawn, data_dir)
                await self._wait(pid, data_dir / _LOG, deadline)

    async def _wait(self, pid: int, log: Path, deadline: float) -> None:
        while time.monotonic() < deadline:
            if await self._is_answering():
                return
            if not _is_running(pid):  # perhaps because another one is about to answer
                deadline = min(deadline, time.monotonic() + OTHER_S)
            await anyio.sleep(_POLL_S)
        raise Unavailable(f"the memory service does not start: {_last_line(log)} (log: {log})")

    async def _is_answering(self) -> bool:
        try:
            async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
                return (await client.get(f"{self.url}/health/live")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def _data_dir() -> Path:
    # Pydantic is needed to start a service only
    from api.settings import default_data_dir  # noqa: PLC0415

    configured = os.environ.get("REMEMBRANCER_DATA_DIR")
    return private_directory(Path(configured).expanduser() if configured else default_data_dir())


def _spawn(data_dir: Path) -> int:
    """Start `remembrancer serve`, which runs on when this process ends. Returns its process id."""
    program = "from api.cli.entry import main; main()"
    with (data_dir / _LOG).open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-P", "-c", program, "serve", "--data-dir", str(data_dir)],
            cwd=data_dir,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    child.returncode = 0  # nothing waits for it; else Popen warns that it still runs
    replace_file(data_dir / _PID, str(child.pid).encode())
    return child.pid


def _pid_of_recent_start(data_dir: Path) -> int | None:
    """Process id of a service that another process started and that does not answer yet; None if
    there is none.
    """
    file = data_dir / _PID
    try:
        pid = int(file.read_text(encoding="ascii"))
        age = time.time() - file.stat().st_mtime
    except (OSError, ValueError):
        return None
    return pid if age < START_S and _is_running(pid) else None


def _is_running(pid: int) -> bool:
    with suppress(ChildProcessError):  # not this process's child
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)  # another user's process
    return True


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][-500:] if lines else "it wrote no reason"

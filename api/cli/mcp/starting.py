"""Starts the service of this machine for clients that need one: detached, and once, however many ask for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from memtypes.model.errors import Unavailable
from memtypes.stores.files import locked_by, private_directory

START_S = 60.0
"""Seconds within which a service must answer after its start; the first one prepares its encoder."""

OTHER_S = 5.0
"""Seconds that a failed start waits for a service that something else started at the same time."""

_POLL_S = 0.1
_LOCK = "starting.lock"
_LOG = "service.log"
_MAX_REASON = 500

_PROGRAM = "from api.cli.entry import main; main()"


def local_url() -> str:
    """The address of this machine's service, by the same environment variables as the service."""
    host = os.environ.get("REMEMBRANCER_HOST") or "127.0.0.1"
    host = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - it listens on loopback, too
    port = os.environ.get("REMEMBRANCER_PORT") or "8707"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class LocalService:
    """The service at `url` on this machine."""

    url: str

    async def ensure_running(self) -> None:
        """Return once the service answers; it is started if it does not run. Raises Unavailable, with the reason."""
        if await self._answers():
            return
        data_dir = await anyio.to_thread.run_sync(_data_dir)
        deadline = time.monotonic() + START_S
        async with locked_by(data_dir / _LOCK, deadline) as held:
            if not held:
                raise Unavailable(f"another process has been starting the service for {START_S:g} s")
            if not await self._answers():
                await self._start(data_dir, deadline)

    async def _start(self, data_dir: Path, deadline: float) -> None:
        log = data_dir / _LOG
        child = await anyio.to_thread.run_sync(_spawn, data_dir, log)
        while time.monotonic() < deadline:
            if await self._answers():
                return
            if child.poll() is not None:  # perhaps because another one is about to answer
                deadline = min(deadline, time.monotonic() + OTHER_S)
            await anyio.sleep(_POLL_S)
        raise Unavailable(f"the memory service does not start: {_last_line(log)} (log: {log})")

    async def _answers(self) -> bool:
        try:
            async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
                return (await client.get(f"{self.url}/health/live")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def _data_dir() -> Path:
    from api.settings import default_data_dir  # noqa: PLC0415 - the settings import half of the service

    configured = os.environ.get("REMEMBRANCER_DATA_DIR")
    return private_directory(Path(configured) if configured else default_data_dir())


def _spawn(data_dir: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start `remembrancer serve`, which outlives this process. -P: a package `api` of the project is not imported."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-P", "-c", _PROGRAM, "serve", "--data-dir", str(data_dir)],
            cwd=data_dir,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][-_MAX_REASON:] if lines else "it wrote no reason"

"""Runs `python -m api` as a child process: starts it, waits until it is ready, reads its memory
use, ends it.

Linux only: memory use and process ids are read from /proc.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from api.settings import Settings
from memtypes.platform import dies_with_parent
from memtypes.stores.edge.layout import Layout

READY_S = 180.0
"""Time limit for a start, which takes 2 s on an idle machine but took over 60 s at low priority on
a busy machine.
"""

STOP_S = 90.0
"""Time limit for a stop: running calls have 30 s, then the service stores queued memories and
closes its stores.
"""
_POLL_S = 0.02
_LARGEST_ANSWER = 1 << 22


class NotReady(Exception):
    """The service did not become ready in time; the message contains the end of the service's
    log.
    """


class Refused(Exception):
    """The service answered with a status other than 2xx; the message is the body of the answer."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running `python -m api`. ready_s: seconds from its start until its readiness check first
    answered 200.
    """

    child: subprocess.Popen[bytes]
    url: str
    store_path: Path
    ready_s: float

    def pids(self) -> list[int]:
        """Ids of the service's process and of its store's worker."""
        return [self.child.pid, worker_of(self.store_path)]

    def stop(self) -> int:
        """Send SIGTERM to the service and wait for its end. Returns its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=STOP_S)

    def kill(self, pids: list[int]) -> None:
        """Send SIGKILL to the processes `pids`. If one is the service's own, wait for the end of
        the service.
        """
        kill(pids)
        if self.child.pid in pids:
            self.child.wait(timeout=STOP_S)


class KeepAliveClient:
    """A minimal HTTP client with one open connection, so that the client costs next to no processor
    time.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the service at `url`."""
        host, _, port = url.removeprefix("http://").partition(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=_LARGEST_ANSWER))

    async def post(
        self, path: str, body: Mapping[str, object], header: str = "Accept: */*"
    ) -> bytes:
        """Post `body` as JSON with an extra `header`. Returns the answer's body. Raises Refused if
        it is not 2xx.
        """
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
            f"application/json\r\n{header}\r\n"
        )
        self._writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        status, *headers = (await self._reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(
            int(line.partition(b":")[2]) for line in headers if line.startswith(b"content-length:")
        )
        answer = await self._reader.readexactly(length)
        if not status.startswith(b"http/1.1 2"):
            raise Refused(answer.decode(errors="replace"))
        return answer

    async def aclose(self) -> None:
        """Close the connection."""
        self._writer.close()
        await self._writer.wait_closed()


@contextmanager
def running(settings: Settings) -> Iterator[Service]:
    """Start the service on a free port, wait until it is ready, and stop it when the context ends.
    Raises NotReady.
    """
    service = start(settings)
    try:
        yield service
    finally:
        service.stop()


def start(settings: Settings, port: int | None = None) -> Service:
    """Start the service, by default on a free port, and wait until it is ready. Raises NotReady,
    with its log.
    """
    port = port or free_port()
    log_path = settings.data_dir / "api.log"
    command = [
        sys.executable,
        "-m",
        "api",
        "--port",
        str(port),
        "--data-dir",
        str(settings.data_dir),
    ]
    began = time.perf_counter()
    with log_path.open("ab") as log:
        child = subprocess.Popen(  # noqa: S603 - our own
            dies_with_parent(command), env=environment(settings), stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    if not _becomes_ready(child, url):
        child.kill()
        child.wait(timeout=STOP_S)
        end = log_path.read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise NotReady(
            f"the service ended or was not ready within {READY_S:.0f} s; its log: {end or 'empty'}"
        )
    return Service(child, url, settings.store_path, time.perf_counter() - began)


def environment(settings: Settings) -> dict[str, str]:
    """Environment for the service: this process's variables, and the encoder folder and policies of
    `settings`.
    """
    policies = (
        {} if settings.policies is None else {"REMEMBRANCER_POLICIES": str(settings.policies)}
    )
    return os.environ | {"REMEMBRANCER_ENCODER_DIR": str(settings.encoder_path)} | policies


def free_port() -> int:
    """A port on 127.0.0.1 that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def kill(pids: list[int]) -> None:
    """Send SIGKILL to each of the processes `pids` that still exists."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def memory_mb(pid: int, field: str = "VmRSS") -> float:
    """MB of memory of a process; 0 if it has ended. field: of /proc/PID/status; RssAnon leaves out
    mapped files.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1_024
    return 0.0


def processes_of(path: Path, *, exclude: set[int]) -> list[int]:
    """Ids of the processes that have `path` in their command line, except those in `exclude`."""
    name = str(path.resolve()).encode()
    pids = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if int(entry.name) not in exclude and name in (entry / "cmdline").read_bytes():
                pids.append(int(entry.name))
    return sorted(pids)


def worker_of(store_path: Path) -> int:
    """Id of the worker process that has, or had last, the embedded store in `store_path` open."""
    return Layout(store_path).worker_pid()


def wait_until_closed(directory: Path) -> None:
    """Wait until no process works in `directory`, by its command line. Raises TimeoutError after
    STOP_S seconds.
    """
    end = time.monotonic() + STOP_S
    while processes_of(directory, exclude={os.getpid()}):
        if time.monotonic() > end:
            raise TimeoutError(f"{directory} is still in use after {STOP_S:.0f} s")
        time.sleep(_POLL_S)


def _becomes_ready(child: subprocess.Popen[bytes], url: str) -> bool:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and child.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health/ready", timeout=5.0).status_code == httpx.codes.OK:
                return True
        time.sleep(_POLL_S)
    return False

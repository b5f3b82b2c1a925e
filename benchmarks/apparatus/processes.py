"""The service as a child process: started, waited for, measured, stopped or killed. Linux only: it reads /proc."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from api.settings import Settings
from memtypes.platform import dies_with_parent

READY_S = 180.0
"""A start takes two seconds; on a machine with a dozen other jobs it took forty, and at a lower priority over sixty."""

STOP_S = 30.0
_POLL_S = 0.02


class NotReady(Exception):
    """The service did not come up; the text holds what it said."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running `python -m api`. ready_s: from start to the first good answer of readiness."""

    child: subprocess.Popen[bytes]
    url: str
    store_path: Path
    ready_s: float

    def pids(self) -> list[int]:
        """The process itself, then those that keep its store."""
        return [self.child.pid, *holders(self.store_path, besides={self.child.pid, os.getpid()})]

    def rss_mb(self) -> list[float]:
        """Resident memory of each of its processes, in MB."""
        return [rss_mb(pid) for pid in self.pids()]

    def own_mb(self) -> float:
        """What all of its processes hold together without pages of files, which the system may take back, in MB."""
        return sum(status_mb(pid, "RssAnon") for pid in self.pids())

    def stop(self) -> int:
        """The exit code after SIGTERM."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=STOP_S)

    def kill(self, pids: list[int]) -> None:
        """End `pids` with SIGKILL, at once and without a word."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.child.pid in pids:
            self.child.wait(timeout=STOP_S)


@contextmanager
def running(settings: Settings) -> Iterator[Service]:
    """A service with these settings on a free port, its log beside its data; stopped at the end."""
    service = start(settings)
    try:
        yield service
    finally:
        service.stop()


def start(settings: Settings) -> Service:
    """A service that is ready. Raises NotReady with its log when it does not come up."""
    port = free_port()
    log_path = settings.data_dir / "api.log"
    command = [sys.executable, "-m", "api", "--port", str(port), "--data-dir", str(settings.data_dir)]
    began = time.perf_counter()
    with log_path.open("ab") as log:
        child = subprocess.Popen(dies_with_parent(command), env=environment(settings), stdout=log, stderr=log)  # noqa: S603 - our own
    url = f"http://127.0.0.1:{port}"
    if not _becomes_ready(child, url):
        child.kill()
        child.wait(timeout=STOP_S)
        said = log_path.read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise NotReady(f"the service was not ready within {READY_S:.0f} s, or ended; it said: {said or 'nothing'}")
    return Service(child, url, settings.store_path, time.perf_counter() - began)


def environment(settings: Settings) -> dict[str, str]:
    """The variables under which a child finds the same encoder."""
    policies = {} if settings.policies is None else {"REMEMBRANCER_POLICIES": str(settings.policies)}
    return os.environ | {"REMEMBRANCER_ENCODER_DIR": str(settings.encoder_path)} | policies


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def rss_mb(pid: int) -> float:
    """Resident memory of `pid` in MB; 0 when it is gone."""
    return status_mb(pid, "VmRSS")


def status_mb(pid: int, field: str) -> float:
    """What the system tells of `pid`'s memory in `field`, in MB; 0 when it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1_024
    return 0.0


def holders(store_path: Path, *, besides: set[int]) -> list[int]:
    """The processes whose command line names `store_path`, other than `besides`."""
    wanted = str(store_path.resolve()).encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if int(entry.name) not in besides and wanted in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return sorted(found)


def _becomes_ready(child: subprocess.Popen[bytes], url: str) -> bool:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and child.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health/ready", timeout=5.0).status_code == httpx.codes.OK:
                return True
        time.sleep(_POLL_S)
    return False

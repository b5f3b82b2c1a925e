"""The service as a child process, for tests that need a real one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from memtypes.platform import dies_with_parent

REPOSITORY = Path(__file__).parents[1]
START_S = 60.0


def free_port() -> int:
    """A loopback port that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A `python -m api` child process on a free port with its data in `home`. log: the file with
    its output.

    settings: service settings by name, passed as environment variables, such as `keys` as
    REMEMBRANCER_KEYS.
    """

    def __init__(self, home: Path, encoder: Path, *arguments: str, **settings: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        environment = os.environ | {"REMEMBRANCER_ENCODER_DIR": str(encoder)}
        environment |= {f"REMEMBRANCER_{name.upper()}": value for name, value in settings.items()}
        command = [
            sys.executable,
            "-m",
            "api",
            *arguments,
            "--port",
            str(port),
            "--data-dir",
            str(home / "data"),
        ]
        with (home / "log").open("ab") as log:
            self.child = subprocess.Popen(
                dies_with_parent(command), cwd=REPOSITORY, env=environment, stdout=log, stderr=log
            )
        self.log = home / "log"

    def wait_until_ready(self) -> None:
        """Wait until /health/ready answers 200.

        If that takes longer than START_S seconds, fail the test with the log.
        """
        end = time.monotonic() + START_S
        # Building one for each try costs more than the try
        with httpx.Client(base_url=self.url, timeout=5) as client:
            while time.monotonic() < end and self.child.poll() is None:
                try:
                    if client.get("/health/ready").status_code == 200:
                        return
                except httpx.TransportError:
                    time.sleep(0.05)
        pytest.fail(f"it did not start:\n{self.log.read_text()}")

    def stop(self) -> int:
        """Send SIGTERM to the service and return its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=30)

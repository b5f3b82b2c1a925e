"""Fixtures for the tests of the adapters, which `make adapters` runs in a virtual environment with
the frameworks.

The service is a process of another environment: REMEMBRANCER_TEST_PYTHON names the Python that runs
it.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from remembrancer_client import Remembrancer

ROOT = Path(__file__).parents[5]
START_S = 60.0

if importlib.util.find_spec("agents") is None:
    collect_ignore_glob = ["test_*.py"]  # `make test` has no frameworks


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of all async tests."""
    return "asyncio"


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a service that runs for all tests."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("service")
    encoder = os.environ.get("REMEMBRANCER_ENCODER_DIR", str(ROOT / ".remembrancer" / "encoder"))
    environment = os.environ | {"REMEMBRANCER_ENCODER_DIR": encoder, "PYTHONPATH": str(ROOT)}
    command = [
        os.environ["REMEMBRANCER_TEST_PYTHON"],
        "-m",
        "api",
        "--port",
        str(port),
        "--data-dir",
        str(folder / "data"),
    ]
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", service, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        service.terminate()
        service.wait(timeout=30)


def wait_until_ready(url: str, service: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the service is ready; fail with its log if it does not start."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and service.poll() is None:
        try:
            if httpx.get(f"{url}/health/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the service did not start:\n{log.read_text()}")


@pytest.fixture
def memory(url: str) -> Iterator[Remembrancer]:
    """A client with a new namespace."""
    with Remembrancer(url, namespace=f"n {uuid.uuid4()}") as client:
        yield client

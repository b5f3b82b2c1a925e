"""Starting, finding and killing the service's processes, and the HTTP connection to it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.harness.service import (
    KeepAliveClient,
    NotReady,
    Refused,
    Service,
    free_port,
    memory_mb,
    processes_of,
    start,
)
from benchmarks.harness.stores import settings_in


def test_a_process_is_found_by_the_path_in_its_command_line(tmp_path: Path) -> None:
    """A process is found by a path in its command line. Its memory use can be read, and it can be
    killed.
    """
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        child.stdout.readline()
        assert processes_of(tmp_path, exclude={os.getpid()}) == [child.pid]
        assert processes_of(tmp_path, exclude={os.getpid(), child.pid}) == []
        assert 1.0 < memory_mb(child.pid) < 500.0
        assert 0.0 < memory_mb(child.pid, "RssAnon") < memory_mb(child.pid)
        Service(child, "", tmp_path, 0.0).kill([child.pid])
        assert child.returncode == -9
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait(timeout=10)
    assert memory_mb(child.pid) == 0.0


def test_free_ports_are_unreserved() -> None:
    """A free port has a number above the ports reserved for the system."""
    assert 1_024 < free_port() < 65_536


@pytest.mark.slow
def test_a_service_that_does_not_start_is_reported_with_its_log(tmp_path: Path) -> None:
    """If the data folder is unusable, the start fails at once, and the error contains the service's
    log.
    """
    (tmp_path / "live").write_text("not a folder")
    (tmp_path / "encoder").write_text("not a folder")
    settings = settings_in(tmp_path).model_copy(update={"encoder_dir": tmp_path / "encoder"})
    with pytest.raises(NotReady, match="its log: "):
        start(settings)


@pytest.fixture
def echo() -> Iterator[str]:
    """The URL of a server that returns the body of each POST, with status 201 at the path / and 404
    at other paths.
    """

    class Echo(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201 if self.path == "/" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        # The library's name
        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.anyio
async def test_a_connection_sends_several_requests(echo: str) -> None:
    """A connection answers a request even after an earlier one has failed.

    A status that is not 2xx raises Refused with the body of the answer as its message.
    """
    client = await KeepAliveClient.open(echo)
    try:
        assert await client.post("/", {"a": 1}) == b'{"a": 1}'
        with pytest.raises(Refused, match="nothing"):
            await client.post("/other", {"nothing": 0})
        assert await client.post("/", {}) == b"{}"
    finally:
        await client.aclose()

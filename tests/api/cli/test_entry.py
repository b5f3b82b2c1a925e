"""The `remembrancer` program: its commands, and which modules it imports for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.entry import COMMANDS, application
from ingest.upkeep.planners import UpkeepJob

HEAVY = ("litestar", "qdrant_client", "qdrant_edge", "onnxruntime", "redis", "numpy", "tiktoken", "uvicorn")
ANSWER = {"hits": [], "profile": "default", "weights": {}, "degraded": [], "counts": {}, "job": "expire", "ids": []}


class _Service(BaseHTTPRequestHandler):
    """Answers every POST like a service that has no memories."""

    def do_POST(self) -> None:
        """Answer with the JSON fields that `search` and `jobs` print, without hits and ids."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(ANSWER | {"dry_run": True}).encode())

    def log_message(self, *_arguments: object) -> None:
        """Suppress the log line for each request."""


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of a fake service."""
    with HTTPServer(("127.0.0.1", 0), _Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("command", [["search", "tea", "-n", "me"], ["jobs", "expire"]])
def test_a_command_on_a_service_does_not_load_the_service(command: list[str], url: str, tmp_path: Path) -> None:
    """A command that calls a service by URL does not import the web framework, stores or encoders.

    Importing them takes two seconds.
    """
    program = f"""
import atexit, sys
from api.cli.entry import main
atexit.register(lambda: print([name for name in {HEAVY} if name in sys.modules]))
main()
"""
    arguments = [sys.executable, "-c", program, *command, "--url", url]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_lists_every_command() -> None:
    """`--help` lists every command of the program. The `--help` of a command shows the command's usage."""
    shown = CliRunner().invoke(application(), ["--help"], env={"COLUMNS": "200"}).stdout
    for name in COMMANDS:
        assert f"│ {name} " in shown
    usage = CliRunner().invoke(application("search"), ["search", "--help"], prog_name="remembrancer").stdout
    assert "remembrancer search [OPTIONS]" in usage


def test_an_unknown_command_is_named() -> None:
    """For an unknown command the message suggests the command with the nearest name."""
    done = CliRunner().invoke(application("serch"), ["serch"])
    assert (done.exit_code, "No such command 'serch'" in done.stderr, "search" in done.stderr) == (2, True, True)


def test_every_upkeep_job_can_be_run() -> None:
    """`remembrancer jobs --help` lists every upkeep job of the service."""
    shown = CliRunner().invoke(application("jobs"), ["jobs", "--help"], env={"COLUMNS": "200"}).stdout
    assert "|".join(UpkeepJob) in shown

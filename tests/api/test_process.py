"""The service as a process: start, answers, shutdown."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.cli.serving import SAMPLE_NAMESPACE
from memtypes.platform import dies_with_parent
from tests.processes import REPOSITORY, Process

pytestmark = pytest.mark.slow


@pytest.fixture
def process(tmp_path: Path, onnx_directory: Path) -> Iterator[Process]:
    """A running service process, stopped at the end."""
    started = Process(tmp_path, onnx_directory)
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.stop()


def test_memories_survive_a_restart(tmp_path: Path, onnx_directory: Path) -> None:
    """A memory is found after a restart; SIGTERM exits with 0; the log contains no memory text."""
    content = "The stock counter uses advisory locks."
    first = Process(tmp_path, onnx_directory)
    try:
        first.wait_until_ready()
        body = {"type": "semantic", "namespace": "secret-place", "content": content}
        assert httpx.post(f"{first.url}/v1/memories", json=body, timeout=10).status_code == 201
    finally:
        assert first.stop() == 0
    second = Process(tmp_path, onnx_directory)
    try:
        second.wait_until_ready()
        request = {"query": "stock counter", "namespace": "secret-place", "budget": 100}
        answer = httpx.post(f"{second.url}/v1/retrieve", json=request, timeout=10).json()
    finally:
        assert second.stop() == 0
    assert content in answer["context"]
    log = first.log.read_text()
    assert "listening" in log
    assert content not in log
    assert "secret-place" not in log


def test_port_in_use_is_one_line_with_exit_code_2(tmp_path: Path) -> None:
    """A start on a port in use prints one line and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "api", "--port", str(port), "--data-dir", str(tmp_path / "data")],
            cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_misspelt_variable_is_refused_at_start(tmp_path: Path, onnx_directory: Path) -> None:
    """The service ends with exit code 2 and the nearest name."""
    refused = Process(tmp_path, onnx_directory, workflow_ttl_hour="1")
    assert refused.child.wait(timeout=60) == 2
    assert "the nearest is REMEMBRANCER_WORKFLOW_TTL_HOURS" in refused.log.read_text()


def test_lifetimes_of_live_state_are_settings(tmp_path: Path, onnx_directory: Path) -> None:
    """Threads, workflows and the logs of ended workflows expire after the hours of their settings."""
    two_seconds, space = str(2 / 3_600), {"namespace": "n"}
    hours = {"thread_ttl_hours": two_seconds, "ended_log_hours": two_seconds}
    started = Process(tmp_path, onnx_directory, **hours, workflow_ttl_hours=str(8 / 3_600))
    try:
        started.wait_until_ready()
        with httpx.Client(base_url=started.url, timeout=10) as client:
            thread = client.post("/v1/threads", json=space).json()
            assert thread["ttl_s"] == 2
            for name in ("open", "ended"):
                client.post("/v1/workflows", json={**space, "workflow_id": name})
                client.post(f"/v1/workflows/{name}/events", params=space, json={"type": "started"})
            client.post("/v1/workflows/ended/events", params=space, json={"type": "completed"})
            time.sleep(3)
            paths = (f"/v1/threads/{thread['id']}", "/v1/workflows/ended/events", "/v1/workflows/open/events")
            assert [client.get(path, params=space).status_code for path in paths] == [404, 404, 200]
            assert client.get("/v1/workflows/ended", params=space).json()["state"]["status"] == "completed"
            deadline = time.monotonic() + 60
            while client.get("/v1/workflows/open", params=space).is_success:
                assert time.monotonic() < deadline
                time.sleep(0.5)
    finally:
        assert started.stop() == 0


def test_import_and_search_work_on_a_running_service_with_url(process: Process, tmp_path: Path) -> None:
    """Import and search with --url work on a running service."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"type": "semantic", "content": "The build runs on Friday."}))
    for command in (["ingest", str(rows), "--no-resume"], ["search", "when does the build run?"]):
        done = subprocess.run(
            [sys.executable, "-m", "api", *command, "-n", "n", "--url", process.url, "--json"],
            cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        answer = json.loads(done.stdout)
    assert answer["hits"][0]["memory"]["content"] == "The build runs on Friday."
    checked = subprocess.run(
        [sys.executable, "-m", "api", "doctor", "--url", process.url, "--json"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert json.loads(checked.stdout)["checks"]["round trip"]["ok"]


def test_run_loads_samples_before_serving(tmp_path: Path, onnx_directory: Path) -> None:
    """`run` loads the sample memories once and prints one retrieval."""
    for _ in range(2):
        running = Process(tmp_path, onnx_directory, "run")
        try:
            running.wait_until_ready()
            stats = httpx.get(f"{running.url}/v1/stats", params={"namespace": SAMPLE_NAMESPACE}, timeout=10).json()
        finally:
            assert running.stop() == 0
        assert all(item["count"] for item in stats["types"].values())
    shown = running.log.read_text()
    assert (shown.count("Loading the sample memories"), shown.count("advisory locks") > 1) == (1, True)


@pytest.mark.parametrize("program", ["main", "serve_main", "ingest_main"])
def test_ctrl_c_while_modules_load_prints_no_traceback(program: str, tmp_path: Path) -> None:
    """Ctrl-C while the modules of the program are loading ends it by SIGINT, without output."""
    (tmp_path / "typer.py").write_text("import time; print('loading', flush=True); time.sleep(60)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    # A run of the tests in the background ignores SIGINT, and its children would.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heeding}; from api.cli import entry; entry.{program}()"]
    with subprocess.Popen(
        dies_with_parent(command),
        cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == "loading\n"
        child.send_signal(signal.SIGINT)
        assert child.stderr.read() == ""
    assert child.returncode == -signal.SIGINT

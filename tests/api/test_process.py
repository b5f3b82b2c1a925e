"""The service as a process: start, answers, shutdown."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from api.cli.serving import SAMPLE_NAMESPACE
from memtypes.platform import dies_with_parent
from tests.processes import REPOSITORY, Process
from tests.servers import until

pytestmark = pytest.mark.slow


CONTENT = "The kiln is lit on Fridays."
SECRET_PLACE = "secret-place"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, onnx_directory: Path) -> Iterator[Process]:
    """A service that was restarted on the data of its first start: the sample memories, and
    CONTENT.

    Both starts run `run` and must end with exit code 0.
    """
    home = tmp_path_factory.mktemp("process")
    first = Process(home, onnx_directory, "run")
    try:
        first.wait_until_ready()
        body = {"type": "semantic", "namespace": SECRET_PLACE, "content": CONTENT}
        assert httpx.post(f"{first.url}/v1/memories", json=body, timeout=10).status_code == 201
    finally:
        assert first.stop() == 0
    second = Process(home, onnx_directory, "run")
    try:
        second.wait_until_ready()
        yield second
    finally:
        assert second.stop() == 0


def test_memories_survive_a_restart(process: Process) -> None:
    """A memory is found after a restart; the log contains neither its text nor its namespace."""
    request = {"query": "when is the kiln lit?", "namespace": SECRET_PLACE, "budget": 100}
    assert (
        CONTENT
        in httpx.post(f"{process.url}/v1/retrieve", json=request, timeout=10).json()["context"]
    )
    log = process.log.read_text()
    assert log.count("listening") == 2
    assert CONTENT not in log
    assert SECRET_PLACE not in log


def test_run_loads_samples_before_serving(process: Process) -> None:
    """`run` loads the sample memories at the first start only. Every start prints a sample
    retrieval.
    """
    stats = httpx.get(
        f"{process.url}/v1/stats", params={"namespace": SAMPLE_NAMESPACE}, timeout=10
    ).json()
    assert all(item["count"] for item in stats["types"].values())
    shown = process.log.read_text()
    assert (shown.count("Loading the sample memories"), shown.count("advisory locks") > 1) == (
        1,
        True,
    )


def test_port_in_use_is_one_line_with_exit_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "api",
                "--port",
                str(port),
                "--data-dir",
                str(tmp_path / "data"),
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_misspelt_variable_is_refused_at_start(tmp_path: Path, onnx_directory: Path) -> None:
    """A misspelt settings variable ends the service with exit code 2 and a message with the nearest
    correct name.
    """
    refused = Process(tmp_path, onnx_directory, workflow_ttl_hour="1")
    assert refused.child.wait(timeout=60) == 2
    assert "did you mean REMEMBRANCER_WORKFLOW_TTL_HOURS?" in refused.log.read_text()


def test_lifetimes_of_live_state_are_settings(tmp_path: Path, onnx_directory: Path) -> None:
    """Threads, workflows and the event logs of ended workflows expire after the hours in their
    settings. A workflow that did so can still be read.
    """
    one_second = str(1 / 3_600)
    space = {"namespace": "n"}
    hours = {"thread_ttl_hours": one_second, "ended_log_hours": one_second}
    started = Process(tmp_path, onnx_directory, **hours, workflow_ttl_hours=str(6 / 3_600))
    try:
        started.wait_until_ready()
        with httpx.Client(base_url=started.url, timeout=10) as client:
            thread = client.post("/v1/threads", json=space).json()
            assert thread["ttl_s"] == 1
            for name in ("open", "ended"):
                client.post("/v1/workflows", json={**space, "workflow_id": name})
                client.post(f"/v1/workflows/{name}/events", params=space, json={"type": "started"})
            client.post("/v1/workflows/ended/events", params=space, json={"type": "completed"})
            paths = (f"/v1/threads/{thread['id']}", "/v1/workflows/ended/events")
            for path in paths:
                until(lambda path=path: client.get(path, params=space).status_code == 404)  # type: ignore[misc]
            assert client.get("/v1/workflows/open/events", params=space).status_code == 200
            assert (
                client.get("/v1/workflows/ended", params=space).json()["state"]["status"]
                == "completed"
            )
            # Within a minute upkeep ends it as expired
            until(lambda: client.get("/v1/workflows/open", params=space).json()["ttl_s"] == 0)
    finally:
        assert started.stop() == 0


def test_bare_names_of_lifetimes_are_settings_too(
    tmp_path: Path, onnx_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVERSATION_TIMEOUT_HOURS", "2")
    monkeypatch.setenv("WORKFLOW_TTL_HOURS", "5")
    started = Process(tmp_path, onnx_directory)
    space = {"namespace": "n"}
    try:
        started.wait_until_ready()
        with httpx.Client(base_url=started.url, timeout=10) as client:
            thread = client.post("/v1/threads", json=space).json()
            begun = client.post("/v1/workflows", json=space).json()
            path = f"/v1/workflows/{begun['workflow_id']}"
            read = client.get(path, params=space).json()
        assert thread["ttl_s"] == 7_200
        assert 17_990 < begun["ttl_s"] <= 18_000
        assert 17_900 < read["ttl_s"] <= 18_000
    finally:
        assert started.stop() == 0


def test_commands_with_url_use_the_running_service(process: Process, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"type": "semantic", "content": "The build runs on Friday."}))
    for command in (["ingest", str(rows), "--no-resume"], ["search", "when does the build run?"]):
        done = subprocess.run(
            [sys.executable, "-m", "api", *command, "-n", "n", "--url", process.url, "--json"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        answer = json.loads(done.stdout)
    assert answer["hits"][0]["memory"]["content"] == "The build runs on Friday."
    checked = subprocess.run(
        [sys.executable, "-m", "api", "doctor", "--url", process.url, "--json"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(checked.stdout)["checks"]["round trip"]["ok"]


def test_a_command_on_the_folder_of_a_running_service_names_the_way_out(process: Process) -> None:
    command = ["search", "kiln", "-n", SECRET_PLACE, "--data-dir", str(process.log.parent / "data")]
    done = subprocess.run(
        [sys.executable, "-m", "api", *command],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"in use by process {process.child.pid}. Use its service with --url" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_running_service_embeds_its_memories_again(process: Process) -> None:
    """It closes its store meanwhile, and opens it again."""
    counts = httpx.post(f"{process.url}/v1/admin/reembed", timeout=60).json()
    assert counts["total"] > 0
    request = {"query": "when is the kiln lit?", "namespace": SECRET_PLACE, "budget": 100}
    answer = httpx.post(f"{process.url}/v1/retrieve", json=request, timeout=10)
    assert CONTENT in answer.json()["context"]


def test_a_stopped_service_writes_nothing_more(tmp_path: Path, onnx_directory: Path) -> None:
    """Once the process has ended, a copy of the data folder is a complete backup, also if it was
    stopped while it had calls to answer.
    """
    service = Process(tmp_path, onnx_directory)
    service.wait_until_ready()
    stored: list[int] = []

    def write(writer: int) -> None:
        with httpx.Client(base_url=service.url, timeout=30) as client, suppress(httpx.HTTPError):
            while True:
                content = f"Shelf {writer} has {len(stored)} boxes."
                body = {"type": "semantic", "namespace": "n", "content": content}
                stored.append(client.post("/v1/memories", json=body).status_code)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for writer in writers:
        writer.start()
    until(lambda: len(stored) > 20)
    assert service.stop() == 0
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    ended = {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}
    for writer in writers:
        writer.join()
    time.sleep(2)
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files} == ended


@pytest.mark.parametrize("program", ["main", "serve_main"])
def test_ctrl_c_while_modules_load_prints_no_traceback(program: str, tmp_path: Path) -> None:
    """Ctrl-C while the program still imports its modules ends the process by SIGINT, without
    output.
    """
    (tmp_path / "typer.py").write_text("import time; print('loading', flush=True); time.sleep(60)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    # A run of the tests in the background ignores SIGINT, and its children would.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heeding}; from api.cli import entry; entry.{program}()"]
    with subprocess.Popen(
        dies_with_parent(command),
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == "loading\n"
        child.send_signal(signal.SIGINT)
        assert child.stderr.read() == ""
    assert child.returncode == -signal.SIGINT

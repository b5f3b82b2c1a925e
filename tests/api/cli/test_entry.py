"""The `remembrancer` program: its commands, and which modules it imports for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.entry import COMMANDS, application
from ingest.upkeep.planners import UpkeepJob
from tests.api.clients.python.scripted_server import Reply, scripted

HEAVY = (
    "litestar",
    "qdrant_client",
    "qdrant_edge",
    "onnxruntime",
    "redis",
    "numpy",
    "tiktoken",
    "uvicorn",
)
ANSWER = {
    "hits": [],
    "profile": "default",
    "weights": {},
    "as_of": "2026-01-01T00:00:00Z",
    "floor": {"value": 0.1, "dropped": 0},
    "ids": [],
    "counts": {},
    "reasons": {},
}
"""The members of a service's answer that `search` and `jobs` read, without hits and ids."""


def test_the_package_ingest_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "ingest", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "remembrancer ingest [OPTIONS]" in done.stdout


@pytest.mark.parametrize("command", [["search", "tea", "-n", "me"], ["jobs", "expire"]])
def test_a_command_on_a_service_does_not_load_the_service(
    command: list[str], tmp_path: Path
) -> None:
    """A command that calls a service by URL does not import the web framework, stores or encoders.

    Importing them takes two seconds.
    """
    program = f"""
import atexit, sys
from api.cli.entry import main
atexit.register(lambda: print([name for name in {HEAVY} if name in sys.modules]))
main()
"""
    environment = {**os.environ, "HOME": str(tmp_path)}
    with scripted(Reply(200, ANSWER)) as server:
        arguments = [sys.executable, "-c", program, *command, "--url", server.url]
        done = subprocess.run(
            arguments, env=environment, capture_output=True, text=True, check=True, timeout=60
        )
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_lists_every_command() -> None:
    shown = CliRunner().invoke(application(), ["--help"], env={"COLUMNS": "200"}).stdout
    for name in COMMANDS:
        assert f"│ {name} " in shown
    usage = (
        CliRunner()
        .invoke(application("search"), ["search", "--help"], prog_name="remembrancer")
        .stdout
    )
    assert "remembrancer search [OPTIONS]" in usage


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS), ["policies", "convert"]])
def test_help_shows_flags_without_a_type(arguments: list[str]) -> None:
    """`--help` shows the type of an option's value, such as `<int>`, but none for flags, which take
    no value.
    """
    shown = (
        CliRunner()
        .invoke(application(*arguments[:1]), [*arguments, "--help"], env={"COLUMNS": "200"})
        .stdout
    )
    assert "--help" in shown
    assert "<bool>" not in shown


def test_an_unknown_command_is_named() -> None:
    """For an unknown command the message suggests the command with the nearest name."""
    done = CliRunner().invoke(application("serch"), ["serch"])
    assert (done.exit_code, "No such command 'serch'" in done.stderr, "search" in done.stderr) == (
        2,
        True,
        True,
    )


def test_help_of_jobs_lists_every_upkeep_job() -> None:
    shown = (
        CliRunner().invoke(application("jobs"), ["jobs", "--help"], env={"COLUMNS": "200"}).stdout
    )
    assert "|".join(UpkeepJob) in shown

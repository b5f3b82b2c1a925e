"""Installs a memory system in a virtual environment and runs it on a job: memories to store,
queries to search for.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.systems.driver import Array, Item

REQUIREMENTS: Mapping[str, tuple[str, ...]] = {
    "exact": (),
    "chroma": ("chromadb",),
    "langgraph": ("langgraph", "numpy"),
    "txtai": ("txtai",),
    "mempalace": ("mempalace",),
    "mem0": ("mem0ai", "fastembed", "stop-words"),
}
"""Packages to install for each system. A system without packages runs in the project's
environment.
"""

CONSTRAINT = "torch==2.13.0"
"""Version constraint for pip: without it, torch downloads gigabytes of GPU libraries."""

_INSTALL_S = 900.0
_ROOT = Path(__file__).resolve().parents[2]


class NotMeasured(Exception):
    """A system could not be installed or run. The message has the last error or the time limit."""


@dataclass(frozen=True, slots=True)
class Job:
    """The items that a system stores and the queries that it is asked. texts: the text of each row
    of `vectors`.
    """

    items: tuple[Item, ...]
    queries: tuple[Mapping[str, str], ...]
    texts: tuple[str, ...]
    vectors: Array


class DriverAnswer(msgspec.Struct, frozen=True):
    """A system's results. seconds: time to load. ms: time of each search. ranked: memory ids by
    query, best first.
    """

    version: str
    seconds: float
    ms: list[float]
    ranked: dict[str, list[str]]
    notes: list[str]


def interpreter(name: str, root: Path, packages: Sequence[str]) -> Path:
    """A Python interpreter that has `packages`, installed in `root`/`name` if needed. Raises
    NotMeasured.
    """
    if not packages:
        return Path(sys.executable)
    home = root / name
    python = home / "bin" / "python"
    marker = home / "installed"
    if marker.is_file() and marker.read_text(encoding="utf-8") == "\n".join(packages):
        return python
    home.mkdir(parents=True, exist_ok=True)
    constraints = home / "constraints.txt"
    constraints.write_text(CONSTRAINT, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    _run([sys.executable, "-m", "venv", "--without-pip", str(home)], "install", _INSTALL_S)
    _run([*pip, "install", "-q", "-c", str(constraints), *packages], "install", _INSTALL_S)
    marker.write_text("\n".join(packages), encoding="utf-8")
    return python


def write_job(job: Job, folder: Path) -> None:
    """Write `job` to `folder` as job.json and vectors.npy, which the drivers read."""
    np.save(folder / "vectors.npy", job.vectors)
    (folder / "job.json").write_bytes(
        msgspec.json.encode({"items": job.items, "queries": job.queries, "texts": job.texts})
    )


def run_driver(name: str, python: Path, folder: Path, limit_s: float) -> DriverAnswer:
    """Run the system `name` on the job in `folder`, at most `limit_s` seconds. Returns results.
    Raises NotMeasured.
    """
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "HF_HUB_OFFLINE": "1"}
    _run(
        [str(python), "-m", "benchmarks.systems.adapters", name, str(folder)],
        "run",
        limit_s,
        environment,
    )
    return msgspec.json.decode((folder / f"{name}.answer.json").read_bytes(), type=DriverAnswer)


def _run(
    command: Sequence[str],
    action: str,
    limit_s: float,
    environment: Mapping[str, str] | None = None,
) -> None:
    try:
        subprocess.run(  # noqa: S603 - our own command
            command, check=True, capture_output=True, text=True, timeout=limit_s, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise NotMeasured(f"does not {action} within {limit_s:.0f} s") from error
    except subprocess.CalledProcessError as error:
        raise NotMeasured(f"does not {action}: {last_error(error.stderr)}") from error


def last_error(output: str) -> str:
    """The last line of `output` that begins with ERROR, else the last with a letter, cut to 160
    characters.
    """
    lines = [line.strip() for line in output.splitlines() if any(sign.isalpha() for sign in line)]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no output"])[-1][:160]

"""Runs the driver of a system over one set. Knows the job's files, and no system."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders.driver import Array, Item
from benchmarks.contenders.environments import last_line

_ROOT = Path(__file__).resolve().parents[2]


class NotRun(Exception):
    """A driver did not come to its end; the text is the last thing that it said, or how long it was given."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every system is given. texts: all that occur, in the order of the rows of vectors."""

    items: tuple[Item, ...]
    queries: tuple[Mapping[str, str], ...]
    texts: tuple[str, ...]
    vectors: Array


@dataclass(frozen=True, slots=True)
class Ran:
    """What came back. seconds: of loading. ms: of each question. ranked: ids by question, best first."""

    version: str
    seconds: float
    ms: Sequence[float]
    ranked: Mapping[str, Sequence[str]]
    notes: Sequence[str]


def write_job(job: Job, folder: Path) -> None:
    """The files that all drivers read, in `folder`."""
    np.save(folder / "vectors.npy", job.vectors)
    given = {"items": [asdict(item) for item in job.items], "queries": [dict(one) for one in job.queries]}
    (folder / "job.json").write_text(json.dumps({**given, "texts": job.texts}), encoding="utf-8")


def run_driver(name: str, python: Path, folder: Path, limit_s: float) -> Ran:
    """What the system made of the job in `folder`, in a process of its own. Raises NotRun."""
    job: dict[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    answer = folder / f"{name}.answer.json"
    own = folder / f"{name}.json"
    own.write_text(json.dumps({**job, "home": str(folder / name), "answer": str(answer)}), encoding="utf-8")
    command = [str(python), "-m", f"benchmarks.contenders.{name}", str(own)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "HF_HUB_OFFLINE": "1"}
    try:
        subprocess.run(  # noqa: S603 - a driver of ours
            command, check=True, capture_output=True, text=True, timeout=limit_s, cwd=folder, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise NotRun(f"not done within {limit_s:.0f} s") from error
    except subprocess.CalledProcessError as error:
        raise NotRun(f"does not run: {last_line(error.stderr)}") from error
    return Ran(**json.loads(answer.read_text(encoding="utf-8")))

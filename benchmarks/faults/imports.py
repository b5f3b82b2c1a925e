"""`imports`: `python -m ingest` over a folder, killed again and again with and without its engine, and run to its end.

Every row must be kept once, under evidence of one, and the last report's counts must add up to the rows of all files.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.settings import Settings
from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import environment, holders
from benchmarks.apparatus.report import Report, Table
from benchmarks.faults.kept import kept_memories, say

NAMESPACE = "imports"
_LIMIT_S = 900.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class ImportsRequest:
    """count: rows, over four formats. kills: of the import, every other one with its engine."""

    command: str
    count: int = 4_000
    kills: int = 6
    seed: int = 7


def write_files(folder: Path, count: int) -> None:
    """Files of `count` rows in all: JSON Lines, CSV, a ChatGPT export, and a list of mem0's."""
    texts = [f"Parcel {number} goes to shelf {number * 7 % 1_009} of hall {number % 13}." for number in range(count)]
    half, quarter = count // 2, count // 4
    lines, rows, said, facts = texts[:half], texts[half : half + quarter], *_halves(texts[half + quarter :])
    with (folder / "a.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"type": "semantic", "content": one}) + "\n" for one in lines)
    with (folder / "b.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("type", "content"), *(("semantic", one) for one in rows)])
    (folder / "conversations.json").write_text(json.dumps([_conversation(said)]), "utf-8")
    remembered = [{"id": str(number), "memory": one, "user_id": "u"} for number, one in enumerate(facts)]
    (folder / "mem0.json").write_text(json.dumps({"results": remembered}), "utf-8")


def _halves(texts: list[str]) -> tuple[list[str], list[str]]:
    return texts[: len(texts) // 2], texts[len(texts) // 2 :]


def _conversation(texts: list[str]) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for number, text in enumerate(texts):
        message = {
            "id": f"m{number}",
            "author": {"role": "user"},
            "create_time": 1.7e9 + number,
            "content": {"content_type": "text", "parts": [text]},
        }
        after = [f"n{number + 1}"] if number + 1 < len(texts) else []
        before = f"n{number - 1}" if number else None
        nodes[f"n{number}"] = {"id": f"n{number}", "parent": before, "children": after, "message": message}
    return {"title": "Parcels", "create_time": 1.7e9, "mapping": nodes, "current_node": f"n{len(texts) - 1}", "id": "c"}


@dataclass(slots=True)
class _Importer:
    settings: Settings
    folder: Path
    rng: random.Random
    killed: int = 0
    noted: list[int] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ingest", str(self.folder), "--from", "auto", "-n", NAMESPACE, "--json"]
        place = ["--data-dir", str(self.settings.data_dir)]
        return subprocess.Popen([*command, *place], env=environment(self.settings), stdout=subprocess.PIPE)  # noqa: S603 - our own

    def kill_once(self, *, engine: bool) -> None:
        """Start it and kill it a moment after it has noted another finished piece; nothing where it ends before."""
        before = self._pieces()
        child = self.start()
        while child.poll() is None and self._pieces() <= before:
            time.sleep(_POLL_S)
        time.sleep(self.rng.uniform(0.0, 0.5))
        victims = [child.pid, *(holders(self.settings.store_path, besides={os.getpid(), child.pid}) if engine else ())]
        if child.poll() is None:
            self.killed += 1
            self.noted.append(self._pieces())
            say(f"kill {self.killed} {'with' if engine else 'without'} the engine, {self._pieces()} pieces noted")
            for pid in victims:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        child.communicate(timeout=_LIMIT_S)

    def finish(self) -> dict[str, Any]:
        """The report of the run that comes to its end."""
        told, _ = self.start().communicate(timeout=_LIMIT_S)
        report: dict[str, Any] = json.loads(told)
        return report

    def _pieces(self) -> int:
        return sum(one.read_bytes().count(b"\n") for one in (self.settings.data_dir / "journal").glob("import-*.jsonl"))


def measure_imports(request: ImportsRequest) -> Report:
    """The report: kills, rows read, resumed, kept, lost, doubled."""
    rng = random.Random(request.seed)  # noqa: S311 - when to kill is no secret
    with data_directory() as directory:
        (folder := directory / "files").mkdir()
        write_files(folder, request.count)
        importer = _Importer(settings_in(directory), folder, rng)
        for number in range(request.kills):
            importer.kill_once(engine=bool(number % 2))
        told = importer.finish()
        memories = kept_memories(importer.settings, NAMESPACE)
    counts = told["counts"]
    figures = {
        "rows": request.count,
        "kills": importer.killed,
        "read": told["read"],
        "resumed": told["resumed"],
        "counts_that_do_not_add_up": abs(told["read"] - sum(counts.values())) + abs(told["read"] - request.count),
        "stored": counts["stored"],
        "merged": counts["merged"],
        "kept": len(memories),
        "lost": request.count - len({one["content"] for one in memories}),
        "doubled": sum(one.get("evidence_count", 1) > 1 for one in memories),
    }
    table = Table("An import that is killed and run again", tuple(figures), (tuple(figures.values()),))
    return Report(request.command, (table,), (), figures)

"""The command `python -m ingest` imports a folder, is killed with or without its store process, and
is run again.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.settings import Settings
from benchmarks.harness.service import environment, kill, worker_of
from tests.soak.service import Sizes, seeded, stored_memories

NAMESPACE = "imports"
_LIMIT_S = 900.0
_POLL_S = 0.02
_PIECE = 256


@dataclass(frozen=True, slots=True)
class Importer:
    """Runs the import of a folder in a process that tests kill."""

    settings: Settings
    folder: Path
    rng: random.Random

    def start(self) -> subprocess.Popen[bytes]:
        """Start an import and return its process."""
        command = [
            sys.executable,
            "-m",
            "ingest",
            str(self.folder),
            "--from",
            "auto",
            "-n",
            NAMESPACE,
            "--json",
        ]
        place = ["--data-dir", str(self.settings.data_dir)]
        return subprocess.Popen(
            [*command, *place], env=environment(self.settings), stdout=subprocess.PIPE
        )

    def kill_once(self, *, engine: bool) -> bool:
        """Start an import and kill it while it runs. Returns False if it ended before.

        engine: whether to kill the store's process, too.
        """
        before = self._pieces()
        child = self.start()
        while child.poll() is None and self._pieces() <= before:
            time.sleep(_POLL_S)
        time.sleep(self.rng.uniform(0.0, 0.5))
        alive = child.poll() is None
        if alive:
            kill([child.pid, worker_of(self.settings.store_path)] if engine else [child.pid])
        child.communicate(timeout=_LIMIT_S)
        return alive

    def finish(self) -> dict[str, Any]:
        """Run an import to its end and return its report."""
        output, _ = self.start().communicate(timeout=_LIMIT_S)
        report: dict[str, Any] = json.loads(output)
        return report

    def _pieces(self) -> int:
        journals = (self.settings.data_dir / "journal").glob("import-*.jsonl")
        return sum(path.read_bytes().count(b"\n") for path in journals)


@pytest.mark.slow
def test_a_killed_import_resumes(settings: Settings) -> None:
    """An import that was killed, once alone and once with its store process, resumes and stores
    each row once.
    """
    _imports_each_row_once(settings, rows=640, kills=2)


@pytest.mark.soak
def test_an_import_survives_many_kills(settings: Settings, sizes: Sizes) -> None:
    """An import that is killed several times and started again stores each row once, and its report
    counts all rows.
    """
    _imports_each_row_once(settings, rows=sizes.pick(2_000, 4_000), kills=sizes.pick(3, 6))


def _imports_each_row_once(settings: Settings, *, rows: int, kills: int) -> None:
    folder = settings.data_dir / "files"
    folder.mkdir()
    write_files(folder, rows)
    importer = Importer(settings, folder, seeded())
    killed = [importer.kill_once(engine=bool(number % 2)) for number in range(kills)]
    report = importer.finish()
    memories = stored_memories(settings, NAMESPACE)
    assert any(killed)
    assert report["resumed"] >= _PIECE
    assert report["read"] == sum(report["counts"].values()) == rows
    assert report["counts"]["stored"] + report["counts"]["merged"] == len(memories) == rows
    assert len({memory["content"] for memory in memories}) == rows
    assert {memory.get("evidence_count", 1) for memory in memories} == {1}


def write_files(folder: Path, count: int) -> None:
    """Write JSON Lines, CSV, a ChatGPT export and a mem0 export with `count` rows in all."""
    texts = [
        f"Parcel {number} goes to shelf {number * 7 % 1_009} of hall {number % 13}."
        for number in range(count)
    ]
    half = count // 2
    quarter = count // 4
    eighth = count // 8
    lines = texts[:half]
    table = texts[half : half + quarter]
    said = texts[half + quarter : -eighth]
    facts = texts[-eighth:]
    with (folder / "a.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"type": "semantic", "content": text}) + "\n" for text in lines)
    with (folder / "b.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("type", "content"), *(("semantic", text) for text in table)])
    (folder / "conversations.json").write_text(json.dumps([_conversation(said)]), "utf-8")
    memories = [
        {"id": str(number), "memory": text, "user_id": "u"} for number, text in enumerate(facts)
    ]
    (folder / "mem0.json").write_text(json.dumps({"results": memories}), "utf-8")


def _conversation(texts: list[str]) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for number, text in enumerate(texts):
        message = {
            "id": f"m{number}",
            "author": {"role": "user"},
            "create_time": 1.7e9 + number,
            "content": {"content_type": "text", "parts": [text]},
        }
        children = [f"n{number + 1}"] if number + 1 < len(texts) else []
        parent = f"n{number - 1}" if number else None
        nodes[f"n{number}"] = {
            "id": f"n{number}",
            "parent": parent,
            "children": children,
            "message": message,
        }
    return {
        "title": "Parcels",
        "create_time": 1.7e9,
        "mapping": nodes,
        "current_node": f"n{len(texts) - 1}",
        "id": "c",
    }

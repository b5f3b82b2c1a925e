"""Comparing systems: what a driver is given and brings back, and what becomes of one that can't."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.apparatus.report import as_json, render_report
from benchmarks.contenders.compare import CompareRequest, fit, measure_compare, score
from benchmarks.contenders.driver import Item
from benchmarks.contenders.environments import NotInstalled, interpreter, last_line
from benchmarks.contenders.ours import Scored
from benchmarks.contenders.runs import Job, NotRun, Ran, run_driver, write_job
from benchmarks.contenders.summary import Outcome, table
from benchmarks.sets.data import read_set
from tests.benchmarks.sets import CORPUS, QUERIES, write_set

ITEMS = (
    Item("a", "n", "s", "north"),
    Item("b", "n", "s", "north east"),
    Item("c", "n", "s", "south"),
    Item("d", "other", "s", "elsewhere"),
)
TEXTS = ("north", "north east", "south", "elsewhere", "up?")
VECTORS = np.array([[0, 1], [0.6, 0.8], [0, -1], [0, 1], [0, 1]], dtype=np.float32)
JOB = Job(ITEMS, ({"id": "q", "namespace": "n", "text": "up?"},), TEXTS, VECTORS)


def test_a_driver_loads_asks_and_tells(tmp_path: Path) -> None:
    """In a process of its own: every memory of the namespace by cosine, and how long it took."""
    write_job(JOB, tmp_path)
    ran = run_driver("exact", Path(sys.executable), tmp_path, 60.0)
    assert ran.ranked == {"q": ["a", "b", "c"]}
    assert ran.version == np.__version__
    assert len(ran.ms) == 1
    assert ran.ms[0] > 0
    assert ran.seconds > 0


def test_a_driver_that_fails_is_told_by_its_last_words(tmp_path: Path) -> None:
    """A job without its vectors ends with the driver's own error."""
    write_job(JOB, tmp_path)
    (tmp_path / "vectors.npy").unlink()
    with pytest.raises(NotRun, match=r"does not run: FileNotFoundError: .*vectors\.npy"):
        run_driver("exact", Path(sys.executable), tmp_path, 60.0)


def test_a_driver_has_its_time(tmp_path: Path) -> None:
    """One that takes longer is stopped."""
    write_job(JOB, tmp_path)
    with pytest.raises(NotRun, match="not done within 0 s"):
        run_driver("exact", Path(sys.executable), tmp_path, 0.01)


def test_what_needs_nothing_runs_here(tmp_path: Path) -> None:
    """No environment is made for it."""
    assert interpreter("exact", tmp_path, ()) == Path(sys.executable)
    assert list(tmp_path.iterdir()) == []


def test_what_is_installed_stays(tmp_path: Path) -> None:
    """An environment that was made for the same requirements is used as it is."""
    home = tmp_path / "system"
    home.mkdir()
    (home / "installed").write_text("one\ntwo", encoding="utf-8")
    assert interpreter("system", tmp_path, ("one", "two")) == home / "bin" / "python"


def test_what_does_not_install_is_told(tmp_path: Path) -> None:
    """The installation's last words are the reason, and the next run tries again."""
    for _ in range(2):
        with pytest.raises(NotInstalled, match=r"does not install: .*[Ii]nvalid requirement"):
            interpreter("system", tmp_path, ("no such requirement !",))


def test_last_words_are_short() -> None:
    """The last line that says something."""
    assert last_line("Traceback\n  File x\nValueError: no\n\n") == "ValueError: no"
    assert last_line("ERROR: no such package\nhint: look again\n  ^\n") == "ERROR: no such package"
    assert last_line("\n ^\n") == "it said nothing"
    assert len(last_line("x" * 900)) == 160


def test_a_context_takes_what_fits_in_order_of_rank() -> None:
    """A line that does not fit is passed over; later ones may still fit."""
    texts = {"a": "one two three", "b": "one two three four five", "c": "one"}
    assert fit(["b", "a", "c"], texts, lambda text: len(text.split()), budget=4) == ["a", "c"]


def test_recall_is_of_the_first_ten_and_of_the_lines_that_fit(tmp_path: Path) -> None:
    """What a driver ranked is scored with the evidence of each question."""
    wanted = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    items = [Item(entry["id"], entry["conversation"], "s", entry["text"]) for entry in CORPUS]
    ranked = {"q1": ["c1:1", "c1:3"], "q2": ["c1:1"], "q3": ["c2:1"]}
    found = score(Ran("1", 1.0, [1.0], ranked, []), wanted, items, lambda text: 400 if "violin" in text else 600)
    assert list(found.recalls) == [1.0, 0.0, 1.0]
    assert list(found.shown) == [0.0, 0.0, 1.0]


def test_a_system_that_can_not_is_a_row() -> None:
    """It has its reason and dashes; the others are told over the floor of the same set, and beside ours."""
    ours = Scored("2.1", [1.0, 0.5], [1.0, 1.0], [4.0, 8.0], 2.0, ["plain"])
    floor = Scored("1.0", [0.0, 0.5], [0.0, 0.0], [2.0, 2.0], 1.0)
    outcomes = [
        Outcome("s", 10, "remembrancer", ours),
        Outcome("s", 10, "exact", floor),
        Outcome("s", 10, "x", None, "does not run"),
        Outcome("other", 10, "x", floor),
    ]
    first, second, third, fourth = table(outcomes).rows
    assert first[5:7] == (None, None)
    assert first[8:] == (4.0, 8.0, 2.0, 5, "plain")
    assert str(first[4]).startswith("0.750 [")
    assert str(second[5]).startswith("0.500 [0.000")
    assert second[6] == pytest.approx(1.0)
    assert third == ("s", "x", *[None] * 10, "does not run")
    assert fourth[5:7] == (None, None)
    assert fourth[10] is None


@pytest.mark.slow
def test_the_product_is_measured_beside_the_others(
    tmp_path: Path, onnx_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real run over a small set, with the floor beside it and what was measured as JSON."""
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    write_set(tmp_path / "sets" / "small", CORPUS, QUERIES)
    report = measure_compare(CompareRequest("compare", tmp_path / "sets", systems=("exact",)))
    ours, exact = report.tables[0].rows
    assert ours[:2] == ("small", "remembrancer")
    assert exact[:2] == ("small", "exact")
    figures: list[dict[str, Any]] = json.loads(json.dumps(as_json(report)))["figures"]["outcomes"]
    assert [one["R@10"]["mean"] for one in figures] == [1.0, 1.0]
    assert figures[0]["evidence_recall"]["1000"]["mean"] == 1.0
    assert figures[1]["over_exact"] == 1.0
    assert "x exact" in render_report(report)
    assert capsys.readouterr().err == "... small: remembrancer\n... small: exact\n"

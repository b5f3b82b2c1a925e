"""Comparing Remembrancer with other memory systems: running each system's driver script, scores,
and the table.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.report import as_json, render_report
from benchmarks.sets.data import read_set
from benchmarks.systems.compare import (
    CompareRequest,
    SystemResult,
    compare_table,
    fit,
    measure_compare,
    score_answer,
)
from benchmarks.systems.driver import Item
from benchmarks.systems.ours import SystemScore
from benchmarks.systems.running import (
    DriverAnswer,
    Job,
    NotMeasured,
    interpreter,
    last_error,
    run_driver,
    write_job,
)
from tests.benchmarks.small_set import CORPUS, QUERIES, write_set

ITEMS = (
    Item("a", "n", "s", "north"),
    Item("b", "n", "s", "north east"),
    Item("c", "n", "s", "south"),
    Item("d", "other", "s", "elsewhere"),
)
TEXTS = ("north", "north east", "south", "elsewhere", "up?")
VECTORS = np.array([[0, 1], [0.6, 0.8], [0, -1], [0, 1], [0, 1]], dtype=np.float32)
JOB = Job(ITEMS, ({"id": "q", "namespace": "n", "text": "up?"},), TEXTS, VECTORS)


def test_a_driver_loads_and_searches(tmp_path: Path) -> None:
    """The driver script of a compared system runs in a separate process, loads memories and answers
    a query.

    Its answer has the ranked ids, the system's version, and the times of loading and searching.
    """
    write_job(JOB, tmp_path)
    answer = run_driver("exact", Path(sys.executable), tmp_path, 60.0)
    assert answer.ranked == {"q": ["a", "b", "c"]}
    assert answer.version == np.__version__
    assert len(answer.ms) == 1
    assert answer.ms[0] > 0
    assert answer.seconds > 0


def test_a_failing_driver_is_reported_with_its_error(tmp_path: Path) -> None:
    """If the driver script of a compared system fails, the reason for its missing score has the
    script's error.
    """
    write_job(JOB, tmp_path)
    (tmp_path / "vectors.npy").unlink()
    with pytest.raises(NotMeasured, match=r"does not run: FileNotFoundError: .*vectors\.npy"):
        run_driver("exact", Path(sys.executable), tmp_path, 60.0)


def test_a_driver_has_a_time_limit(tmp_path: Path) -> None:
    """The driver script of a compared system is killed if it runs longer than the limit, and gets
    no score.
    """
    write_job(JOB, tmp_path)
    with pytest.raises(NotMeasured, match="does not run within 0 s"):
        run_driver("exact", Path(sys.executable), tmp_path, 0.01)


def test_a_system_without_packages_runs_in_this_environment(tmp_path: Path) -> None:
    assert interpreter("exact", tmp_path, ()) == Path(sys.executable)
    assert list(tmp_path.iterdir()) == []


def test_an_installed_environment_is_reused(tmp_path: Path) -> None:
    """A system's virtual environment is not installed again if its list of packages is
    unchanged.
    """
    home = tmp_path / "system"
    home.mkdir()
    (home / "installed").write_text("one\ntwo", encoding="utf-8")
    assert interpreter("system", tmp_path, ("one", "two")) == home / "bin" / "python"


def test_a_system_that_cannot_be_installed_is_reported(tmp_path: Path) -> None:
    """If pip cannot install a compared system, NotMeasured is raised with pip's error. The next run
    tries again.
    """
    for _ in range(2):
        with pytest.raises(NotMeasured, match=r"does not install: .*[Ii]nvalid requirement"):
            interpreter("system", tmp_path, ("no such requirement !",))


def test_the_last_error_is_one_short_line() -> None:
    """`last_error` returns the last line of an output that begins with "ERROR", or else the last
    with a letter.

    It has at most 160 characters.
    """
    assert last_error("Traceback\n  File x\nValueError: no\n\n") == "ValueError: no"
    assert last_error("ERROR: no such package\nhint: look again\n  ^\n") == "ERROR: no such package"
    assert last_error("\n ^\n") == "no output"
    assert len(last_error("x" * 900)) == 160


def test_a_context_takes_texts_that_fit_in_order_of_rank() -> None:
    """A text that does not fit is skipped, and later texts are still tried."""
    texts = {"a": "one two three", "b": "one two three four five", "c": "one"}
    assert fit(["b", "a", "c"], texts, lambda text: len(text.split()), budget=4) == ["a", "c"]


def test_answers_are_scored_by_rank_and_by_context(tmp_path: Path) -> None:
    """A system's answer has two scores: the recall of its 10 best texts, and of those that fit a
    context.
    """
    dataset = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    items = [Item(entry["id"], entry["conversation"], "s", entry["text"]) for entry in CORPUS]
    ranked = {"q1": ["c1:1", "c1:3"], "q2": ["c1:1"], "q3": ["c2:1"]}
    scored = score_answer(
        DriverAnswer("1", 1.0, [1.0], ranked, []),
        dataset,
        items,
        lambda text: 400 if "violin" in text else 600,
    )
    assert list(scored.recalls) == [1.0, 0.0, 1.0]
    assert list(scored.shown) == [0.0, 0.0, 1.0]


def test_a_system_without_score_is_a_row_with_the_reason() -> None:
    """A system without a score has a row with the reason.

    Other rows have their difference to Remembrancer and their ratio to exact search.
    """
    ours = SystemScore("2.1", [1.0, 0.5], [1.0, 1.0], [4.0, 8.0], 2.0, ["plain"])
    floor = SystemScore("1.0", [0.0, 0.5], [0.0, 0.0], [2.0, 2.0], 1.0)
    results = [
        SystemResult("s", 10, "remembrancer", ours),
        SystemResult("s", 10, "exact", floor),
        SystemResult("s", 10, "x", None, "does not run"),
        SystemResult("other", 10, "x", floor),
    ]
    first, second, third, fourth = compare_table(results).rows
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
    tmp_path: Path,
    onnx_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A comparison with the real encoder over three questions has a row for Remembrancer and a row
    for exact search.
    """
    monkeypatch.setenv("REMEMBRANCER_ENCODER_DIR", str(onnx_directory))
    by_event = {
        **QUERIES[1],
        "text": "What happened a day before the harbour crane was painted yellow?",
    }
    write_set(tmp_path / "sets" / "small", CORPUS, [QUERIES[0], by_event, QUERIES[2]])
    report = measure_compare(CompareRequest(tmp_path / "sets", systems=("exact",)))
    ours, exact = report.tables[0].rows
    assert ours[:2] == ("small", "remembrancer")
    assert exact[:2] == ("small", "exact")
    figures: list[dict[str, Any]] = json.loads(json.dumps(as_json("compare", report)))["figures"][
        "results"
    ]
    assert [row["recall"]["mean"] for row in figures] == [1.0, 1.0]
    assert figures[0]["context"]["mean"] == 1.0
    assert figures[1]["over_exact"] == 1.0
    assert "x exact" in render_report("compare", report)
    assert capsys.readouterr().err == "... small: remembrancer\n... small: exact\n"

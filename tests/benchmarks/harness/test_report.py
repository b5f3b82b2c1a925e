"""Benchmark reports as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.harness.report import (
    Report,
    Table,
    as_json,
    machine,
    publish,
    render_report,
    render_table,
    spread_table,
)

TABLE = Table("Recall", ("set", "n", "R@10"), (("turns", 877, 0.6634), ("long name", 7, None)))


def test_numbers_are_right_aligned_and_texts_left_aligned() -> None:
    assert render_table(TABLE).splitlines() == [
        "Recall",
        "",
        "| set       |   n |  R@10 |",
        "|-----------|-----|-------|",
        "| turns     | 877 | 0.663 |",
        "| long name |   7 |     - |",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.000"), (9.8765, "9.877"), (12.34, "12.3"), (-0.5, "-0.500"), (12_345.6, "12,346")],
)
def test_numbers_have_about_three_digits(value: float, shown: str) -> None:
    """The tables of a report show floats with about three significant digits."""
    assert f" {shown} |" in render_table(Table("t", ("x",), ((value,),))).splitlines()[-1]


def test_a_row_with_too_few_or_many_cells_is_refused() -> None:
    """A table with a row that has more or fewer cells than columns raises an error."""
    with pytest.raises(ValueError, match="2 cells under 1 columns"):
        Table("t", ("x",), ((1, 2),))


def test_a_report_names_command_machine_and_notes() -> None:
    text = render_report("python -m benchmarks quality", Report((TABLE,), ("by query",)))
    assert text.startswith("$ python -m benchmarks quality\n")
    assert f"python {machine()['python']}" in text
    assert text.endswith("- by query")


def test_json_holds_the_figures_and_the_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The JSON file of a report has its figures, machine and tables. The report is also printed as
    text.
    """
    report = Report((TABLE,), (), {"violations": 0})
    publish("c", report, tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["figures"] == {"violations": 0}
    assert written["machine"] == machine()
    assert written["tables"][0]["rows"][0] == ["turns", 877, 0.6634]
    assert written == json.loads(json.dumps(as_json("c", report)))
    assert "long name" in capsys.readouterr().out


def test_a_spread_table_has_median_minimum_and_maximum() -> None:
    assert spread_table("t", {"ratio": [3.0, 1.23456, 2.0]}).rows == (("ratio", 2.0, 1.235, 3.0),)

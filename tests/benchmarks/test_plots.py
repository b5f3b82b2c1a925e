"""Charts of result files, and the page that shows them."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import main
from benchmarks.plotting.charts import (
    Axis,
    Chart,
    DotChart,
    Line,
    LineChart,
    Point,
    Row,
    number,
    render_svg,
    ticks_up_to,
)
from benchmarks.plotting.results import TIMED, BadResults, Results, charts, read_results

SVG = "{http://www.w3.org/2000/svg}"
INTERVAL = {"mean": 0.5, "low": 0.4, "high": 0.6}
QUALITY: dict[str, Any] = {
    "turns": {
        name: {"n": 3, "right": {"evidence_recall": {"500": INTERVAL, "4000": {"mean": 1, "low": 1, "high": 1}}}}
        for name in ("(all)", "hop & skip", "<temporal>")
    },
    "comparisons": [],
}
LATENCY = {
    str(size): {"ms": {name: {"p50": size / 1_000, "p95": size / 500, "p99": 9} for name in TIMED}}
    for size in (1_000, 100_000)
}
COMPARE = {
    "outcomes": [
        {"set": "turns", "system": "ours", "version": "1", "R@10": INTERVAL, "evidence_recall": {"1000": INTERVAL}},
        {"set": "turns", "system": "gone", "reason": "does not install"},
    ]
}


def _results(kind: str, figures: Any, name: str = "run") -> Results:
    return Results(name, f"python -m benchmarks {kind} --json x", {"cores": "2"}, figures)


def _texts(chart: Chart) -> list[str | None]:
    return [text.text for text in ET.fromstring(render_svg(chart)).iter(f"{SVG}text")]  # noqa: S314 - our own


@given(st.floats(1e-3, 1e9))
def test_ticks_are_few_and_reach_the_highest(highest: float) -> None:
    """From 0 on in equal steps, the last not below the highest value and the one before it below."""
    ticks = ticks_up_to(highest)
    assert ticks[0] == 0
    assert ticks[-2] < highest * (1 + 1e-6)
    assert ticks[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(ticks) <= 7
    steps = [after - before for before, after in pairwise(ticks)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-6)


def test_nothing_has_an_axis_too() -> None:
    """Where every value is 0 the axis goes to 1."""
    assert ticks_up_to(0.0) == (0.0, 1.0)


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.booleans())
def test_larger_values_lie_further(one: float, other: float, log: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    """Every value between the ends has its place between 0 and 1, in order."""
    axis = Axis("x", (1.0, 1e6), log)
    low, high = sorted((one, other))
    assert 0 <= axis.place(low) <= axis.place(high) <= 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.2, "0.2"), (500.0, "500"), (1_000.0, "1k"), (1_500.0, "1500"), (100_000.0, "100k"), (2e6, "2M")],
)
def test_large_numbers_are_short(value: float, shown: str) -> None:
    """Thousands and millions have their letter where that loses nothing."""
    assert number(value) == shown


def test_a_line_chart_shows_its_lines_where_they_are() -> None:
    """Ends of the axes are the ends of the plot; intervals, labels, units and legend are there."""
    points = (Point(500, 0.0, 0.0, 0.5), Point(4_000, 1.0))
    chart = LineChart(
        "t",
        Axis("budget, tokens", (500, 4_000), log=True),
        Axis("share", (0, 1)),
        (Line("a & b", points, 0, dashed=True),),
    )
    drawn = ET.fromstring(render_svg(chart))  # noqa: S314 - our own
    (line,) = drawn.iter(f"{SVG}polyline")
    assert line.attrib["points"] == "64.0,348.0 524.0,14.0"
    assert line.attrib["stroke-dasharray"] == "6 4"
    assert len(list(drawn.iter(f"{SVG}circle"))) == 2
    assert {"budget, tokens", "share", "500", "4k", "a & b"} <= set(_texts(chart))


def test_a_dot_chart_names_and_tells_each_row() -> None:
    """A row has its name, its dot within its interval, and its value in figures."""
    chart = DotChart("t", Axis("share", (0, 1)), (Row("ours", 0.75, 0.5, 1.0), Row("theirs", 0.25, 0.0, 0.5)))
    drawn = ET.fromstring(render_svg(chart))  # noqa: S314 - our own
    first, second = (float(dot.attrib["cx"]) for dot in drawn.iter(f"{SVG}circle"))
    assert first - second == pytest.approx(0.5 * 480)
    assert {"ours", "theirs", "0.750", "0.250", "share"} <= set(_texts(chart))


def test_recall_is_drawn_for_all_sets_and_each_category() -> None:
    """One chart of all sets, and one of each set's categories."""
    whole, by_category = charts([_results("quality", QUALITY)])
    assert isinstance(whole, LineChart)
    assert isinstance(by_category, LineChart)
    assert [line.name for line in whole.lines] == ["turns"]
    assert whole.lines[0].points[0] == Point(500.0, 0.5, 0.4, 0.6)
    assert [line.name for line in by_category.lines] == ["hop & skip", "<temporal>"]


def test_the_same_set_twice_is_told_apart_by_its_file() -> None:
    """Two runs of one set are two lines, named after their files."""
    whole, *_ = charts([_results("quality", QUALITY, "before"), _results("quality", QUALITY, "after")])
    assert isinstance(whole, LineChart)
    assert [line.name for line in whole.lines] == ["turns, before", "turns, after"]


def test_latency_is_drawn_against_size() -> None:
    """p50 and p95 of each call share a colour, and the axis holds the slowest."""
    (chart,) = charts([_results("latency", LATENCY)])
    assert isinstance(chart, LineChart)
    assert chart.x.ticks == (1_000.0, 100_000.0)
    assert chart.y.ticks[-1] == 200.0
    assert [(line.name, line.colour, line.dashed) for line in chart.lines[:2]] == [
        ("HTTP retrieve, p50", 0, False),
        ("HTTP retrieve, p95", 0, True),
    ]


def test_a_large_store_is_drawn_beside_a_small_one() -> None:
    """What `scale` measured is drawn as latency is; two files are told apart."""
    told = {"sizes": {"1000000": {"p50_ms": 9.0, "p95_ms": 30.0}, "10000": {"p50_ms": 4.0, "p95_ms": 10.0}}}
    (chart,) = charts([_results("scale", told)])
    assert isinstance(chart, LineChart)
    assert chart.lines[1] == Line("retrieve, p95", (Point(10_000, 10.0), Point(1_000_000, 30.0)), 0, dashed=True)
    first, second = charts([_results("scale", told, "a"), _results("scale", told, "b")])
    assert (first.title, second.title) == ("Retrieval in a large store, a", "Retrieval in a large store, b")


def test_systems_that_did_not_run_are_not_drawn() -> None:
    """A comparison has a chart a set and figure, of the systems that have one."""
    first, second = charts([_results("compare", COMPARE)])
    assert isinstance(first, DotChart)
    assert (first.title, second.title) == ("turns: R@10", "turns: evidence in 1,000 tokens")
    assert first.rows == (Row("ours 1", 0.5, 0.4, 0.6),)


def test_the_page_holds_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Charts, commands and machine are in one file, names are escaped, and nothing is fetched."""
    files = []
    for kind, figures in (("quality", QUALITY), ("latency", LATENCY), ("compare", COMPARE)):
        path = tmp_path / f"{kind}.json"
        content = {"command": f"python -m benchmarks {kind} --x <y>", "machine": {"cores": "2"}, "figures": figures}
        path.write_text(json.dumps(content), encoding="utf-8")
        files.append(str(path))
    assert main(["plots", *files, "--out", str(tmp_path / "page.html")]) == 0
    assert "Latency against size" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg ") == page.count("</svg>") == 5
    assert "&lt;temporal&gt;" in page
    assert "<temporal>" not in page
    assert "python -m benchmarks quality --x &lt;y&gt;" in page
    assert not re.search(r"(src|href)=|@import|url\(", page)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not written by --json"),
        ("[]", "not written by --json"),
        (
            '{"command": "x", "machine": {}, "figures": {}}',
            "its command has no plot; these have: compare, latency, quality, scale",
        ),
        ('{"command": "python -m benchmarks due", "machine": {}, "figures": {}}', "due has no plot"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, told: str) -> None:
    """A file that no command wrote, or that has no plot, is named."""
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadResults, match=told):
        read_results(path)

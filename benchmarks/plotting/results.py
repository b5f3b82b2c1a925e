"""The results that commands wrote with --json, as charts: one reader a command. Knows what their figures are called."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.data import BadSet
from benchmarks.plotting.charts import COLOURS, Axis, Chart, DotChart, Line, LineChart, Point, Row, ticks_up_to
from benchmarks.summaries import ALL

RECALL = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
TIMED = ("HTTP retrieve", "retrieve", "search", "floor")
"""What is drawn of `latency`: the rest are stages of these."""

_WITH_INTERVALS = 6
"""Lines of a chart that still have room for their intervals."""


class BadResults(BadSet):
    """A file is not what a command wrote with --json; the text names it."""


@dataclass(frozen=True, slots=True)
class Results:
    """One result file. name: the file's, without its ending."""

    name: str
    command: str
    machine: Mapping[str, str]
    figures: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The command's name: the word after `python -m benchmarks`."""
        words = self.command.split()
        return words[3] if words[:3] == ["python", "-m", "benchmarks"] and len(words) > 3 else ""


Reader: TypeAlias = Callable[[Sequence[Results]], list[Chart]]


def read_results(path: Path) -> Results:
    """The results in the file. Raises BadResults."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = Results(path.stem, content["command"], content["machine"], content["figures"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadResults(f"{path}: not written by --json: {error}") from error
    if found.kind not in READERS:
        raise BadResults(f"{path}: {found.kind or 'its command'} has no plot; these have: {', '.join(sorted(READERS))}")
    return found


def charts(results: Sequence[Results]) -> list[Chart]:
    """Every chart that the results have figures for, those of one command together."""
    return [
        chart
        for kind, reader in READERS.items()
        if (mine := [one for one in results if one.kind == kind])
        for chart in reader(mine)
    ]


def recall_charts(results: Sequence[Results]) -> list[Chart]:
    """Evidence recall against the budget: of all sets, then of each set by category."""
    runs = [(one, name, figures) for one in results for name, figures in one.figures.items() if ALL in figures]
    twice = len({name for _, name, _ in runs}) < len(runs)
    whole = [
        (f"{name}, {one.name}" if twice else name, figures[ALL]["right"]["evidence_recall"])
        for one, name, figures in runs
    ]
    drawn = [_recall("Evidence recall against the budget, all sets", whole)] if whole else []
    for one, name, figures in runs:
        each = [(category, figures[category]["right"]["evidence_recall"]) for category in figures if category != ALL]
        if each:
            drawn.append(_recall(f"{name} by category{f', {one.name}' if twice else ''}", each))
    return list(drawn)


def latency_charts(results: Sequence[Results]) -> list[Chart]:
    """Milliseconds against the memories in the store, p50 and p95."""
    return [_latency(one, len(results) > 1) for one in results]


def comparison_charts(results: Sequence[Results]) -> list[Chart]:
    """Recall of each system, a chart a set and figure."""
    drawn: list[Chart] = []
    for one in results:
        measured = [outcome for outcome in one.figures["outcomes"] if "R@10" in outcome]
        for name in dict.fromkeys(outcome["set"] for outcome in measured):
            mine = [outcome for outcome in measured if outcome["set"] == name]
            drawn.append(_dots(f"{name}: R@10", "recall in the first ten", [(o, o["R@10"]) for o in mine]))
            shown = [(o, o["evidence_recall"]["1000"]) for o in mine]
            drawn.append(_dots(f"{name}: evidence in 1,000 tokens", "evidence recall in 1,000 tokens", shown))
    return drawn


def _recall(title: str, named: Sequence[tuple[str, Mapping[str, Mapping[str, float]]]]) -> LineChart:
    """A line each; with its intervals, unless there are so many that nobody could tell whose they are."""
    ends = ("low", "high") if len(named) <= _WITH_INTERVALS else ()
    lines = [
        Line(
            name,
            tuple(Point(float(budget), one["mean"], *(one[end] for end in ends)) for budget, one in recalls.items()),
            place,
            dashed=place >= len(COLOURS),
        )
        for place, (name, recalls) in enumerate(named)
    ]
    budgets = sorted({point.x for line in lines for point in line.points})
    x = Axis("budget of the context, tokens (logarithmic)", tuple(budgets), log=True)
    return LineChart(title, x, Axis("evidence recall, share", RECALL), tuple(lines))


def _latency(one: Results, several: bool) -> LineChart:  # noqa: FBT001 - whether the title names the file
    sizes = sorted(int(size) for size in one.figures)
    lines = [
        Line(
            f"{name}, {share}",
            tuple(Point(float(size), one.figures[str(size)]["ms"][name][share]) for size in sizes),
            place,
            dashed=share == "p95",
        )
        for place, name in enumerate(TIMED)
        for share in ("p50", "p95")
    ]
    highest = max(point.y for line in lines for point in line.points)
    x = Axis("memories in the store (logarithmic)", tuple(map(float, sizes)), log=True)
    title = f"Latency against size{f', {one.name}' if several else ''}"
    return LineChart(title, x, Axis("milliseconds", ticks_up_to(highest)), tuple(lines))


def _dots(title: str, label: str, rows: Iterable[tuple[Mapping[str, Any], Mapping[str, float]]]) -> DotChart:
    ordered = sorted(rows, key=lambda pair: -pair[1]["mean"])
    return DotChart(
        title,
        Axis(f"{label}, share with its 95 % interval", RECALL),
        tuple(Row(f"{o['system']} {o['version']}", r["mean"], r["low"], r["high"]) for o, r in ordered),
    )


READERS: Mapping[str, Reader] = {
    "quality": recall_charts,
    "latency": latency_charts,
    "compare": comparison_charts,
}
"""By the name of the command that wrote the file."""

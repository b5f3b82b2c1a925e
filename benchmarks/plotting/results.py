"""The results that commands wrote with --json, as charts: one reader a command. Knows what their figures are called."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.plotting.charts import COLOURS, Axis, Chart, DotChart, Line, LineChart, Point, Row, ticks_up_to
from benchmarks.quality.summaries import ALL
from benchmarks.sets.data import BadSet

RECALL = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
TIMED = ("HTTP retrieve", "retrieve", "search", "floor")
"""What is drawn of `latency`: the rest are stages of these."""

SHARES = ("p50", "p95")

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
    """Milliseconds of each call against the memories in the store, p50 and p95."""
    drawn: list[Chart] = []
    for one in results:
        calls = {name: {size: told["ms"][name] for size, told in one.figures.items()} for name in TIMED}
        drawn.append(_by_size(f"Latency against size{_suffix(one, results)}", calls))
    return drawn


def scale_charts(results: Sequence[Results]) -> list[Chart]:
    """Milliseconds of a retrieval in the small store and in the large one."""
    drawn: list[Chart] = []
    for one in results:
        told = one.figures["sizes"]
        ms = {size: {share: told[size][f"{share}_ms"] for share in SHARES} for size in told}
        drawn.append(_by_size(f"Retrieval in a large store{_suffix(one, results)}", {"retrieve": ms}))
    return drawn


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


def _by_size(title: str, calls: Mapping[str, Mapping[str, Mapping[str, float]]]) -> LineChart:
    """Milliseconds over memories, p50 and p95 of each call in one colour. calls: by name, size and share."""
    lines = [
        Line(f"{name}, {share}", _timed(by_size, share), place, dashed=share == "p95")
        for place, (name, by_size) in enumerate(calls.items())
        for share in SHARES
    ]
    sizes = sorted({point.x for line in lines for point in line.points})
    highest = max(point.y for line in lines for point in line.points)
    x = Axis("memories in the store (logarithmic)", tuple(sizes), log=True)
    return LineChart(title, x, Axis("milliseconds", ticks_up_to(highest)), tuple(lines))


def _timed(by_size: Mapping[str, Mapping[str, float]], share: str) -> tuple[Point, ...]:
    return tuple(Point(float(size), by_size[size][share]) for size in sorted(by_size, key=float))


def _suffix(one: Results, results: Sequence[Results]) -> str:
    return f", {one.name}" if len(results) > 1 else ""


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
    "scale": scale_charts,
    "compare": comparison_charts,
}
"""By the name of the command that wrote the file."""

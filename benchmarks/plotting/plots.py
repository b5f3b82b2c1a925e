"""`plots`: one HTML page of charts from result files; it holds everything that it shows and asks no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.apparatus.report import Report, Table
from benchmarks.plotting.charts import Chart, render_svg
from benchmarks.plotting.results import Results, charts, read_results

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 800px; margin: 2rem auto; padding: 0 1rem; color: #222 }
figure { margin: 2.5rem 0 } figcaption { font-weight: 600; margin-bottom: .5rem }
svg { max-width: 100%; height: auto } code { font-size: 13px; overflow-wrap: anywhere } li { margin: .4rem 0 }
"""


@dataclass(frozen=True, slots=True)
class PlotsRequest:
    """results: files that commands wrote with --json. out: the page."""

    command: str
    results: tuple[Path, ...]
    out: Path


def draw_plots(request: PlotsRequest) -> Report:
    """What was drawn. Raises BadResults for a file that no command wrote, or that has no plot."""
    results = [read_results(path) for path in request.results]
    drawn = charts(results)
    request.out.write_text(page(drawn, results), encoding="utf-8")
    rows = tuple((chart.title, type(chart).__name__) for chart in drawn)
    table = Table(f"Charts in {request.out}", ("chart", "kind"), rows)
    return Report(request.command, (table,), figures={"charts": [chart.title for chart in drawn]})


def page(drawn: Sequence[Chart], results: Sequence[Results]) -> str:
    """The page as HTML."""
    figures = "\n".join(
        f"<figure><figcaption>{escape(chart.title)}</figcaption>\n{render_svg(chart)}\n</figure>" for chart in drawn
    )
    sources = "\n".join(
        f"<li>{escape(one.name)}: <code>{escape(one.command)}</code><br>{escape(_machine(one))}</li>" for one in results
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Remembrancer: benchmarks</title>\n'
        f"<style>{_STYLE}</style>\n<h1>Benchmarks</h1>\n{figures}\n<h2>Where the figures come from</h2>\n"
        f"<ul>\n{sources}\n</ul>\n</html>\n"
    )


def _machine(one: Results) -> str:
    return ", ".join(f"{name} {value}" for name, value in one.machine.items())

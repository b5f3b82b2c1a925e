"""Benchmark reports: tables, notes and a description of the machine, printed as Markdown or written
as JSON.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import platform
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import rich.box
import rich.table
from rich.console import Console
from rich.text import Text

Cell: TypeAlias = str | int | float | None

_SHOWN_VERSIONS = ("remembrancer", "qdrant-edge-py", "onnxruntime", "tiktoken", "numpy")


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table. A cell that is None is shown as a dash. Raises ValueError for a row of the
    wrong length.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.title}: a row has {len(row)} cells under {len(self.columns)} columns"
                )


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a benchmark. `tables` and `notes` are printed; `figures` has all measurements
    for the JSON file.
    """

    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


def machine() -> dict[str, str]:
    """Description of this machine: cores, processor, operating system, and versions of Python and
    the main packages.
    """
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _SHOWN_VERSIONS},
    }


def render_report(command: str, report: Report) -> str:
    """`report` as Markdown, headed by the command line `command` and the machine."""
    line = ", ".join(f"{name} {value}" for name, value in machine().items())
    sections = [
        f"$ {command}",
        f"machine: {line}",
        *(render_table(table) for table in report.tables),
    ]
    notes = [f"- {note}" for note in report.notes]
    return "\n\n".join([*sections, *(["\n".join(notes)] if notes else [])])


def render_table(table: Table) -> str:
    """`table` as Markdown with aligned columns. Columns with numbers are right-aligned."""
    drawn = rich.table.Table(box=rich.box.MARKDOWN)
    for index, column in enumerate(table.columns):
        numeric = any(isinstance(row[index], int | float) for row in table.rows)
        drawn.add_column(Text(column), justify="right" if numeric else "left", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(Text(_shown(cell)) for cell in row))
    console = Console(width=10_000, file=io.StringIO())
    with console.capture() as capture:
        console.print(drawn)
    return f"{table.title}\n\n{capture.get().strip()}"


def spread_table(title: str, figures: Mapping[str, Sequence[float]]) -> Table:
    """A table of the median, minimum and maximum of each list of values in `figures`, a row for
    each by its name.
    """
    rows: list[tuple[Cell, ...]] = []
    for name, values in figures.items():
        spread = (statistics.median(values), min(values), max(values))
        rows.append((name, *(round(value, 3) for value in spread)))
    return Table(title, ("", "median", "least", "most"), tuple(rows))


def publish(command: str, report: Report, path: Path | None) -> None:
    """Print `report` and, if `path` is not None, write it to that file as JSON."""
    print(render_report(command, report), flush=True)
    if path is not None:
        path.write_text(
            json.dumps(as_json(command, report), indent=2, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )


def progress(text: str) -> None:
    """Print a line about the progress of the running benchmark to standard error."""
    print(f"... {text}", file=sys.stderr, flush=True)


def as_json(command: str, report: Report) -> dict[str, Any]:
    """`report` as values for JSON, with the command line and a description of the machine."""
    return {"command": command, "machine": machine(), **asdict(report)}


def _processor() -> str:
    models = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return models[0] if models else platform.processor() or "unknown"


def _shown(cell: Cell) -> str:
    if not isinstance(cell, float):
        return "-" if cell is None else str(cell)
    if abs(cell) < 10:
        return f"{cell:.3f}"
    return f"{cell:.1f}" if abs(cell) < 1_000 else f"{cell:,.0f}"

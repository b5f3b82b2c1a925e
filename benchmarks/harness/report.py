"""The report that every command prints: machine, tables and notes, as text and as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Cell: TypeAlias = str | int | float | None

_SHOWN_VERSIONS = ("remembrancer", "qdrant-edge-py", "onnxruntime", "tiktoken", "numpy")


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table. Raises ValueError for a row of another length than the columns; None is shown as a dash."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: a row has {len(row)} cells under {len(self.columns)} columns")


@dataclass(frozen=True, slots=True)
class Report:
    """tables, notes: for readers. figures: everything measured, for programs."""

    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


def machine() -> dict[str, str]:
    """Cores, processor, system and versions."""
    versions = {name: importlib.metadata.version(name) for name in _SHOWN_VERSIONS}
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def render_report(command: str, report: Report) -> str:
    """`report` of the command line `command` as Markdown text."""
    line = ", ".join(f"{name} {value}" for name, value in machine().items())
    parts = [f"$ {command}", f"machine: {line}", *(render_table(table) for table in report.tables)]
    notes = [f"- {note}" for note in report.notes]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def render_table(table: Table) -> str:
    """`table` as an aligned Markdown table; columns with numbers to the right."""
    shown = [[_shown(cell) for cell in row] for row in table.rows]
    widths = [max(len(cell) for cell in column) for column in zip(table.columns, *shown, strict=True)]
    numeric = [_is_numeric([row[index] for row in table.rows]) for index in range(len(table.columns))]
    head = _aligned(table.columns, widths, numeric)
    dashes = ("-" * (width + 1) + (":" if right else "-") for width, right in zip(widths, numeric, strict=True))
    rule = f"|{'|'.join(dashes)}|"
    return "\n".join([table.title, "", head, rule, *(_aligned(row, widths, numeric) for row in shown)])


def spread_row(name: str, values: Sequence[float], digits: int = 3) -> tuple[Cell, ...]:
    """A row with the median, the least and the most of `values`."""
    return (name, *(round(value, digits) for value in (statistics.median(values), min(values), max(values))))


def publish(command: str, report: Report, path: Path | None) -> None:
    """Print `report` and, with a `path`, write it there as JSON."""
    print(render_report(command, report), flush=True)
    if path is not None:
        path.write_text(json.dumps(as_json(command, report), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def progress(text: str) -> None:
    """Print a line about the running measurement to standard error."""
    print(f"... {text}", file=sys.stderr, flush=True)


def as_json(command: str, report: Report) -> dict[str, Any]:
    """Command line, machine and `report` as plain JSON values."""
    return {"command": command, "machine": machine(), **asdict(report)}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _shown(cell: Cell) -> str:
    """The cell as text; floats with about three significant digits."""
    if not isinstance(cell, float):
        return "-" if cell is None else str(cell)
    if abs(cell) < 10:
        return f"{cell:.3f}"
    return f"{cell:.1f}" if abs(cell) < 1_000 else f"{cell:,.0f}"


def _is_numeric(cells: Sequence[Cell]) -> bool:
    return any(isinstance(cell, int | float) for cell in cells)


def _aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    ]
    return "| " + " | ".join(padded) + " |"

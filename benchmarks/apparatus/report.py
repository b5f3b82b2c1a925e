"""What a command prints: a machine line, tables and notes; and the same as JSON. Knows no measurement."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Cell: TypeAlias = str | int | float | None

_SHOWN_VERSIONS = ("remembrancer", "qdrant-edge-py", "onnxruntime", "tiktoken", "numpy")


@dataclass(frozen=True, slots=True)
class Table:
    """title, column names and rows of as many cells; None is shown as a dash."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: a row has {len(row)} cells under {len(self.columns)} columns")


@dataclass(frozen=True, slots=True)
class Report:
    """command: as it was typed. tables and notes: for a person. figures: everything measured, for a program."""

    command: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    versions = {name: importlib.metadata.version(name) for name in _SHOWN_VERSIONS}
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def render_report(report: Report) -> str:
    """`report` as text, ready to be printed."""
    line = ", ".join(f"{name} {value}" for name, value in machine().items())
    parts = [f"$ {report.command}", f"machine: {line}", *(render_table(table) for table in report.tables)]
    notes = [f"- {note}" for note in report.notes]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def render_table(table: Table) -> str:
    """`table` as a Markdown table whose columns line up; numbers to the right."""
    shown = [[_shown(cell) for cell in row] for row in table.rows]
    widths = [max(len(cell) for cell in column) for column in zip(table.columns, *shown, strict=True)]
    numeric = [_is_numeric([row[index] for row in table.rows]) for index in range(len(table.columns))]
    head = _aligned(table.columns, widths, numeric)
    rule = (
        "|"
        + "|".join("-" * (width + 1) + (":" if right else "-") for width, right in zip(widths, numeric, strict=True))
        + "|"
    )
    return "\n".join([table.title, "", head, rule, *(_aligned(row, widths, numeric) for row in shown)])


def publish(report: Report, path: Path | None) -> None:
    """Print `report`; write it as JSON to `path`, where one is given."""
    print(render_report(report), flush=True)
    if path is not None:
        path.write_text(json.dumps(as_json(report), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def progress(text: str) -> None:
    """Say on standard error what is under way, for whoever waits."""
    print(f"... {text}", file=sys.stderr, flush=True)


def as_json(report: Report) -> dict[str, Any]:
    """`report` with the machine it was measured on, as plain JSON."""
    return {"machine": machine(), **asdict(report)}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return _number(cell)
    return str(cell)


def _number(value: float) -> str:
    """Three significant digits or so: shares to three places, milliseconds to one or two."""
    size = abs(value)
    if size < 10:
        return f"{value:.3f}"
    return f"{value:.1f}" if size < 1_000 else f"{value:,.0f}"


def _is_numeric(cells: Sequence[Cell]) -> bool:
    return any(isinstance(cell, int | float) for cell in cells)


def _aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    ]
    return "| " + " | ".join(padded) + " |"

"""`prepare`: evaluation sets out of the files that their makers publish, which a user downloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks.apparatus.report import Report, Table
from benchmarks.sets.data import read_set
from benchmarks.sets.preparing.beam import prepare_beam
from benchmarks.sets.preparing.locomo import prepare_locomo
from benchmarks.sets.preparing.longmemeval import prepare_longmemeval
from benchmarks.sets.preparing.source import Prepared, write_set

Prepare: TypeAlias = Callable[[Path, int | None], list[Prepared]]

FORMATS: Mapping[str, Prepare] = {
    "locomo": prepare_locomo,
    "longmemeval": prepare_longmemeval,
    "beam": prepare_beam,
}


@dataclass(frozen=True, slots=True)
class PrepareRequest:
    """source: the published file, or folder. out: where the sets go. conversations: only the first so many."""

    command: str
    format: str
    source: Path
    out: Path
    conversations: int | None = None


def run_prepare(request: PrepareRequest) -> Report:
    """What was made, each set read again as a run would read it. Raises BadSource and BadSet."""
    rows = []
    for prepared in FORMATS[request.format](request.source, request.conversations):
        made = read_set(write_set(prepared, request.out))
        left = "; ".join(f"{count} {what}" for what, count in sorted(prepared.left_out.items()) if count)
        rows.append((made.name, len(made.conversations), made.memories, made.questions, made.dropped, left))
    columns = ("set", "conversations", "memories", "queries", "not answerable", "left out")
    notes = ("Mind the licence of what you downloaded: LoCoMo's and BEAM's do not allow every use.",)
    figures = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    return Report(request.command, (Table("Sets", columns, tuple(rows)),), notes, figures)

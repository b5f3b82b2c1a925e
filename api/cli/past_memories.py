"""Imports memories and notes of other programs for `remembrancer import`: each row or note becomes
one memory.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from api.cli.client import ApiClient
from api.cli.importing import import_rows
from api.cli.tables import counted
from ingest.files.places import MemoryFiles
from ingest.files.report import ImportReport
from ingest.files.row_to_item import RowOptions
from ingest.files.run import ImportRequest, open_readings, read_batches
from ingest.files.sessions import Destination
from memtypes.model.times import system_clock


@dataclass(slots=True)
class MemoriesPlan:
    """The plan of an import of another program's memories, as made from its files.

    requests: one import request for each group of files that have the same project and format.
    types: for each namespace, the number of rows by memory type. files: for each namespace, the
    number of files. bad: the rows that cannot be stored, each with the reason. left_out: number of
    files that are not imported, by reason.
    """

    requests: list[ImportRequest] = field(default_factory=list)
    types: dict[str, Counter[str]] = field(default_factory=dict)
    files: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """The plan as plain JSON, for the option --json."""
        namespaces = {
            name: {"files": self.files[name], "rows": kinds.total(), "types": dict(kinds)}
            for name, kinds in self.types.items()
        }
        return {"namespaces": namespaces, "bad": self.bad, "left_out": dict(self.left_out)}

    def view(self) -> RenderableType:
        """The plan for the terminal: a row for each namespace, the rows that cannot be stored, and
        what is left out.
        """
        table = Table("namespace", "files", "memories", "by type")
        for name, kinds in sorted(self.types.items()):
            table.add_row(
                Text(name), str(self.files[name]), str(kinds.total()), counted(kinds.most_common())
            )
        lines = [f"bad: {reason}" for reason in self.bad[:20]]
        lines += [f"left out: {count} {reason}" for reason, count in self.left_out.items()]
        return Group(table, *map(Text, lines))


def plan_memories(
    groups: Sequence[MemoryFiles], destination: Destination, template: ImportRequest
) -> MemoriesPlan:
    """Plan the import of memory files. The files are read to count their rows; nothing is stored.

    groups: files of the same project and format. destination: returns the namespace for the folder
    of a project. template: import request with the options that all groups share.
    """
    plan = MemoriesPlan()
    for group in groups:
        namespace, reason = destination.namespace_of(group.folder)
        if namespace is None:
            plan.left_out[f"files {reason}"] += len(group.paths)
            continue
        rows = RowOptions(group.type, extra_to_metadata=True)
        request = replace(
            template, paths=group.paths, namespace=namespace, format=group.format, rows=rows
        )
        plan.requests.append(request)
        _count(plan, request)
    return plan


def _count(plan: MemoriesPlan, request: ImportRequest) -> None:
    kinds = plan.types.setdefault(request.namespace, Counter())
    for source in request.sources().files:
        plan.files[request.namespace] += 1
        with open_readings(source, io.BytesIO()) as (readings, _):
            for batch in read_batches(readings, request.rows, system_clock):
                kinds.update(
                    str(item.get("type") or "type found by its text") for item in batch.items
                )
                plan.bad += [str(problem) for problem in batch.problems]


async def write_memories(
    plan: MemoriesPlan, client: ApiClient, *, quiet: bool
) -> list[tuple[str, ImportReport]]:
    """Run the plan's import requests until an error stops one. Returns (namespace, report) for each
    that was run.
    """
    reports: list[tuple[str, ImportReport]] = []
    for request in plan.requests:
        report = await import_rows(request, client, quiet=quiet)
        reports.append((request.namespace, report))
        if report.stopped:
            break
    return reports

"""The command `remembrancer ingest` (also `python -m ingest`), which imports files into a
namespace.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Group, RenderableType
from rich.text import Text

from api.cli.client import ApiClient
from api.cli.options import AsJson, DataDir, Key, Namespace, Tenant, Url, end, present, run
from api.cli.service import backend_of, connect
from api.cli.tables import counted, first_lines, names_table
from ingest.files.readers.sources import EXPORTS, Format
from ingest.files.report import ImportReport, ProgressBar
from ingest.files.row_to_item import RowOptions
from ingest.files.run import ImportRequest, run_import
from ingest.screening.submission import Classification
from ingest.writing.outcome import WriteOutcome, WriteStatus
from memtypes.model.errors import InvalidRequest
from memtypes.model.memory import State
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Status
from memtypes.model.scope import DEFAULT_TENANT

MAX_LISTED = 50
AUTO = "auto"


class _Memory(BaseModel):
    """The members of a memory that an import reads, to compare it with a file's rows."""

    content: str
    state: State
    superseded_by: str | None
    valid_from: datetime
    pinned: bool
    source: dict[str, Any] | None
    sources: list[dict[str, Any]]
    evidence_count: int
    status: Status | None = None


class _Classified(BaseModel):
    type: MemoryType
    confidence: float
    reason: str


class _Written(BaseModel):
    status: WriteStatus
    id: str | None
    reason: str | None = None
    merged_into: str | None = None
    classified: _Classified | None = None

    def outcome(self) -> WriteOutcome:
        classified = None if self.classified is None else Classification(**dict(self.classified))
        return WriteOutcome(
            self.status, self.id, self.reason, self.merged_into, classified=classified
        )


def ingest(
    paths: Annotated[
        list[str],
        typer.Argument(help="Files, folders, or - for standard input.", metavar="PATH..."),
    ],
    namespace: Namespace,
    kind: Annotated[
        MemoryType | None,
        typer.Option(
            "--type", help="Type of rows without one; by default classified by their text."
        ),
    ] = None,
    session: Annotated[str | None, typer.Option(help="Session of rows without one.")] = None,
    agent: Annotated[str | None, typer.Option(help="Agent of rows without one.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="FOREIGN=OURS; can be repeated.")
    ] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="Format, where the file name does not tell.")
    ] = None,
    origin: Annotated[
        str | None, typer.Option("--from", help=f"{', '.join(EXPORTS)}, or auto to detect it.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad row.")] = False,
    extra: Annotated[
        bool, typer.Option("--extra-to-metadata", help="Keep unknown fields as metadata.")
    ] = False,
    journal: Annotated[
        Path | None, typer.Option(help="Folder of the journal; by default in the data folder.")
    ] = None,
    no_resume: Annotated[
        bool, typer.Option("--no-resume", help="Start over, also after an interruption.")
    ] = False,
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Import files into a namespace. Exit code 1 when a row was rejected or failed."""

    async def work() -> ImportReport:
        backend = backend_of(data_dir, url, key, tenant)
        rows = RowOptions(kind, session, agent, _mapping(mapping or []), extra)
        request = ImportRequest(
            tuple(paths),
            namespace,
            backend.destination,
            rows,
            format=form or _origin(origin),
            by_content=origin == AUTO,
            strict=strict,
            stdin=sys.stdin.buffer,
            journal=journal or backend.journal,
            resume=not no_resume,
        )
        request.sources()  # report unreadable files before opening anything, which takes seconds
        async with connect(backend) as client:
            # An unknown key, namespace or service ends the command here
            await client.is_empty(namespace)
            return await import_rows(request, client, quiet=as_json)

    report = run(work)
    present(report.to_json(), report_view(report), as_json=as_json)
    raise typer.Exit(report.exit_code)


async def import_rows(request: ImportRequest, client: ApiClient, *, quiet: bool) -> ImportReport:
    """Import the files of `request` into the service that `client` calls. quiet: show no progress
    bar.
    """

    async def call(memory_id: str, changes: Mapping[str, Any] | None) -> dict[str, Any]:
        path = f"/v1/memories/{memory_id}"
        query = {"namespace": request.namespace}
        memory = await (
            client.get(path, query) if changes is None else client.patch(path, query, changes)
        )
        client.parsed(memory, _Memory)
        return memory

    write = partial(write_items, client, request.namespace)
    return await run_import(request, write, ProgressBar(quiet=quiet), call=call)


async def write_items(
    client: ApiClient, namespace: str, items: list[dict[str, Any]]
) -> list[WriteOutcome]:
    """Write the memories `items` as one batch. Returns the outcome of each, in order."""
    body = {"namespace": namespace, "items": items}
    written = await client.post_all("/v1/memories/batch", body, _Written, len(items))
    return [memory.outcome() for memory in written]


def _origin(name: str | None) -> Format | None:
    if name is None or name == AUTO:
        return None
    if name not in EXPORTS:
        end(InvalidRequest(f"--from must be one of {', '.join(EXPORTS)} and {AUTO}, not {name}"))
    return Format(name)


def _mapping(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    for foreign, equals, ours in split:
        if not (foreign and equals and ours):
            end(
                InvalidRequest(
                    "--map needs FOREIGN=OURS, such as --map text=content, not "
                    f"{foreign}{equals}{ours}"
                )
            )
    return {foreign: ours for foreign, _, ours in split}


def report_view(report: ImportReport) -> RenderableType:
    """An import's report for the terminal: rows by outcome, memories by type, and the rows that
    were not stored.
    """
    rate = report.read / report.seconds if report.seconds else 0.0
    rows: dict[str, object] = {str(status): count for status, count in report.counts.items()}
    rows["read"] = f"{report.read} in {report.seconds:.1f} s, {rate:.0f}/s"
    if report.resumed:
        rows["resumed"] = f"{report.resumed} of them by an earlier run"
    if report.types:
        rows["new memories"] = counted(sorted(report.types.items()))
    if report.former:
        rows["former texts"] = counted(sorted(Counter(row.change for row in report.former).items()))
    former_lines = first_lines(list(map(str, report.former)), MAX_LISTED)
    problem_lines = first_lines(list(map(str, report.problems)), MAX_LISTED, omitted=report.omitted)
    skipped_lines = [
        Text(f"skipped, no reader for it: {name}") for name in report.skipped[:MAX_LISTED]
    ]
    stop_lines = [Text(report.stopped)] if report.stopped else []
    return Group(names_table(rows), *former_lines, *problem_lines, *skipped_lines, *stop_lines)

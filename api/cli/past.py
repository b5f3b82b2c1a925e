"""The command `remembrancer import`, which turns other programs' sessions, chats and notes into
memories.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from api.cli.client import ApiClient
from api.cli.importing import report_view as rows_view
from api.cli.options import AsJson, DataDir, Key, Url, end, present, run
from api.cli.past_memories import MemoriesPlan, plan_memories, write_memories
from api.cli.service import Backend, backend_of, connect
from api.cli.tables import counted, first_lines, names_table
from api.project import project_namespace
from ingest.conversations.sessions import MessageOutcome
from ingest.files.journal import SentMessages
from ingest.files.places import AGENTS, CHATS, DUMPS, PastSource, Places
from ingest.files.report import ImportReport, ProgressBar, SessionReport
from ingest.files.run import ImportRequest
from ingest.files.sessions import (
    Destination,
    SessionFile,
    SessionImport,
    SessionPart,
    SessionPlan,
    follow,
)
from ingest.writing.outcome import WriteStatus
from memtypes.model.errors import InvalidRequest, RemembrancerError

MAX_LISTED = 20


@dataclass(frozen=True, slots=True)
class _ImportOptions:
    """The options of an import command. journal: folder that records sent messages; None to send
    all again.
    """

    source: PastSource
    path: Path | None
    places: Places
    backend: Backend
    destination: Destination
    journal: Path | None
    dry_run: bool
    watch: bool
    ask: bool
    quiet: bool

    def session_files(self) -> list[SessionFile]:
        """The session files to import that exist at the time of this call."""
        return self.places.session_files(self.source, self.path)


def import_past(
    source: Annotated[PastSource, typer.Argument(help="The program.", show_default=False)],
    path: Annotated[
        Path | None,
        typer.Argument(help="File or folder; by default the usual places.", show_default=False),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            help="Namespace of everything; by default each project has its own.",
        ),
    ] = None,
    project: Annotated[
        Path | None, typer.Option(help="Only for this project, by its folder.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be imported.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with what running sessions add, until Ctrl-C.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    no_resume: Annotated[
        bool, typer.Option("--no-resume", help="Send again what was sent before.")
    ] = False,
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Import sessions, chats, memories or notes of another program. Exit code 1 if something could
    not be imported.

    Messages that were imported before are left out, so the command can be run again at any time,
    also after it was stopped.
    """
    try:
        backend = backend_of(data_dir, url, key)
        only = None if project is None else project_namespace(str(project.absolute()))
    except RemembrancerError as error:
        end(error)
    if source in (*AGENTS, PastSource.MARKDOWN):
        destination = Destination(project_namespace, namespace, only)
    else:  # what names no project is for the one that the user names
        destination = Destination(project_namespace, namespace or only)
    if watch and source not in AGENTS:
        end(InvalidRequest(f"--watch follows {' and '.join(AGENTS)}, not {source}", path="watch"))
    options = _ImportOptions(
        source,
        path,
        Places(Path.home(), Path.cwd(), os.environ),
        backend,
        destination,
        None if no_resume else backend.journal,
        dry_run=dry_run,
        watch=watch,
        ask=not (yes or as_json),
        quiet=as_json,
    )
    if source in AGENTS or source in CHATS:
        _import_sessions(options)
    else:
        _import_memories(options)


def _import_sessions(options: _ImportOptions) -> None:
    async def work() -> SessionReport | SessionPlan:
        importing = SessionImport(
            options.destination, SentMessages.open(options.journal, options.backend.destination)
        )
        files = options.session_files()
        if not files and not options.watch:
            raise InvalidRequest(_nothing_found(options))
        plan = await importing.plan(files)
        if options.dry_run:
            return plan
        if options.ask and (plan.new or options.watch):
            _confirm(plan_view(plan), options.backend)
        if plan.namespaces or options.watch:
            await _send(importing, plan, options)
        else:
            importing.report.stopped = "nothing was imported"
            await importing.run(plan)
        return importing.report

    report = run(work)
    if isinstance(report, SessionPlan):  # of a dry run
        present(plan_json(report), plan_view(report), as_json=options.quiet)
        raise typer.Exit(1 if report.problems else 0)
    present(report.to_json(), report_view(report), as_json=options.quiet)
    raise typer.Exit(report.exit_code)


def _nothing_found(options: _ImportOptions) -> str:
    if options.path is None:
        folders = options.places.usual_folders(options.source)
        return f"there is nothing of {options.source} to import in {folders}; name a file or folder"
    kinds = {
        **dict.fromkeys(AGENTS, "sessions, as .jsonl files"),
        **dict.fromkeys(DUMPS, "an export, as a JSON file"),
    }
    kinds |= dict.fromkeys(CHATS, "the conversations.json or ZIP file of an export")
    expected = kinds.get(options.source, "notes, as .md files")
    return f"{options.path} has nothing of {options.source} to import; expected {expected}"


async def _send(importing: SessionImport, plan: SessionPlan, options: _ImportOptions) -> None:
    """Send the planned messages and, with --watch, those that are added to the sessions afterwards.

    The signals SIGINT (Ctrl-C) and SIGTERM stop the sending. An import skips messages that an
    earlier import sent, but not if their namespace is empty now, as in a new store.
    """
    console = Console(stderr=True)
    ended = False
    async with connect(options.backend) as client:
        if await importing.forget_lost(plan, client.is_empty):
            plan = await importing.plan(options.session_files())
        importing.write = partial(write_part, client)
        importing.progress = ProgressBar("messages", quiet=options.quiet)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_at_signal, tasks.cancel_scope)
            if options.watch:
                importing.patience_s = math.inf
            await importing.run(plan)
            ended = True
            if options.watch:
                console.print(
                    f"sent {importing.report.sent} messages; waiting for more, Ctrl-C ends"
                )
                await follow(
                    importing,
                    options.session_files,
                    plan.states,
                    lambda count: console.print(f"sent {count} messages"),
                )
            tasks.cancel_scope.cancel()
    if not ended:
        importing.report.stopped = "stopped before the end; run the command again to continue"


async def _end_at_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def _import_memories(options: _ImportOptions) -> None:
    template = ImportRequest(
        (),
        "",
        destination=options.backend.destination,
        journal=options.backend.journal,
        resume=options.journal is not None,
    )

    async def work() -> tuple[MemoriesPlan, list[tuple[str, ImportReport]]]:
        groups = options.places.memory_files(options.source, options.path)
        plan = await anyio.to_thread.run_sync(plan_memories, groups, options.destination, template)
        if not (plan.files or plan.left_out):
            raise InvalidRequest(_nothing_found(options))
        if options.dry_run or not plan.requests:
            return plan, []
        if options.ask:
            _confirm(plan.view(), options.backend)
        async with connect(options.backend) as client:
            return plan, await write_memories(plan, client, quiet=options.quiet)

    plan, reports = run(work)
    if reports:
        written = [{"namespace": namespace, **report.to_json()} for namespace, report in reports]
        views = [
            Group(Text(namespace, style="bold"), rows_view(report)) for namespace, report in reports
        ]
        answer = {"imports": written, "left_out": dict(plan.left_out)}
        present(answer, Group(*views), as_json=options.quiet)
        raise typer.Exit(max(report.exit_code for _, report in reports))
    present(plan.to_json(), plan.view(), as_json=options.quiet)
    raise typer.Exit(0 if options.dry_run and not plan.bad else 1)


def _confirm(view: RenderableType, backend: Backend) -> None:
    if sys.stdin.isatty():
        console = Console(stderr=True)
        console.print(view)
        typer.confirm(
            f"Import this to {backend.url or backend.settings.data_dir}?", abort=True, err=True
        )


async def write_part(client: ApiClient, part: SessionPart) -> list[MessageOutcome]:
    """Send a part of a past session. Returns an outcome (such as stored or rejected) for each
    message.
    """
    body = {
        "namespace": part.namespace,
        "session_id": part.session_id,
        "messages": [message.model_dump(exclude_none=True) for message in part.messages],
        "before": part.before.model_dump(exclude_none=True),
        "ended": False,
    }
    return await client.post_all("/v1/hooks/session-stop", body, MessageOutcome, len(part.messages))


def plan_json(plan: SessionPlan) -> dict[str, Any]:
    """Convert the plan of an import of past agent sessions to plain JSON, for the option --json."""
    namespaces = {name: asdict(counts) for name, counts in sorted(plan.namespaces.items())}
    return {
        "files": plan.read,
        "new": plan.new,
        "namespaces": namespaces,
        "left_out": dict(plan.left_out.most_common()),
        "problems": plan.problems,
    }


def plan_view(plan: SessionPlan) -> RenderableType:
    """Render an import's plan for the terminal: a row for each namespace, and what would be left
    out, by reason.
    """
    table = Table("namespace", "sessions", "messages", "new", "from", "to")
    for name, counts in sorted(plan.namespaces.items()):
        numbers = (str(counts.sessions), str(counts.messages), str(counts.new))
        table.add_row(Text(name), *numbers, counts.first[:10], counts.last[:10])
    files = Text(f"files: {plan.read}, new messages: {plan.new}")
    return Group(
        files, table, *_reasons("left out", plan.left_out), *first_lines(plan.problems, MAX_LISTED)
    )


def report_view(report: SessionReport) -> RenderableType:
    """Render an import's report for the terminal: messages by outcome and reason, new memories by
    type.
    """
    rows: dict[str, object] = {str(status): report.counts[status] for status in WriteStatus}
    rate = report.sent / report.seconds if report.seconds else 0.0
    rows["sent"] = f"{report.sent} messages in {report.seconds:.1f} s, {rate:.0f}/s"
    if report.earlier:
        rows["imported before"] = report.earlier
    if report.types:
        rows["new memories"] = counted(report.types.most_common())
    if report.namespaces:
        rows["namespaces"] = counted(report.namespaces.most_common())
    counters = {
        **{str(status): counter for status, counter in report.reasons.items()},
        "left out": report.left_out,
    }
    reasons = [line for label, counter in counters.items() for line in _reasons(label, counter)]
    stopped = [Text(report.stopped)] if report.stopped else []
    return Group(names_table(rows), *reasons, *first_lines(report.problems, MAX_LISTED), *stopped)


def _reasons(label: str, counter: Mapping[str, int]) -> list[RenderableType]:
    ranked = sorted(counter.items(), key=lambda pair: -pair[1])
    lines: list[RenderableType] = [
        Text(f"{label}: {count} {reason}") for reason, count in ranked[:MAX_LISTED] if count
    ]
    others_count = sum(count for _, count in ranked[MAX_LISTED:])
    return (
        [*lines, Text(f"{label}: {others_count} for other reasons; --json lists them")]
        if others_count
        else lines
    )

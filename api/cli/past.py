"""The command `remembrancer import`, which turns other programs' sessions, chats and notes into memories."""

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
from api.cli.service import Place, connect, place
from api.cli.tables import counted, first_lines, names_table
from ingest.conversations.sessions import MessageOutcome
from ingest.files.journal import SentMessages
from ingest.files.places import AGENTS, CHATS, DUMPS, PastSource, Places
from ingest.files.report import ImportReport, ProgressBar, SessionReport
from ingest.files.run import ImportRequest
from ingest.files.sessions import Destination, SessionFile, SessionImport, SessionPart, SessionPlan, follow
from ingest.writing.outcome import WriteStatus
from memtypes.model.errors import InvalidRequest, RemembrancerError
from memtypes.project import project_namespace

MAX_LISTED = 20


@dataclass(frozen=True, slots=True)
class _Asked:
    """The arguments of an import command. journal: folder that records sent messages; None to send all again."""

    source: PastSource
    path: Path | None
    places: Places
    where: Place
    destination: Destination
    journal: Path | None
    dry_run: bool
    watch: bool
    ask: bool
    quiet: bool

    def session_files(self) -> list[SessionFile]:
        """The files with sessions to import, as they are now."""
        return self.places.session_files(self.source, self.path)


def import_past(
    source: Annotated[PastSource, typer.Argument(help="The program.", show_default=False)],
    path: Annotated[
        Path | None, typer.Argument(help="File or folder; by default the usual places.", show_default=False)
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Namespace of everything; by default each project has its own."),
    ] = None,
    project: Annotated[
        Path | None, typer.Option(help="Only for this project, by its folder.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be imported.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on with what running sessions add, until Ctrl-C.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    no_resume: Annotated[bool, typer.Option("--no-resume", help="Send again what was sent before.")] = False,
    data_dir: DataDir = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Import sessions, chats, memories or notes of another program. Exit code 1 if something could not be imported.

    Messages that were imported before are left out, so the command can be run again at any time, also after it was
    stopped.
    """
    try:
        where = place(data_dir, url, key)
        only = None if project is None else project_namespace(str(project.absolute()))
    except RemembrancerError as error:
        end(error)
    if source in (*AGENTS, PastSource.MARKDOWN):
        destination = Destination(project_namespace, namespace, only)
    else:  # what names no project is for the one that the user names
        destination = Destination(project_namespace, namespace or only)
    if watch and source not in AGENTS:
        end(InvalidRequest(f"--watch follows {' and '.join(AGENTS)}, not {source}", path="watch"))
    asked = _Asked(
        source, path, Places(Path.home(), Path.cwd(), os.environ), where, destination,
        None if no_resume else where.journal, dry_run=dry_run, watch=watch, ask=not (yes or as_json), quiet=as_json,
    )  # fmt: skip
    if source in AGENTS or source in CHATS:
        _import_sessions(asked)
    else:
        _import_memories(asked)


def _import_sessions(asked: _Asked) -> None:
    async def work() -> SessionReport | SessionPlan:
        importing = SessionImport(asked.destination, SentMessages.open(asked.journal, asked.where.destination))
        files = asked.session_files()
        if not files and not asked.watch:
            raise InvalidRequest(_nothing_found(asked))
        plan = await importing.plan(files)
        if asked.dry_run:
            return plan
        if asked.ask and (plan.new or asked.watch):
            _confirm(plan_view(plan), asked.where)
        if plan.namespaces or asked.watch:
            await _send(importing, plan, asked)
        else:
            importing.report.stopped = "nothing was imported"
            await importing.run(plan)
        return importing.report

    done = run(work)
    if isinstance(done, SessionPlan):
        present(plan_json(done), plan_view(done), as_json=asked.quiet)
        raise typer.Exit(1 if done.problems else 0)
    present(done.to_json(), report_view(done), as_json=asked.quiet)
    raise typer.Exit(done.exit_code)


def _nothing_found(asked: _Asked) -> str:
    if asked.path is None:
        looked = asked.places.looked_in(asked.source)
        return f"there is nothing of {asked.source} to import in {looked}; name a file or folder"
    kinds = {**dict.fromkeys(AGENTS, "sessions, as .jsonl files"), **dict.fromkeys(DUMPS, "an export, as a JSON file")}
    kinds |= dict.fromkeys(CHATS, "the conversations.json or ZIP file of an export")
    expected = kinds.get(asked.source, "notes, as .md files")
    return f"{asked.path} has nothing of {asked.source} to import; expected {expected}"


async def _send(importing: SessionImport, plan: SessionPlan, asked: _Asked) -> None:
    """Send the planned messages and, with --watch, those that are added to the sessions afterwards.

    The signals SIGINT (Ctrl-C) and SIGTERM stop the sending. An import skips messages that an earlier import sent, but
    not if their namespace is empty now, as in a new store.
    """
    console = Console(stderr=True)
    ended = False
    async with connect(asked.where) as client:
        if await importing.forget_lost(plan, client.is_empty):
            plan = await importing.plan(asked.session_files())
        importing.write = partial(write_part, client)
        importing.progress = ProgressBar("messages", quiet=asked.quiet)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_at_signal, tasks.cancel_scope)
            if asked.watch:
                importing.patience_s = math.inf
            await importing.run(plan)
            ended = True
            if asked.watch:
                console.print(f"sent {importing.report.sent} messages; waiting for more, Ctrl-C ends")
                await follow(
                    importing, asked.session_files, plan.states, lambda count: console.print(f"sent {count} messages")
                )
            tasks.cancel_scope.cancel()
    if not ended:
        importing.report.stopped = "stopped before the end; run the command again to continue"


async def _end_at_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def _import_memories(asked: _Asked) -> None:
    template = ImportRequest(
        (), "", destination=asked.where.destination, journal=asked.where.journal, resume=asked.journal is not None
    )

    async def work() -> tuple[MemoriesPlan, list[tuple[str, ImportReport]]]:
        groups = asked.places.memory_files(asked.source, asked.path)
        plan = await anyio.to_thread.run_sync(plan_memories, groups, asked.destination, template)
        if not (plan.files or plan.left_out):
            raise InvalidRequest(_nothing_found(asked))
        if asked.dry_run or not plan.requests:
            return plan, []
        if asked.ask:
            _confirm(plan.view(), asked.where)
        async with connect(asked.where) as client:
            return plan, await write_memories(plan, client, quiet=asked.quiet)

    plan, reports = run(work)
    if reports:
        written = [{"namespace": namespace, **report.to_json()} for namespace, report in reports]
        views = [Group(Text(namespace, style="bold"), rows_view(report)) for namespace, report in reports]
        answer = {"imports": written, "left_out": dict(plan.left_out)}
        present(answer, Group(*views), as_json=asked.quiet)
        raise typer.Exit(max(report.exit_code for _, report in reports))
    present(plan.to_json(), plan.view(), as_json=asked.quiet)
    raise typer.Exit(0 if asked.dry_run and not plan.bad else 1)


def _confirm(view: RenderableType, where: Place) -> None:
    if sys.stdin.isatty():
        console = Console(stderr=True)
        console.print(view)
        typer.confirm(f"Import this to {where.url or where.settings.data_dir}?", abort=True, err=True)


async def write_part(client: ApiClient, part: SessionPart) -> list[MessageOutcome]:
    """Send a part of a past session. Returns an outcome (such as stored or rejected) for each message."""
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
    namespaces = {name: asdict(each) for name, each in sorted(plan.namespaces.items())}
    return {
        "files": plan.read,
        "new": plan.new,
        "namespaces": namespaces,
        "left_out": dict(plan.left_out.most_common()),
        "problems": plan.problems,
    }


def plan_view(plan: SessionPlan) -> RenderableType:
    """Render an import's plan for the terminal: a row for each namespace, and what would be left out, by reason."""
    table = Table("namespace", "sessions", "messages", "new", "from", "to")
    for name, each in sorted(plan.namespaces.items()):
        numbers = (str(each.sessions), str(each.messages), str(each.new))
        table.add_row(Text(name), *numbers, each.first[:10], each.last[:10])
    files = Text(f"files: {plan.read}, new messages: {plan.new}")
    return Group(files, table, *_reasons("left out", plan.left_out), *first_lines(plan.problems, MAX_LISTED))


def report_view(report: SessionReport) -> RenderableType:
    """Render an import's report for the terminal: messages by outcome and reason, new memories by type."""
    rows: dict[str, object] = {str(status): report.counts[status] for status in WriteStatus}
    rate = report.sent / report.seconds if report.seconds else 0.0
    rows["sent"] = f"{report.sent} messages in {report.seconds:.1f} s, {rate:.0f}/s"
    if report.earlier:
        rows["imported before"] = report.earlier
    if report.types:
        rows["new memories"] = counted(report.types.most_common())
    if report.namespaces:
        rows["namespaces"] = counted(report.namespaces.most_common())
    counters = {**{str(status): counter for status, counter in report.reasons.items()}, "left out": report.left_out}
    reasons = [line for what, counter in counters.items() for line in _reasons(what, counter)]
    stopped = [Text(report.stopped)] if report.stopped else []
    return Group(names_table(rows), *reasons, *first_lines(report.problems, MAX_LISTED), *stopped)


def _reasons(what: str, counter: Mapping[str, int]) -> list[RenderableType]:
    ranked = sorted(counter.items(), key=lambda pair: -pair[1])
    lines: list[RenderableType] = [Text(f"{what}: {count} {reason}") for reason, count in ranked[:MAX_LISTED] if count]
    rest = sum(count for _, count in ranked[MAX_LISTED:])
    return [*lines, Text(f"{what}: {rest} for other reasons; --json lists them")] if rest else lines

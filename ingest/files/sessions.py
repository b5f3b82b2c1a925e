"""Imports past sessions: stores the messages that were not sent before, as if the sessions were
running now.

A session is sent in parts, each with some messages before it as context. Once a part is stored, the
keys of its messages are written to the journal. A part that was stored but is not in the journal is
sent again, which adds nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio
from anyio.to_thread import run_sync

from ingest.conversations.sessions import MessageOutcome, SaidBefore, SessionMessage
from ingest.files.journal import SentMessages
from ingest.files.readers.chats import ChatFile
from ingest.files.readers.rows import in_utc
from ingest.files.readers.transcripts import PastMessage, PastSession, TranscriptFile, clean
from ingest.files.report import ProgressBar, SessionReport
from ingest.screening.text_features import REACH
from ingest.writing.outcome import WriteStatus, retried
from memtypes.model.errors import InvalidRequest, Overloaded, RemembrancerError, Unavailable
from memtypes.model.scope import MAX_NAME

PART_MESSAGES = 64
PART_CHARS = 1_000_000
"""Characters of messages from which a part is full; sent as JSON, it stays below the limit of a
request body.
"""

CONTEXT_CHARS = 2_000
"""Maximum characters that are sent of an earlier message as context: twice what the judging of
messages reads.
"""

PATIENCE_S = 120.0
"""Seconds for which rows or messages are sent again while the service is unavailable, such as
during a restart.
"""

QUIET_S = 10.0
"""Seconds without a change of a transcript after which its last answer counts as complete."""

_ATTEMPTS = 3
_PAUSE_S = 0.5
"""Number of attempts to write a part in which messages failed, and seconds between two attempts."""

POLL_S = 2.0
"""Seconds between two checks of the files that are watched for new messages."""

_PAUSE_RATIO = 20
"""The pause between two checks is at least this many times as long as a search for files, so that
many cost little.
"""

NO_PROJECT = "of no project; name a namespace for them with --namespace"
OTHER_PROJECT = "of other projects"

SessionFile: TypeAlias = TranscriptFile | ChatFile

FileState: TypeAlias = tuple[int, int, bool]
"""Size in bytes, time of the last change in nanoseconds, and whether that change was at least
QUIET_S ago.
"""


@dataclass(frozen=True, slots=True)
class SessionPart:
    """Consecutive messages of a session that are sent in one request.

    before: the session's messages before them. keys: for each message, the keys of its blocks, for
    the journal.
    """

    namespace: str
    session_id: str
    messages: tuple[SessionMessage, ...]
    before: SaidBefore
    keys: tuple[tuple[str, ...], ...] = ()


WritePart: TypeAlias = Callable[[SessionPart], Awaitable[Sequence[MessageOutcome]]]
"""Writes a part of a session, in this process or over HTTP; returns an outcome for each message.

Raises a RemembrancerError if the part could not be delivered.
"""


@dataclass(frozen=True, slots=True)
class Destination:
    """Decides into which namespace the messages of a session are imported.

    of_project: returns the namespace of the project in a folder. fixed: the namespace of all
    sessions; None gives each project its own. only: import only the project with this namespace;
    None imports all projects.
    """

    of_project: Callable[[str], str]
    fixed: str | None = None
    only: str | None = None

    def namespace_of(self, folder: str | None) -> tuple[str | None, str]:
        """Return the namespace into which sessions that ran in `folder` are imported, and "".

        If they are not imported, return None and the reason, such as that they belong to another
        project. folder: None if it is not known.
        """
        project = None
        if folder is not None and (self.fixed is None or self.only is not None):
            with suppress(InvalidRequest):  # a folder that names no project
                project = self.of_project(folder)
        if self.only is not None and project != self.only:
            return None, OTHER_PROJECT
        namespace = self.fixed or project
        return namespace, "" if namespace else NO_PROJECT


@dataclass(slots=True)
class NamespacePlan:
    """Counts of what the files of an import contain for one namespace.

    sessions, messages: how many there are. new: messages that no earlier import has sent. first,
    last: times of the first and last message, in RFC 3339; empty if no message has a time.
    """

    sessions: int = 0
    messages: int = 0
    new: int = 0
    first: str = ""
    last: str = ""

    def add(self, session: PastSession, new: int) -> None:
        """Add a session to the counts. new: number of its messages that no earlier import has
        sent.
        """
        self.sessions += 1
        self.messages += len(session.messages)
        self.new += new
        times = session.times()
        self.first = min(filter(None, (self.first, *times)), default="")
        self.last = max((self.last, *times))


@dataclass(slots=True)
class SessionPlan:
    """The new messages that an import would send.

    namespaces: counts by namespace. files: those with new messages, oldest first. read: number of
    files that were read. left_out: how many messages and other entries would not be sent, by
    reason. problems: files that could not be read. states: size and change time of each file before
    it was read, by which a later change is noticed.
    """

    namespaces: dict[str, NamespacePlan] = field(default_factory=dict)
    files: list[SessionFile] = field(default_factory=list)
    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    states: dict[Path, FileState] = field(default_factory=dict)

    @property
    def new(self) -> int:
        """Number of messages that the import would send, in all namespaces."""
        return sum(plan.new for plan in self.namespaces.values())


@dataclass(slots=True)
class SessionImport:
    """Sends the new messages of files with past sessions, and counts their outcomes in `report`.

    sent: the keys by which messages are recognised that were sent before. write: sends some
    messages of a session; None for an import that only plans. patience_s: seconds for which an
    unavailable service is retried.
    """

    destination: Destination
    sent: SentMessages
    write: WritePart | None = None
    report: SessionReport = field(default_factory=SessionReport)
    progress: ProgressBar = field(default_factory=partial(ProgressBar, quiet=True))
    patience_s: float = PATIENCE_S

    async def plan(self, files: Iterable[SessionFile]) -> SessionPlan:
        """Read all files and return what an import of them would send. Sends nothing."""
        plan = SessionPlan()
        order: list[tuple[str, SessionFile]] = []
        for file in files:
            if (state := file_state(file.path)) is not None:
                plan.states[file.path] = state
            sessions = await self._read(file, plan.problems)
            plan.read += 1
            plan.left_out.update(file.left_out)
            count_before = plan.new
            times = list[str]()
            for session in sessions:
                namespace, reason = self.destination.namespace_of(session.folder)
                if namespace is None:
                    plan.left_out[f"messages {reason}"] += len(session.messages)
                else:
                    times += session.times()
                    namespace_plan = plan.namespaces.setdefault(namespace, NamespacePlan())
                    namespace_plan.add(session, len(self._unsent(namespace, session)))
            if plan.new > count_before:
                order.append((min(times, default=""), file))
            file.forget()
        plan.files = [file for _, file in sorted(order, key=lambda entry: entry[0])]
        return plan

    async def forget_lost(
        self, plan: SessionPlan, is_empty: Callable[[str], Awaitable[bool]]
    ) -> bool:
        """Treat messages as unsent if they were sent to a namespace that is empty now, such as one
        of a new store.

        Returns whether there were such messages; a plan made afterwards contains them again.
        is_empty: whether a namespace has no memories. Errors that it raises are passed on, so an
        unreachable service or a rejected API key is noticed before anything is sent.
        """
        empty = {name for name in plan.namespaces if await is_empty(name)}
        lost = [
            name for name in empty if plan.namespaces[name].new < plan.namespaces[name].messages
        ]
        for name in lost:
            self.sent.keys.pop(name, None)
        return bool(lost)

    async def run(self, plan: SessionPlan) -> SessionReport:
        """Send the new messages of the plan's files; return the report, even if an error stops the
        import early.
        """
        started = anyio.current_time()
        self.report.left_out.update(plan.left_out)
        self.report.problems += plan.problems
        self.report.earlier = sum(counts.messages for counts in plan.namespaces.values()) - plan.new
        self.progress.start(plan.new)
        try:
            for file in plan.files:
                await self.send(file)
                file.forget()
                if self.report.stopped:
                    break
        finally:
            self.progress.finish()
            self.report.seconds = anyio.current_time() - started
        return self.report

    async def send(self, file: SessionFile) -> None:
        """Send a file's new messages, part by part; stop the import if the service stays
        unavailable.
        """
        for session in await self._read(file, self.report.problems):
            namespace, _ = self.destination.namespace_of(session.folder)
            if namespace is None:
                continue
            for part in parts_of(namespace, session, self._unsent(namespace, session)):
                await self._send_part(part)
                if self.report.stopped:
                    return

    async def _read(self, file: SessionFile, problems: list[str]) -> list[PastSession]:
        try:
            state = file_state(file.path)
            quiet = state is None or state[2]
            return await run_sync(lambda: file.sessions(quiet=quiet))
        except (OSError, InvalidRequest) as error:
            problems.append(f"{file.path}: can't be read: {error}")
            return []

    def _unsent(self, namespace: str, session: PastSession) -> list[tuple[int, PastMessage]]:
        """Positions and messages of which a content block was not sent; the messages have only
        these blocks.
        """
        unsent = (message.without(self.sent.keys[namespace]) for message in session.messages)
        return [
            (position, message) for position, message in enumerate(unsent) if message is not None
        ]

    async def _send_part(self, part: SessionPart) -> None:
        try:
            outcomes = await self._write(part)
        except InvalidRequest as error:
            self.report.problems.append(f"session {part.session_id} in {part.namespace}: {error}")
            return
        except RemembrancerError as error:
            self.report.stopped = f"stopped: {error}; run the command again to continue"
            return
        pairs = zip(part.keys, outcomes, strict=True)
        sent_keys = [
            key
            for keys, outcome in pairs
            if outcome.status is not WriteStatus.FAILED
            for key in keys
        ]
        await run_sync(self.sent.add, part.namespace, sent_keys)
        self.report.add(part.namespace, outcomes)
        self.progress.advance(self.report.sent, self.report.sent)

    async def _write(self, part: SessionPart) -> list[MessageOutcome]:
        """Send a part of a session; while some of its messages fail, send it again, up to
        `_ATTEMPTS` times in all.
        """
        assert self.write is not None  # noqa: S101 - a plan is made without, and sends nothing
        deliver = partial(
            retried, partial(self.write, part), Overloaded, Unavailable, patience_s=self.patience_s
        )
        outcomes = list(await deliver())
        for _ in range(_ATTEMPTS - 1):
            if all(outcome.status is not WriteStatus.FAILED for outcome in outcomes):
                break
            await anyio.sleep(_PAUSE_S)
            repeated = await deliver()
            outcomes = [
                later if earlier.status is WriteStatus.FAILED else earlier
                for earlier, later in zip(outcomes, repeated, strict=True)
            ]
        return outcomes


def parts_of(
    namespace: str, session: PastSession, unsent: Sequence[tuple[int, PastMessage]]
) -> Iterator[SessionPart]:
    """Divide a session's unsent messages into parts, one per request.

    unsent: each unsent message with its position in the session. A part has consecutive messages
    only, and some earlier messages of the session as context.
    """
    session_id = clean(session.id)[:MAX_NAME].strip() or "session"
    runs: list[tuple[int, list[PastMessage]]] = []
    end = size = 0
    for position, message in unsent:
        size += len(message.text)
        if not runs or position != end or len(runs[-1][1]) >= PART_MESSAGES or size > PART_CHARS:
            runs.append((position, []))
            size = len(message.text)
        runs[-1][1].append(message)
        end = position + 1
    for start, messages in runs:
        context = [
            _as_sent(message, CONTEXT_CHARS)
            for message in session.messages[max(0, start - REACH) : start]
        ]
        before = SaidBefore(count=start, messages=context)
        keys = tuple(message.keys for message in messages)
        yield SessionPart(namespace, session_id, tuple(map(_as_sent, messages)), before, keys)


def _as_sent(message: PastMessage, most: int | None = None) -> SessionMessage:
    return SessionMessage(
        role=message.role, content=message.text[:most], timestamp=in_utc(message.at)
    )


async def follow(
    run: SessionImport,
    find: Callable[[], list[SessionFile]],
    states: Mapping[Path, FileState],
    on_sent: Callable[[int], None],
    poll_s: float = POLL_S,
) -> None:
    """Watch session files and send their new messages, until cancelled or stopped by an error.

    find: returns the files to watch, including new ones. states: size and change time of files that
    were already read. on_sent: called with the number of messages after each check that sent any.
    poll_s: minimum seconds between two checks. Files that did not change are not opened; of files
    that grew, only the new lines are read.
    """
    read_states = dict(states)
    active: dict[Path, SessionFile] = {}
    while run.report.stopped is None:
        sent_before = run.report.sent
        started = time.perf_counter()
        files = await run_sync(find)
        search_s = time.perf_counter() - started
        for file in files:
            state = file_state(file.path)
            if state is not None and state != read_states.get(file.path):
                await run.send(active.setdefault(file.path, file))
                read_states[file.path] = state
                if state[2]:
                    del active[file.path]
        if run.report.sent > sent_before:
            on_sent(run.report.sent - sent_before)
        await anyio.sleep(max(poll_s, _PAUSE_RATIO * search_s))


def file_state(path: Path) -> FileState | None:
    """Size and change time of a file, and whether it was left unchanged for `QUIET_S`; None if the
    file is gone.
    """
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns, time.time() - state.st_mtime >= QUIET_S

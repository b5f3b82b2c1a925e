"""Imports of past sessions of AI clients: each message goes to its namespace once, even if the
importer is killed.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.conversations.sessions import MessageOutcome
from ingest.files.journal import SentMessages
from ingest.files.places import PastSource, Places
from ingest.files.sessions import (
    CONTEXT_CHARS,
    NO_PROJECT,
    OTHER_PROJECT,
    PART_MESSAGES,
    Destination,
    SessionImport,
    SessionPart,
    SessionPlan,
    follow,
)
from ingest.screening.text_features import REACH
from ingest.writing.outcome import WriteStatus
from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.policy import MemoryType
from tests.ingest.files.past.transcripts import ClaudeTranscript, Rollout

pytestmark = pytest.mark.anyio


class Killed(BaseException):
    """The exception that simulates the death of the importer."""


class Capture:
    """A fake service that stores each text of a session once.

    trouble(when, n): runs "before" and "after" the n-th part of a session is stored, and may raise
    an error.
    """

    def __init__(self, trouble: Callable[[str, int], None] = lambda _when, _number: None) -> None:
        self.parts: list[SessionPart] = []
        self.stored: Counter[tuple[str, str, str]] = Counter()
        self.trouble = trouble
        self.calls = 0

    async def write(self, part: SessionPart) -> list[MessageOutcome]:
        """Store the messages of a part of a session, and return an outcome for each.

        Messages that end in "ok" are rejected as trivial, and messages with "broken" fail.
        """
        self.calls += 1
        self.trouble("before", self.calls)
        self.parts.append(part)
        outcomes = [self._outcome(part, message.content) for message in part.messages]
        self.trouble("after", self.calls)
        return outcomes

    def _outcome(self, part: SessionPart, text: str) -> MessageOutcome:
        if text.endswith("ok"):
            return MessageOutcome(
                WriteStatus.REJECTED, "trivial: nothing in it to keep (0.01 is below 0.2)"
            )
        if "broken" in text:
            return MessageOutcome(WriteStatus.FAILED, "the store is away")
        key = (part.namespace, part.session_id, text)
        again = key in self.stored
        self.stored[key] = 1
        return MessageOutcome(
            WriteStatus.MERGED if again else WriteStatus.STORED,
            None,
            ("id",),
            (MemoryType.SEMANTIC,),
        )

    def texts(self) -> list[str]:
        """The stored texts, in order."""
        return [text for _, _, text in self.stored]


def folder_name(folder: str) -> str:
    """The namespace for a project folder: the last part of its path.

    Raises InvalidRequest if the path is not absolute.
    """
    if not folder.startswith("/"):
        raise InvalidRequest("the folder must be absolute", path="cwd")
    return folder.rpartition("/")[2]


def claude(session: str, cwd: str, count: int = 2, **fields: object) -> ClaudeTranscript:
    """A Claude Code transcript with `count` prompts and their answers."""
    talk = ClaudeTranscript(session, cwd, **fields)  # type: ignore[arg-type]
    for number in range(count):
        talk.user(f"{session} says {number}.")
        talk.assistant(f"{session} hears {number}.")
    return talk


def age(root: Path) -> None:
    """Make all files below `root` look old, so that the importer treats their last answers as
    complete.
    """
    for path in root.rglob("*"):
        os.utime(path, (time.time() - 60, time.time() - 60))


async def imported(
    home: Path,
    capture: Capture,
    destination: Destination | None = None,
    source: PastSource = PastSource.CLAUDE_CODE,
) -> tuple[SessionImport, SessionPlan]:
    """Plan and run an import of all sessions below `home`. The journal of sent messages is `home /
    "journal"`.
    """
    age(home)
    sent = SentMessages.open(home / "journal", "here")
    run = SessionImport(
        destination or Destination(folder_name), sent, capture.write, patience_s=0.0
    )
    plan = await run.plan(Places(home, home).session_files(source, None))
    await run.run(plan)
    return run, plan


async def test_each_project_has_its_own_namespace(tmp_path: Path) -> None:
    """Sessions of two projects go to two namespaces.

    Sessions without an absolute project folder are left out and counted with the reason.
    """
    claude("s1", "/home/ann/shop").write(tmp_path / ".claude")
    claude("s2", "/home/ann/billing").write(tmp_path / ".claude")
    homeless = claude("s3", "/x")
    for line in homeless.lines:
        del line["cwd"]
    homeless.write(tmp_path / ".claude")
    claude("s4", "relative").write(tmp_path / ".claude")
    capture = Capture()
    run, plan = await imported(tmp_path, capture)
    assert {(namespace, session) for namespace, session, _ in capture.stored} == {
        ("shop", "s1"),
        ("billing", "s2"),
    }
    assert (
        run.report.left_out[f"messages {NO_PROJECT}"]
        == plan.left_out[f"messages {NO_PROJECT}"]
        == 8
    )
    assert run.report.namespaces == {"shop": 4, "billing": 4}
    assert run.report.types == {"semantic": 8}


async def test_a_namespace_or_a_project_can_be_chosen(tmp_path: Path) -> None:
    """If a namespace is chosen, the sessions of all projects are imported into it.

    If a project is chosen, only its sessions are imported.
    """
    claude("s1", "/home/ann/shop").write(tmp_path / ".claude")
    claude("s2", "/home/ann/billing").write(tmp_path / ".claude")
    both = Capture()
    only = Capture()
    await imported(tmp_path / ".", both, Destination(folder_name, fixed="mine"))
    assert {namespace for namespace, _, _ in both.stored} == {"mine"}
    run, _ = await imported(tmp_path, only, Destination(folder_name, only="shop"))
    assert {namespace for namespace, _, _ in only.stored} == {"shop"}
    assert run.report.left_out[f"messages {OTHER_PROJECT}"] == 4


async def test_the_plan_names_sessions_messages_and_dates(tmp_path: Path) -> None:
    """A plan counts sessions and messages by namespace, with their first and last time.

    Planning sends nothing and writes no journal.
    """
    claude("s1", "/home/ann/shop").write(tmp_path / ".claude")
    claude("s2", "/home/ann/shop").write(tmp_path / ".claude")
    age(tmp_path)
    run = SessionImport(Destination(folder_name), SentMessages.open(tmp_path / "journal", "here"))
    plan = await run.plan(Places(tmp_path, tmp_path).session_files(PastSource.CLAUDE_CODE, None))
    shop = plan.namespaces["shop"]
    assert (shop.sessions, shop.messages, shop.new, plan.read, plan.new) == (2, 8, 8, 2, 8)
    assert shop.first == "2026-03-02T09:00:07+00:00"
    assert shop.first < shop.last
    assert not (tmp_path / "journal").exists()


async def test_a_second_import_sends_only_new_messages(tmp_path: Path) -> None:
    """A second import of a session sends only its new messages, with the messages before them as
    context.

    This holds even if the session's file was renamed.
    """
    talk = claude("s1", "/home/ann/shop", count=10)
    path = talk.write(tmp_path / ".claude")
    capture = Capture()
    await imported(tmp_path, capture)
    talk.user("And one more.")
    talk.write(tmp_path / ".claude")
    path.rename(path.with_name("moved.jsonl"))
    run, _ = await imported(tmp_path, capture)
    assert (run.report.sent, run.report.earlier) == (1, 20)
    last = capture.parts[-1]
    assert [message.content for message in last.messages] == ["And one more."]
    assert (last.before.count, len(last.before.messages)) == (20, REACH)
    assert last.before.messages[-1].content == "s1 hears 9."


async def test_messages_are_sent_again_to_an_emptied_namespace(tmp_path: Path) -> None:
    """The journal lists the messages that were sent to each namespace. For an empty namespace
    `forget_lost` clears it.

    The next import then sends all messages of this namespace again, and no others.
    """
    claude("s1", "/p/shop").write(tmp_path / ".claude")
    claude("s2", "/p/billing").write(tmp_path / ".claude")
    await imported(tmp_path, Capture())
    run = SessionImport(Destination(folder_name), SentMessages.open(tmp_path / "journal", "here"))
    files = Places(tmp_path, tmp_path).session_files(PastSource.CLAUDE_CODE, None)

    async def is_empty(namespace: str) -> bool:
        return namespace == "shop"

    assert (await run.plan(files)).new == 0
    assert await run.forget_lost(await run.plan(files), is_empty)
    assert (await run.plan(files)).namespaces["shop"].new == 4
    assert (await run.plan(files)).new == 4


async def test_long_sessions_are_sent_in_parts(tmp_path: Path) -> None:
    """A long session is sent in consecutive parts, and the oldest session first. Messages keep
    their times.
    """
    claude("s2", "/p/shop", count=5).write(tmp_path / ".claude")
    late = claude("s1", "/p/shop", count=PART_MESSAGES)
    late.lines = [
        {**line, "timestamp": line["timestamp"].replace("2026", "2025")} for line in late.lines
    ]
    late.write(tmp_path / ".claude")
    capture = Capture()
    await imported(tmp_path, capture)
    assert [part.session_id for part in capture.parts] == ["s1", "s1", "s2"]
    assert [part.before.count for part in capture.parts] == [0, PART_MESSAGES, 0]
    assert capture.parts[0].messages[0].timestamp == "2025-03-02T09:00:07+00:00"


async def test_long_messages_are_shortened_if_sent_as_context(tmp_path: Path) -> None:
    talk = ClaudeTranscript("s1", "/p/shop")
    for number in range(4):
        talk.user(f"{number} " + "word " * 90_000)
    talk.write(tmp_path / ".claude")
    capture = Capture()
    await imported(tmp_path, capture)
    assert [len(part.messages) for part in capture.parts] == [2, 2]
    assert all(
        len(message.content) > 400_000 for part in capture.parts for message in part.messages
    )
    assert [len(message.content) for message in capture.parts[1].before.messages] == [
        CONTEXT_CHARS
    ] * 2


async def test_the_report_counts_messages_by_the_reason_of_their_failure(tmp_path: Path) -> None:
    """The report counts rejected and failed messages by reason, without scores such as "(0.01 is
    below 0.2)".

    If messages failed, the exit code is 1. The next import sends failed messages again, but not
    rejected ones.
    """
    talk = ClaudeTranscript("s1", "/p/shop")
    talk.user("All is ok")
    talk.assistant("broken store")
    talk.write(tmp_path / ".claude")
    capture = Capture()
    run, _ = await imported(tmp_path, capture)
    assert run.report.reasons == {
        WriteStatus.REJECTED: {"trivial: nothing in it to keep": 1},
        WriteStatus.FAILED: {"the store is away": 1},
    }
    assert run.report.exit_code == 1
    answer = json.loads(json.dumps(run.report.to_json()))
    assert answer["counts"] == {"stored": 0, "merged": 0, "rejected": 1, "failed": 1}
    assert (answer["namespaces"], answer["reasons"]["failed"]) == (
        {"shop": 2},
        {"the store is away": 1},
    )
    second, _ = await imported(tmp_path, capture)
    assert (second.report.sent, second.report.earlier) == (1, 1)


async def test_an_unavailable_service_stops_the_import_and_the_next_import_continues(
    tmp_path: Path,
) -> None:
    """If the memory service stays unavailable, the import stops, and the report says how to
    continue.

    The next import sends only the messages that were not stored.
    """
    claude("s1", "/p/shop", count=PART_MESSAGES).write(tmp_path / ".claude")

    def away(when: str, number: int) -> None:
        if when == "before" and number == 2:
            raise Unavailable("it is away")

    capture = Capture(away)
    run, _ = await imported(tmp_path, capture)
    assert run.report.stopped == "stopped: it is away; run the command again to continue"
    assert (run.report.exit_code, run.report.sent) == (1, PART_MESSAGES)
    second, _ = await imported(tmp_path, capture)
    assert (second.report.sent, second.report.exit_code) == (PART_MESSAGES, 0)
    assert len(capture.parts) == 2


async def test_an_import_waits_for_a_service_that_restarts(tmp_path: Path) -> None:
    claude("s1", "/p/shop").write(tmp_path / ".claude")

    def away(when: str, number: int) -> None:
        if when == "before" and number < 3:
            raise Unavailable("it restarts", retry_after_s=0)

    capture = Capture(away)
    age(tmp_path)
    run = SessionImport(Destination(folder_name), SentMessages(None), capture.write)
    report = await run.run(
        await run.plan(Places(tmp_path, tmp_path).session_files(PastSource.CLAUDE_CODE, None))
    )
    assert (report.stopped, report.sent) == (None, 4)


async def test_an_unreadable_file_is_named_and_the_others_are_imported(tmp_path: Path) -> None:
    claude("s1", "/p/shop").write(tmp_path / ".claude")
    rollout = Rollout("s2", "/p/shop")
    rollout.turn("Hello there.", "Hello.")
    rollout.write(tmp_path / ".codex")
    (tmp_path / ".codex" / "sessions" / "rollout-broken.jsonl.zst").write_bytes(b"no archive")
    capture = Capture()
    run, _ = await imported(tmp_path, capture, source=PastSource.CODEX)
    assert capture.texts() == ["Hello there.", "Hello."]
    assert len(run.report.problems) == 1
    assert "rollout-broken" in run.report.problems[0]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["before", "after"]), st.integers(1, 4)), max_size=5),
    st.integers(0, 200),
    st.integers(1, 150),
)
def test_no_message_is_lost_or_stored_twice_if_an_import_is_killed(
    kills: Sequence[tuple[str, int]], torn: int, count: int
) -> None:
    """Imports are killed just before or after the service stores a part of a session. The next
    import sends the rest.

    This holds even if the end of the journal of sent messages is cut off.
    """
    with TemporaryDirectory() as folder:
        home = Path(folder)
        claude("s1", "/p/shop", count=count).write(home / ".claude")
        remaining_kills = [*kills]
        capture = Capture()
        while True:
            kill = remaining_kills.pop() if remaining_kills else None
            first = capture.calls

            def trouble(
                when: str, number: int, kill: tuple[str, int] | None = kill, first: int = first
            ) -> None:
                if kill == (when, number - first):
                    raise Killed

            capture.trouble = trouble
            try:
                run, _ = anyio.run(lambda: imported(home, capture))
            except (Killed, BaseExceptionGroup):
                for journal in (home / "journal").glob("*"):
                    journal.write_bytes(journal.read_bytes()[: journal.stat().st_size - torn % 60])
                continue
            if not remaining_kills:
                break
        assert sorted(capture.texts()) == sorted(
            text
            for number in range(count)
            for text in (f"s1 says {number}.", f"s1 hears {number}.")
        )
        assert run.report.sent + run.report.earlier == 2 * count


async def test_running_sessions_are_followed(tmp_path: Path) -> None:
    """While `follow` runs, new lines of a session file and new session files are imported once.

    A line that is still being written is imported when it is complete.
    """
    talk = claude("s1", "/p/shop")
    path = talk.write(tmp_path / ".claude")
    capture = Capture()
    run, plan = await imported(tmp_path, capture)
    sent_counts: list[int] = []

    async def until(count: int) -> None:
        with anyio.fail_after(10):
            while sum(sent_counts) < count:  # noqa: ASYNC110 - a test polls
                await anyio.sleep(0.01)

    session_places = Places(tmp_path, tmp_path)
    async with anyio.create_task_group() as tasks:
        find = lambda: session_places.session_files(PastSource.CLAUDE_CODE, None)  # noqa: E731
        tasks.start_soon(follow, run, find, plan.states, sent_counts.append, 0.01)
        talk.user("A new line.")
        transcript = talk.write(tmp_path / ".claude").read_bytes()
        path.write_bytes(transcript[:-9])
        await anyio.sleep(0.1)
        assert not sent_counts
        path.write_bytes(transcript)
        await until(1)
        claude("s2", "/p/billing", count=1).write(tmp_path / ".claude")
        await until(2)
        age(tmp_path)
        await until(3)
        tasks.cancel_scope.cancel()
    assert capture.texts()[-3:] == ["A new line.", "s2 says 0.", "s2 hears 0."]
    assert run.report.sent == 7

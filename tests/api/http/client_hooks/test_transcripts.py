"""A session that is reported by hooks and also imported from its transcript: each message is stored
once.
"""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from api.cli.client import ApiClient
from api.cli.past import write_part
from api.project import project_namespace
from ingest.files.journal import SentMessages
from ingest.files.places import PastSource, Places
from ingest.files.report import SessionReport
from ingest.files.sessions import Destination, SessionImport
from memtypes.model.memory import Memory
from tests.api.http.client_hooks.conftest import ClientSession, Clock
from tests.ingest.files.past.transcripts import ClaudeTranscript

pytestmark = pytest.mark.anyio

TURNS = (
    (
        "We run Postgres 15 in production because the ledger needs logical replication.",
        "I keep the slots in mind.",
    ),
    (
        "Remind me in 2 hours to rotate the signing keys of billing.",
        "I will remind you to rotate the signing keys.",
    ),
    (
        "From now on we deploy on Thursdays at 14:00, never on Fridays.",
        "Deploys are on Thursdays at 14:00 now.",
    ),
)


def transcript(session: ClientSession, start: datetime, home: Path) -> None:
    """Write a transcript of the conversation `TURNS`. Its times differ from the hooks' by fractions
    of a second.
    """
    talk = ClaudeTranscript(session.session_id, session.cwd, start - timedelta(seconds=7.4))
    for prompt, answer in TURNS:
        talk.user(prompt)
        talk.assistant("I look.", answer)
    for number, line in enumerate(talk.lines):
        line["timestamp"] = (start + timedelta(seconds=number, milliseconds=-400)).isoformat()
    path = talk.write(home / ".claude")
    os.utime(path, (time.time() - 60,) * 2)


async def live(session: ClientSession, clock: Clock) -> None:
    """Report the conversation `TURNS` by hook events, as a client does."""
    await session.post("SessionStart", source="startup")
    for prompt, answer in TURNS:
        await session.prompt(prompt)
        clock.later(seconds=5)
        await session.stop(answer)
        clock.later(seconds=1)


async def imported(session: ClientSession, home: Path) -> SessionReport:
    """Import the transcripts in `home` over HTTP, and return the report."""
    write = partial(write_part, ApiClient(session.http))
    run = SessionImport(Destination(project_namespace), SentMessages(None), write)
    return await run.run(
        await run.plan(Places(home, home).session_files(PastSource.CLAUDE_CODE, None))
    )


def state(memories: list[Memory]) -> dict[str, tuple[str, int]]:
    """Content and evidence count of each memory by id, without the text that hooks do not
    report.
    """
    return {
        memory.id: (memory.content, memory.evidence_count)
        for memory in memories
        if "I look." not in memory.content
    }


async def test_importing_a_captured_transcript_stores_nothing(
    session: ClientSession, clock: Clock, tmp_path: Path
) -> None:
    """If hooks stored a session, importing the session's transcript adds no memory and no
    evidence.
    """
    transcript(session, clock.now, tmp_path)
    await live(session, clock)
    before = state(await session.memories())
    assert any("Postgres 15" in content for content, _ in before.values())
    report = await imported(session, tmp_path)
    assert (report.sent, report.exit_code) == (9, 0)
    assert state(await session.memories()) == before


async def test_hooks_store_nothing_of_an_imported_transcript(
    session: ClientSession, clock: Clock, tmp_path: Path
) -> None:
    """If a session's transcript was imported, hook events of the same session add no memory and no
    evidence.
    """
    transcript(session, clock.now, tmp_path)
    report = await imported(session, tmp_path)
    before = state(await session.memories())
    assert report.types.total() == len(before) > 0
    await live(session, clock)
    assert state(await session.memories()) == before

"""Import of the messages in a past session: each message is screened and written as a memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from api.wiring.services import local_panel, screening_of
from ingest.conversations.sessions import (
    EMPTY,
    MessageOutcome,
    SaidBefore,
    SessionMessage,
    SessionWriter,
)
from ingest.screening.judge import Judge
from ingest.screening.recall_guard import RecallGuard
from ingest.screening.redaction.redactor import RuleBook
from ingest.screening.submission import ReviewMode
from memtypes.model.memory import MAX_CONTENT, Memory
from memtypes.model.scope import Scope
from memtypes.search.vectors import Embedding, InContext
from retrieval.context.entries import Entries
from tests.fakes import FakeEmbedder, FakeSparse
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 2, tzinfo=UTC)
SCOPE = Scope("acme", "shop", "s1")
FACT = "The staging database is read-only on Sundays, so exports run on Mondays."


class RecordingEmbedder(FakeEmbedder):
    """Keeps the texts that it embeds in context."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[InContext] = []

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """Embed `texts`, after keeping them."""
        self.texts += texts
        return await super().embed_in_context(texts)


async def _flush() -> None:
    """Do nothing: stand in for writing pending access counts, of which there are none."""


@pytest.fixture
def writer() -> SessionWriter:
    """A session writer with full screening over an in-memory store."""
    store = InMemoryStore()
    guard = RecallGuard(store, FakeSparse(), _flush, Entries().text_of)
    screened = screening_of(
        RuleBook(), local_panel(store, Judge.shipped()), FakeEmbedder(), guard, lambda: NOW
    )
    ingestor = plain_ingestor(
        store, lambda: NOW, gates=screened.gates, panel=screened.panel, recent=screened.recent
    )
    return SessionWriter(ingestor, guard)


def message(content: str, role: str = "user", timestamp: str | None = None) -> SessionMessage:
    """A message in a session, by default from the user."""
    return SessionMessage(role=role, content=content, timestamp=timestamp)


async def write(
    writer: SessionWriter, *messages: SessionMessage, review: ReviewMode = ReviewMode.AUTO
) -> list[MessageOutcome]:
    """Write the messages as a session and return the outcome of each."""
    return await writer.write(SCOPE, messages, review)


async def test_each_message_ends_with_its_own_status(writer: SessionWriter) -> None:
    """A message with an invalid time, a future time or a control character fails.

    The other messages are not affected.
    """
    outcomes = await write(
        writer,
        message(FACT, timestamp="2026-03-01T10:00:00"),
        message(" \n"),
        message("a\x00b"),
        message(FACT, timestamp="yesterday"),
        message(FACT, timestamp="2031-01-01T00:00:00Z"),
        message("ok thanks"),
    )
    assert [outcome.status for outcome in outcomes] == [
        "stored",
        "rejected",
        "failed",
        "failed",
        "failed",
        "rejected",
    ]
    assert outcomes[1].reason == EMPTY
    assert "control characters" in str(outcomes[2].reason)
    assert "created_at" in str(outcomes[3].reason)
    assert "created_at" in str(outcomes[4].reason)


async def test_a_time_without_an_offset_is_utc(writer: SessionWriter) -> None:
    (outcome,) = await write(writer, message(FACT, timestamp="2026-03-01T10:00:00"))
    (memory,) = (
        await writer.ingestor.store.get(SCOPE, dict(zip(outcome.ids, outcome.types, strict=True)))
    ).values()
    assert memory.created_at == datetime(2026, 3, 1, 10, tzinfo=UTC)


async def test_a_session_sent_again_stores_only_its_new_messages(writer: SessionWriter) -> None:
    """If a session is sent again with a further message, known messages are merged into their
    memories.

    Only the further message is stored as a new memory.
    """
    first = message(FACT)
    second = message("Remind me to call Ann tomorrow.", timestamp="2026-03-01T09:00:00Z")
    await write(writer, first)
    repeated = await write(writer, first, second)
    assert [outcome.status for outcome in repeated] == ["merged", "stored"]


async def test_a_message_longer_than_a_memory_becomes_several_memories(
    writer: SessionWriter,
) -> None:
    """A message too long for one memory is cut at blanks into several memories, which together have
    the whole text.
    """
    words = "budget " * (MAX_CONTENT // 7 + 50_000)
    (outcome,) = await write(writer, message(words), review=ReviewMode.SKIP)
    stored = (
        await writer.ingestor.store.get(SCOPE, dict.fromkeys(outcome.ids, outcome.types[0]))
    ).values()
    assert len(outcome.ids) == 2
    assert sum(len(memory.content.split()) for memory in stored) == len(words.split())


async def test_review_skip_stores_messages_that_a_review_would_reject(
    writer: SessionWriter,
) -> None:
    (outcome,) = await write(writer, message("ok thanks"), review=ReviewMode.SKIP)
    (memory,) = (
        await writer.ingestor.store.get(SCOPE, dict(zip(outcome.ids, outcome.types, strict=True)))
    ).values()
    fields: dict[str, Any] = memory.model_dump()
    assert (outcome.status, fields["reviewed"]) == ("stored", None)


async def test_a_request_inside_a_message_becomes_a_second_memory(writer: SessionWriter) -> None:
    """A message that reports something and also asks for a reminder becomes two memories.

    The whole message is stored, and the request alone is stored as an intention (a task).
    """
    text = (
        "Yesterday the migration of the mail server failed at step two because the disk "
        "was full, we rolled it back. "
        "Remind me to call Ann tomorrow."
    )
    (outcome,) = await write(writer, message(text))
    stored = await writer.ingestor.store.get(
        SCOPE, dict(zip(outcome.ids, outcome.types, strict=False))
    )
    assert outcome.status == "stored"
    assert "prospective" in outcome.types
    assert len(outcome.ids) == 2
    assert stored


async def test_courtesies_of_an_agent_are_dropped_and_its_findings_kept(
    writer: SessionWriter,
) -> None:
    """What an agent has found out is stored.

    Its announcements of what it will do next are rejected as noise, like a user's thanks.
    """
    outcomes = await write(
        writer,
        message("the export is slow again"),
        message("Let me look into that! I'll check the logs first.", "assistant"),
        message(
            (
                "The export was slow because the index on orders was missing; I added it and "
                "it takes 40 ms now."
            ),
            "assistant",
        ),
        message("great, thanks!"),
    )
    assert [outcome.status for outcome in outcomes][1:] == ["rejected", "stored", "rejected"]


async def memories(writer: SessionWriter, outcomes: list[MessageOutcome]) -> list[Memory]:
    """The stored memories whose ids the outcomes contain."""
    types = {
        key: kind
        for outcome in outcomes
        for key, kind in zip(outcome.ids, outcome.types, strict=True)
    }
    return list((await writer.ingestor.store.get(SCOPE, types)).values())


async def test_a_later_part_of_a_session_continues_the_turn_numbers(writer: SessionWriter) -> None:
    """A part of a session may be sent with the messages before it as context, and their number.

    The turn numbers of the new messages continue after the earlier messages, which are not stored
    again.
    """
    before = SaidBefore(
        count=40, messages=[message("Which days is staging read-only?", "assistant")]
    )
    outcomes = await writer.write(SCOPE, [message(FACT)], ReviewMode.AUTO, before)
    (memory,) = await memories(writer, outcomes)
    assert memory.source is not None
    assert memory.source.turns == [40]
    assert len(outcomes) == 1


@pytest.mark.parametrize(
    ("content", "live", "imported"),
    [
        (FACT, "2026-03-01T10:00:00.120Z", "2026-03-01T10:00:00.040Z"),
        ("We moved the stock counter to Postgres.", "2026-03-01T00:00:02Z", "2026-02-28T23:59:58Z"),
        (
            "Remind me in 2 hours to rotate the signing keys of billing.",
            "2026-03-01T10:00:03Z",
            "2026-03-01T10:00:00Z",
        ),
    ],
)
async def test_a_captured_message_is_not_stored_again_from_its_transcript(
    writer: SessionWriter, content: str, live: str, imported: str
) -> None:
    """A message that was captured live is merged into its memory, not stored twice, when its
    transcript is imported.

    The transcript may give a slightly earlier time, even on the day before, and another turn
    number.
    """
    first = await writer.write(SCOPE, [message(content, timestamp=live)], ReviewMode.SKIP)
    for again in (imported, live):
        sent = await writer.write(
            SCOPE, [message(content, timestamp=again)], ReviewMode.SKIP, SaidBefore(count=17)
        )
        assert {outcome.status for outcome in sent} == {"merged"}
        assert {key for outcome in sent for key in outcome.ids} <= {
            key for outcome in first for key in outcome.ids
        }
    assert {memory.evidence_count for memory in await memories(writer, first)} == {1}


async def test_a_fact_repeated_in_another_session_adds_evidence(writer: SessionWriter) -> None:
    first = await writer.write(
        SCOPE, [message(FACT, timestamp="2026-03-01T10:00:00Z")], ReviewMode.SKIP
    )
    other = replace(SCOPE, session_id="s2")
    await writer.write(other, [message(FACT, timestamp="2026-03-01T10:00:01Z")], ReviewMode.SKIP)
    assert {memory.evidence_count for memory in await memories(writer, first)} == {2}


async def test_messages_of_a_session_are_numbered_together(writer: SessionWriter) -> None:
    """Neighbours in a session have neighbouring numbers, whatever their types; a dropped message
    leaves a gap.
    """
    outcomes = await write(
        writer,
        message(FACT),
        message("ok thanks"),
        message(
            "To release: first bump the version, then run the tests, then push the tag. "
            "Done by hand so far."
        ),
        message("Please remind me on Friday to renew the certificate."),
    )
    memories = await writer.ingestor.store.get(
        SCOPE, [outcome.ids[0] for outcome in outcomes if outcome.ids]
    )
    numbers = [memory.seq for memory in memories.values()]
    assert len({memory.type for memory in memories.values()}) > 1
    assert [number - numbers[0] for number in numbers] == [0, 2, 3]


async def test_a_message_is_embedded_after_messages_that_were_dropped(
    writer: SessionWriter,
) -> None:
    """An answer is embedded with the question before it, although the question itself is not
    stored.
    """
    embedder = RecordingEmbedder()
    asking = replace(writer, ingestor=replace(writer.ingestor, embedder=embedder))
    question = "Do you log the temperature?"
    answer = "Wim does it twice a day, at 8:00 and at 17:00, in the red book."
    at = "2026-03-01T10:00:00Z"
    outcomes = await write(
        asking, message(question, "assistant", at), message(answer, timestamp=at)
    )
    assert [outcome.status for outcome in outcomes] == ["rejected", "stored"]
    assert f"1 March 2026 Sunday assistant: {question}" in [text.before for text in embedder.texts]
    assert [text.text for text in embedder.texts if text.before] == [answer]

"""Turns the messages of an ended session into drafts; pure.

Each message becomes an event whose source is its position in the session, so a session that is sent again adds nothing.
From the user's messages, requests for a reminder also become intentions, instructions become procedures, and statements
about the user become facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ingest.screening.extraction.parts import facts_in, howtos_in, requests_in
from memtypes.model.episodic import EpisodicDraft, EventType
from memtypes.model.memory import Label, Model, Source, Text
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.prospective import IntentionType, ProspectiveDraft
from memtypes.model.semantic import Category, SemanticDraft
from memtypes.model.times import Instant
from memtypes.model.types import AnyDraft

CALLER = "session-stop"

CONFIDENCE = 0.8
"""Confidence of a fact that was extracted from a message."""

ABOUT_USER = "about-user"
"""Tag of an extracted fact: "I" in it is the user of the session."""

_EVENTS = {"user": EventType.USER_QUERY, "assistant": EventType.AGENT_RESPONSE}


class SessionMessage(Model):
    """One message of a chat session, as the caller sends it."""

    role: Label
    content: Text
    timestamp: Instant | None = None


def session_drafts(session_id: str, messages: Sequence[SessionMessage]) -> list[tuple[int, AnyDraft]]:
    """Pairs of message index and draft: for each message an event, then its intentions, procedures and facts.

    An empty message has none.
    """
    return [
        (index, draft)
        for index, message in enumerate(messages)
        if message.content
        for draft in _drafts(session_id, index, message)
    ]


def _drafts(session_id: str, index: int, message: SessionMessage) -> Iterator[AnyDraft]:
    common: dict[str, Any] = {
        "session_id": session_id,
        "created_at": message.timestamp,
        "source": Source(thread_id=session_id, turns=[index], caller=CALLER),
    }
    yield EpisodicDraft(
        type=MemoryType.EPISODIC,
        content=message.content,
        speaker=message.role,
        event_type=_EVENTS.get(message.role, EventType.OBSERVATION),
        **common,
    )
    if message.role != "user":
        return
    for request in requests_in(message.content):
        yield ProspectiveDraft(
            type=MemoryType.PROSPECTIVE,
            content=request,
            intention_type=IntentionType.REMINDER,
            **common,
        )
    for howto in howtos_in(message.content):
        yield ProceduralDraft(
            type=MemoryType.PROCEDURAL,
            content=howto.text,
            procedure_name=howto.name,
            steps=list(howto.steps),
            **common,
        )
    for fact in facts_in(message.content):
        yield SemanticDraft(
            type=MemoryType.SEMANTIC,
            content=fact,
            category=Category.FACT,
            confidence=CONFIDENCE,
            tags=[ABOUT_USER],
            **common,
        )

"""Turns the messages of an ended session into drafts; pure.

Each message becomes an event whose source is its position in the session, so a session that is sent again adds nothing.
From the user's messages, requests for a reminder also become intentions, instructions become procedures, and statements
about the user become facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.screening.extraction.parts import facts_in, howtos_in, requests_in
from memtypes.model.episodic import EpisodicDraft, EventType
from memtypes.model.memory import Source, Text
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.prospective import IntentionType, ProspectiveDraft
from memtypes.model.semantic import Category, SemanticDraft
from memtypes.model.types import AnyDraft

CALLER = "session-stop"

CONFIDENCE = 0.8
"""Confidence of a fact that was extracted from a message."""

ABOUT_USER = "about-user"
"""Tag of an extracted fact: "I" in it is the user of the session."""

_EVENTS = {"user": EventType.USER_QUERY, "assistant": EventType.AGENT_RESPONSE}


@dataclass(frozen=True, slots=True)
class SessionMessage:
    """A message of a session."""

    role: str
    content: Text
    timestamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """A draft, and the index of its message."""

    index: int
    draft: AnyDraft


def session_drafts(session_id: str, messages: Sequence[SessionMessage]) -> list[MessageDraft]:
    """For each message an event, followed by its intentions, procedures and facts; nothing for an empty message."""
    drafts: list[MessageDraft] = []
    for index, message in enumerate(messages):
        if message.content:
            source = Source(thread_id=session_id, turns=[index], caller=CALLER)
            drafts += [MessageDraft(index, draft) for draft in _drafts(session_id, message, source)]
    return drafts


def _drafts(session_id: str, message: SessionMessage, source: Source) -> list[AnyDraft]:
    event = EpisodicDraft(
        type=MemoryType.EPISODIC,
        content=message.content,
        session_id=session_id,
        speaker=message.role,
        event_type=_EVENTS.get(message.role, EventType.OBSERVATION),
        created_at=message.timestamp,
        source=source,
    )
    if message.role != "user":
        return [event]
    return [
        event,
        *_intentions(session_id, message, source),
        *_procedures(session_id, message, source),
        *_facts(session_id, message, source),
    ]


def _intentions(session_id: str, message: SessionMessage, source: Source) -> list[ProspectiveDraft]:
    """Requests for a reminder. They are visible to the namespace, because their session has ended."""
    return [
        ProspectiveDraft(
            type=MemoryType.PROSPECTIVE,
            content=sentence,
            session_id=session_id,
            intention_type=IntentionType.REMINDER,
            visibility=Visibility.NAMESPACE,
            created_at=message.timestamp,
            source=source,
        )
        for sentence in requests_in(message.content)
    ]


def _procedures(session_id: str, message: SessionMessage, source: Source) -> list[ProceduralDraft]:
    return [
        ProceduralDraft(
            type=MemoryType.PROCEDURAL,
            content=howto.text,
            session_id=session_id,
            procedure_name=howto.name,
            steps=list(howto.steps),
            created_at=message.timestamp,
            source=source,
        )
        for howto in howtos_in(message.content)
    ]


def _facts(session_id: str, message: SessionMessage, source: Source) -> list[SemanticDraft]:
    return [
        SemanticDraft(
            type=MemoryType.SEMANTIC,
            content=sentence,
            session_id=session_id,
            category=Category.FACT,
            confidence=CONFIDENCE,
            tags=[ABOUT_USER],
            created_at=message.timestamp,
            source=source,
        )
        for sentence in facts_in(message.content)
    ]

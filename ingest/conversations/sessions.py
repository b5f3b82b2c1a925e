"""A conversation that has ended as drafts: what was said, and what was asked to be remembered for later. Pure.

Each message becomes an event under its place in the session, so that the same conversation sent again is known. A
sentence of the user's that asks for a reminder becomes an intention besides, a way to do something a how-to, and what
they state of themselves a fact.
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
"""Of a fact that was cut out of a conversation."""

ABOUT_USER = "about-user"
"""The tag of such a fact: "I" in it is whoever used the session."""

_EVENTS = {"user": EventType.USER_QUERY, "assistant": EventType.AGENT_RESPONSE}


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: str
    content: Text
    timestamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A draft and the index of the message that it comes from."""

    index: int
    draft: AnyDraft


def drafts_of(session_id: str, messages: Sequence[Message]) -> list[Said]:
    """An event a message, followed by the intentions, how-tos and facts that it states; none for an empty message."""
    made: list[Said] = []
    for index, message in enumerate(messages):
        if not message.content:
            continue
        source = Source(thread_id=session_id, turns=[index], caller=CALLER)
        made.append(Said(index, _event(session_id, message, source)))
        if message.role == "user":
            made += [Said(index, draft) for draft in _intentions(session_id, message, source)]
            made += [Said(index, draft) for draft in _howtos(session_id, message, source)]
            made += [Said(index, draft) for draft in _facts(session_id, message, source)]
    return made


def _event(session_id: str, message: Message, source: Source) -> EpisodicDraft:
    return EpisodicDraft(
        type=MemoryType.EPISODIC,
        content=message.content,
        session_id=session_id,
        speaker=message.role,
        event_type=_EVENTS.get(message.role, EventType.OBSERVATION),
        created_at=message.timestamp,
        source=source,
    )


def _intentions(session_id: str, message: Message, source: Source) -> list[ProspectiveDraft]:
    """The sentences that ask for a reminder: for the whole namespace, since their own session is over."""
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


def _howtos(session_id: str, message: Message, source: Source) -> list[ProceduralDraft]:
    """The ways to do something that the message gives."""
    return [
        ProceduralDraft(
            type=MemoryType.PROCEDURAL,
            content=found.text,
            session_id=session_id,
            procedure_name=found.name,
            steps=list(found.steps),
            created_at=message.timestamp,
            source=source,
        )
        for found in howtos_in(message.content)
    ]


def _facts(session_id: str, message: Message, source: Source) -> list[SemanticDraft]:
    """What the message states of the one who speaks; less sure than what somebody wrote as a fact."""
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

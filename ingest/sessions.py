"""A conversation that has ended as drafts: what was said, and what was asked to be remembered for later. Pure.

Each message becomes an event under its place in the session, so that the same conversation sent again is known. A
sentence of the user's that asks for a reminder becomes an intention besides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from memtypes.episodic import EpisodicDraft, EventType
from memtypes.memory import Source, Text
from memtypes.policy import MemoryType, Visibility
from memtypes.prospective import IntentionType, ProspectiveDraft
from memtypes.types import AnyDraft

CALLER = "session-stop"

_EVENTS = {"user": EventType.USER_QUERY, "assistant": EventType.AGENT_RESPONSE}
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]?")
_ASKS = re.compile(
    r"\b(?:remind (?:me|us)\b|(?:set|make|add|create) (?:me )?(?:an? )?(?:new )?reminder\b"
    r"|(?:do not|don't) let me forget\b"
    r"|(?:do not|don't) forget to\b|remember to\b|i (?:need|have|must) to remember to\b|note to self\b)",
    re.IGNORECASE,
)
_NOT_FOR_LATER = re.compile(
    r"\bremind me (?:what|who|which|how|why|where|when (?:did|was|is|were)|of what)\b", re.IGNORECASE
)


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
    """An event a message, followed by the intentions that it states; none for a message that is empty."""
    made: list[Said] = []
    for index, message in enumerate(messages):
        if not message.content:
            continue
        source = Source(thread_id=session_id, turns=[index], caller=CALLER)
        made.append(Said(index, _event(session_id, message, source)))
        made += [Said(index, draft) for draft in _intentions(session_id, message, source)]
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
    if message.role != "user":
        return []
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


def requests_in(text: str) -> list[str]:
    """The sentences of `text` that ask to be reminded of something later."""
    sentences = (found[0].strip() for found in _SENTENCE.finditer(text))
    return [one for one in sentences if one and _ASKS.search(one) and not _NOT_FOR_LATER.search(one)]

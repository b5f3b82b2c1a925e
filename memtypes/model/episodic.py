"""Episodic memory: events, such as turns of a conversation."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Required

from pydantic import AfterValidator, BaseModel, Field
from typing_extensions import TypedDict

from memtypes.model.memory import Draft, Flag, Label, Line, Memory, Metadata, Whole
from memtypes.model.policy import MemoryType
from memtypes.model.times import INSTANT, TimeText


class EventType(StrEnum):
    """Kinds of event that an episodic memory records."""

    USER_QUERY = "user_query"
    AGENT_RESPONSE = "agent_response"
    DECISION = "decision"
    ERROR = "error"
    OBSERVATION = "observation"


_Natural = Annotated[Whole, Field(ge=0, lt=2**53)]


class SpokenTurn(TypedDict, total=False):
    """A turn of a thread that became part of an event, without its text, which is part of the
    event's content.

    characters: length of the text. The other fields are those of `Turn`; fields without a value are
    left out.
    """

    index: Required[_Natural]
    role: Required[str]
    at: Required[
        Annotated[TimeText, AfterValidator(lambda text: INSTANT.validate_python(text) and text)]
    ]
    tokens: Required[_Natural]
    characters: Required[_Natural]
    agent_id: str
    files: list[str]
    images: list[str]
    tool: str
    model: str
    metadata: Metadata
    pinned: Flag


class EpisodicFields(BaseModel):
    """The fields that only an event (an episodic memory) has. context: the circumstances of the
    event.
    """

    event_type: EventType = EventType.OBSERVATION
    title: Label | None = None
    context: Line | None = None
    emotional_valence: Whole = Field(default=0, ge=-2, le=2)
    speaker: Label | None = None
    turns: list[SpokenTurn] = Field(
        default_factory=list,
        max_length=1_000,
        description="The turns of a thread that became this event.",
    )


class EpisodicDraft(EpisodicFields, Draft):
    """An event to remember, as a caller sends it."""

    type: Literal[MemoryType.EPISODIC]


class Episodic(EpisodicFields, Memory):
    """A stored episodic memory, which records an event, such as a turn of a conversation."""

    own_fields: ClassVar[frozenset[str]] = frozenset(EpisodicFields.model_fields)
    title_field: ClassVar[str | None] = "title"

    type: Literal[MemoryType.EPISODIC] = MemoryType.EPISODIC

    def identity(self) -> tuple[str | None, ...]:
        """The values that determine an event's id: content, session if private, speaker, day, and
        first thread turn.
        """
        turn = (
            (self.source.thread_id, str(self.turns[0]["index"]))
            if self.turns and self.source
            else ()
        )
        return (*super().identity(), self.speaker, f"{self.created_at:%Y-%m-%d}", *turn)

    def embedding_text(self) -> str:
        """Text to embed, such as "20 January 2023 Friday Gina: I lost my job": questions name dates
        and speakers.
        """
        return said_on(
            self.created_at, self.speaker, f"{self.content_with_title('. ')}{self._context()}"
        )

    def _context(self) -> str:
        return f" ({self.context})" if self.context else ""


def said_on(at: datetime, speaker: str | None, text: str) -> str:
    """`text` after its day and speaker, such as "20 January 2023 Friday Gina: I lost my job"."""
    who = f"{speaker}: " if speaker else ""
    return f"{at.day} {at:%B %Y %A} {who}{text}"

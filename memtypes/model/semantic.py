"""Semantic memory: facts and concepts."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from memtypes.model.memory import Draft, Label, Memory, Number, Whole
from memtypes.model.policy import MemoryType


class Category(StrEnum):
    """Kinds of fact that a semantic memory states."""

    PATTERN = "pattern"
    FACT = "fact"
    PRINCIPLE = "principle"
    DOMAIN_KNOWLEDGE = "domain_knowledge"


class SemanticFields(BaseModel):
    """The fields that only a fact (a semantic memory) has. source_sessions: ids of the sessions
    that stated it.

    related: names of related concepts, which are embedded with the fact.
    """

    concept: Label | None = None
    category: Category = Category.FACT
    confidence: Number = Field(default=1.0, ge=0.0, le=1.0)
    source_sessions: list[str] = Field(default_factory=list, max_length=1000)
    evidence_count: Whole = Field(default=1, ge=1)
    related: list[str] = Field(default_factory=list, max_length=100)


class SemanticDraft(SemanticFields, Draft):
    """A fact to remember, as a caller sends it."""

    type: Literal[MemoryType.SEMANTIC]


class Semantic(SemanticFields, Memory):
    """A stored semantic memory, which states a fact."""

    own_fields: ClassVar[frozenset[str]] = frozenset(SemanticFields.model_fields)
    title_field: ClassVar[str | None] = "concept"

    type: Literal[MemoryType.SEMANTIC] = MemoryType.SEMANTIC

    def embedding_text(self) -> str:
        """The text to embed: concept (unless it is the content's first line), content and related
        concepts.
        """
        related = f" (related: {', '.join(self.related)})" if self.related else ""
        return f"{self.content_with_title(': ')}{related}"

    def line(self) -> str:
        """The fact's entry in a prompt context: the concept (unless it is the content's first line)
        and the content.

        A replaced fact ends with "(from DAY until DAY)", one that replaced or contests another with
        "(since DAY)".
        """
        text = self.content_with_title(": ")
        since = self.earlier[-1].until if self.earlier else self.valid_from
        if (
            self.superseded_by is not None
            and self.valid_to is not None
            and self.state_until is None
        ):
            since = min(since, self.valid_to)
            return f"{text} (from {since:%Y-%m-%d} until {self.valid_to:%Y-%m-%d})"
        days = dict.fromkeys(
            f"{day:%Y-%m-%d}" for day in (since, self.restated_at) if day is not None
        )
        return f"{text} (since {', said again '.join(days)})" if self.dated else text

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

    related: names of related concepts, which are embedded with the fact. speaker: who said it.
    Contexts show it where the text has a word such as "I" or "my".
    """

    concept: Label | None = None
    category: Category = Category.FACT
    confidence: Number = Field(default=1.0, ge=0.0, le=1.0)
    source_sessions: list[str] = Field(default_factory=list, max_length=1000)
    evidence_count: Whole = Field(default=1, ge=1)
    related: list[str] = Field(default_factory=list, max_length=100)
    speaker: Label | None = None


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

"""Procedural memory: how to do things."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from memtypes.model.memory import Draft, Label, Line, Memory, Number, Whole
from memtypes.model.policy import MemoryType
from memtypes.model.times import Instant


class ProcedureCategory(StrEnum):
    """Kinds of procedure that a procedural memory describes."""

    WORKFLOW = "workflow"
    PATTERN = "pattern"
    TECHNIQUE = "technique"
    TOOL_USAGE = "tool_usage"


class ProceduralFields(BaseModel):
    """The fields that only a procedure (a procedural memory) has.

    speaker: who said it. Contexts show it where the text has a word such as "I" or "my".
    """

    procedure_name: Label | None = None
    category: ProcedureCategory = ProcedureCategory.WORKFLOW
    steps: list[Line] = Field(default_factory=list, max_length=200)
    prerequisites: list[Line] = Field(default_factory=list, max_length=100)
    success_conditions: list[Line] = Field(default_factory=list, max_length=100)
    failure_patterns: list[Line] = Field(default_factory=list, max_length=100)
    usage_count: Whole = Field(default=0, ge=0)
    success_rate: Number | None = Field(default=None, ge=0.0, le=1.0)
    last_used_at: Instant | None = None
    speaker: Label | None = None


class ProceduralDraft(ProceduralFields, Draft):
    """A procedure to remember, as a caller sends it."""

    type: Literal[MemoryType.PROCEDURAL]


class Procedural(ProceduralFields, Memory):
    """A stored procedural memory, which describes how to do something."""

    own_fields: ClassVar[frozenset[str]] = frozenset(ProceduralFields.model_fields)
    title_field: ClassVar[str | None] = "procedure_name"

    type: Literal[MemoryType.PROCEDURAL] = MemoryType.PROCEDURAL

    def embedding_text(self) -> str:
        """The text to embed: name (unless it is the content's first line), content, steps and
        conditions.
        """
        return "\n".join([self.content_with_title(": "), *self.steps, *self._conditions()])

    def _conditions(self) -> list[str]:
        labelled = {
            "Needs": self.prerequisites,
            "Done when": self.success_conditions,
            "Fails when": self.failure_patterns,
        }
        return [f"{label}: {'; '.join(texts)}" for label, texts in labelled.items() if texts]

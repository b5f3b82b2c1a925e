"""Request bodies of the memory calls, and query parameters."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter

from ingest.writing.changes import FeedbackOutcome
from ingest.writing.drafts import ReviewMode, Submission, UntypedDraft
from memtypes.model.episodic import EpisodicDraft
from memtypes.model.memory import Draft, Model, Text
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.prospective import ProspectiveDraft
from memtypes.model.scope import Name
from memtypes.model.semantic import SemanticDraft
from memtypes.model.times import Instant
from memtypes.model.types import AnyDraft
from memtypes.model.working import WorkingDraft

MAX_BATCH = 1_000

_DRAFTS: dict[MemoryType, type[Draft]] = {
    MemoryType.EPISODIC: EpisodicDraft,
    MemoryType.SEMANTIC: SemanticDraft,
    MemoryType.PROSPECTIVE: ProspectiveDraft,
    MemoryType.PROCEDURAL: ProceduralDraft,
    MemoryType.WORKING: WorkingDraft,
}


class ItemFields(Model):
    """What a caller may say about the writing itself. review: without it a memory is stored as it is given."""

    review: Literal["auto", "skip"] | None = None

    def submission(self) -> Submission:
        """The memory as it is handed in, with what was said about its review."""
        return Submission(self.draft(), ReviewMode(self.review or ReviewMode.GIVEN))

    def draft(self) -> AnyDraft | UntypedDraft:
        """The memory alone, without the fields about its writing; already validated, so not validated again."""
        kind = UntypedDraft if self.type is None else _DRAFTS[self.type]  # type: ignore[attr-defined]
        fields = {name: getattr(self, name) for name in kind.model_fields}
        return kind.model_construct(self.model_fields_set & fields.keys(), **fields)  # type: ignore[return-value]


class PostFields(ItemFields):
    """A single memory says whose it is."""

    namespace: Name


class EpisodicItem(ItemFields, EpisodicDraft):
    """An event in a batch."""


class SemanticItem(ItemFields, SemanticDraft):
    """A fact in a batch."""


class ProspectiveItem(ItemFields, ProspectiveDraft):
    """An intention in a batch."""


class ProceduralItem(ItemFields, ProceduralDraft):
    """A procedure in a batch."""


class WorkingItem(ItemFields, WorkingDraft):
    """A working item in a batch."""


class UntypedItem(ItemFields, UntypedDraft):
    """A memory in a batch whose type is found from its text."""


class UntypedPost(PostFields, UntypedDraft):
    """A memory whose type is found from its text."""


class EpisodicPost(PostFields, EpisodicDraft):
    """An event."""


class SemanticPost(PostFields, SemanticDraft):
    """A fact."""


class ProspectivePost(PostFields, ProspectiveDraft):
    """An intention."""


class ProceduralPost(PostFields, ProceduralDraft):
    """A procedure."""


class WorkingPost(PostFields, WorkingDraft):
    """A working item."""


def _branch(value: object) -> str:
    """The branch of the unions below that `value` belongs to: its type's name, or untyped."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return _UNTYPED if kind is None else str(kind)


_UNTYPED = "untyped"

AnyItem: TypeAlias = Annotated[
    Annotated[EpisodicItem, Tag("episodic")]
    | Annotated[SemanticItem, Tag("semantic")]
    | Annotated[ProspectiveItem, Tag("prospective")]
    | Annotated[ProceduralItem, Tag("procedural")]
    | Annotated[WorkingItem, Tag("working")]
    | Annotated[UntypedItem, Tag(_UNTYPED)],
    Discriminator(_branch),
]
AnyPost: TypeAlias = Annotated[
    Annotated[EpisodicPost, Tag("episodic")]
    | Annotated[SemanticPost, Tag("semantic")]
    | Annotated[ProspectivePost, Tag("prospective")]
    | Annotated[ProceduralPost, Tag("procedural")]
    | Annotated[WorkingPost, Tag("working")]
    | Annotated[UntypedPost, Tag(_UNTYPED)],
    Discriminator(_branch),
]


class Batch(Model):
    """Many memories of one namespace."""

    namespace: Name
    items: list[AnyItem] = Field(max_length=MAX_BATCH)


class ClassifyBody(Model):
    """A text whose type is asked for. context: what was said around it."""

    content: Text
    context: Text | None = None


class ReviewBody(Model):
    """A text to review without writing it."""

    content: Text
    namespace: Name
    type: MemoryType | None = None


class Feedback(Model):
    """What became of a memory that was recalled."""

    outcome: FeedbackOutcome


POST: TypeAdapter[AnyPost] = TypeAdapter(AnyPost)
BATCH: TypeAdapter[Batch] = TypeAdapter(Batch)
FEEDBACK: TypeAdapter[Feedback] = TypeAdapter(Feedback)
CLASSIFY: TypeAdapter[ClassifyBody] = TypeAdapter(ClassifyBody)
REVIEW: TypeAdapter[ReviewBody] = TypeAdapter(ReviewBody)
CHANGES: TypeAdapter[dict[str, Any]] = TypeAdapter(Annotated[dict[str, Any], Field(min_length=1)])


def _whole(text: object) -> object:
    return int(text) if isinstance(text, str) and re.fullmatch(r"-?[0-9]{1,18}", text) else text


def _flag(text: object) -> object:
    return {"true": True, "false": False}.get(text, text) if isinstance(text, str) else text


QueryFlag: TypeAlias = Annotated[bool, Field(strict=True), BeforeValidator(_flag)]
QueryWhole: TypeAlias = Annotated[int, Field(strict=True), BeforeValidator(_whole)]


class InNamespace(Model):
    """The query of every call on one memory."""

    namespace: Name


class MaybeNamespace(Model):
    """The query where the namespace may be named elsewhere: in a batch's body, in a backup's id."""

    namespace: Name | None = None


class ListQuery(InNamespace):
    """Which memories to list. created_after includes its instant, created_before does not."""

    type: MemoryType | None = None
    session_id: Name | None = None
    agent_id: Name | None = None
    tag: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None
    include_expired: QueryFlag = False
    limit: Annotated[QueryWhole, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=2_048)] | None = None


class EraseQuery(InNamespace):
    """Which memories to remove; `confirm=true` says that it is meant."""

    confirm: Annotated[Literal["true"], Field(description="Must be true: what is removed is gone.")]
    type: MemoryType | None = None
    session_id: Name | None = None

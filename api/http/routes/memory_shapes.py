"""Bodies and answers of the calls on memories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, GetJsonSchemaHandler, RootModel, Tag, model_serializer
from pydantic_core import CoreSchema

from api.http.request import InNamespace, QueryFlag, QueryWhole
from api.http.routes.examination import ClassifyAnswer
from ingest.screening.submission import ReviewMode, Submission, UntypedDraft
from ingest.writing.changes import FeedbackOutcome
from ingest.writing.outcome import WriteOutcome, WriteStatus
from memtypes.model.episodic import EpisodicDraft
from memtypes.model.memory import Memory, Model, Reviewed
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.prospective import ProspectiveDraft
from memtypes.model.scope import Name
from memtypes.model.semantic import SemanticDraft
from memtypes.model.times import Instant
from memtypes.model.types import DRAFT, MEMORY_CLASSES, AnyDraft
from memtypes.model.working import WorkingDraft
from retrieval.answer import Answer, OmittedIfNone

MAX_BATCH = 1_000

_CHANGEABLE = ("content", "importance", "tags", "metadata", "pinned", "expires_at")


def _is_empty(value: object) -> bool:
    return not value


Redactions: TypeAlias = Annotated[Mapping[str, int] | None, Field(exclude_if=_is_empty)]
"""Secrets that were removed, by kind; left out when there were none."""


class MemoryAnswer(RootModel[Memory]):
    """A memory: every common field and those of its type, null ones too, without its tenant."""

    @model_serializer(mode="plain")
    def members(self) -> dict[str, Any]:
        """The memory as JSON."""
        return self.root.model_dump(mode="json", exclude={"tenant"})

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """A choice of the five types."""
        shapes = [_without_tenant(handler, kind) for kind in MEMORY_CLASSES.values()]
        return {"description": "A memory of any type.", "anyOf": shapes}


def _without_tenant(handler: GetJsonSchemaHandler, kind: type[Memory]) -> dict[str, Any]:
    schema = dict(handler.resolve_ref_schema(handler(kind.__pydantic_core_schema__)))
    properties = {name: content for name, content in schema["properties"].items() if name != "tenant"}
    return {**schema, "title": f"{kind.__name__}Memory", "properties": properties, "required": sorted(properties)}


class ItemFields(Model):
    """Fields about the write itself. review: without it a memory is stored as it is given."""

    review: Literal["auto", "skip"] | None = None

    def submission(self) -> Submission:
        """The memory with its mode of review."""
        return Submission(self.draft(), ReviewMode(self.review or ReviewMode.GIVEN))

    def draft(self) -> AnyDraft | UntypedDraft:
        """The memory without the fields about its write; already validated, so not validated again."""
        kind: type[AnyDraft | UntypedDraft] = type(self).__bases__[1]  # the first is ItemFields or PostFields
        fields = {name: getattr(self, name) for name in kind.model_fields}
        return kind.model_construct(self.model_fields_set & fields.keys(), **fields)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema in which a source may also be the caller's name alone, which a validator accepts."""
        reference = handler(schema)
        properties = handler.resolve_ref_schema(reference)["properties"]
        if source := properties.get("source"):
            short = {"type": "string", "maxLength": 256}
            properties["source"] = {**source, "anyOf": [short, *source["anyOf"]]}
        return reference


class PostFields(ItemFields):
    """A single memory names its namespace."""

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
    """A memory in a batch, to be classified."""


class UntypedPost(PostFields, UntypedDraft):
    """A memory to be classified."""


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


class MemoryPost(RootModel[AnyPost]):
    """A memory of any type to write."""


class Batch(Model):
    """Many memories of one namespace."""

    namespace: Name
    items: list[AnyItem] = Field(max_length=MAX_BATCH)


class MemoryPatch(RootModel[Annotated[dict[str, Any], Field(min_length=1)]]):
    """Fields to change; ingestion checks them by the rules of the memory's type."""

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """An object of the fields that may change, each by the rules of the types that have it."""
        choices = handler(DRAFT.core_schema)["oneOf"]
        drafts = [handler.resolve_ref_schema(choice)["properties"] for choice in choices]
        own = {name for kind in MEMORY_CLASSES.values() for name in kind.own_fields}
        properties = {name: _any_of([draft.get(name) for draft in drafts]) for name in (*_CHANGEABLE, *sorted(own))}
        return {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": properties}


def _any_of(schemas: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    distinct: list[dict[str, Any]] = []
    for schema in schemas:
        if schema is not None and schema not in distinct:
            distinct.append(dict(schema))
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


class FeedbackPost(Model):
    """How useful a recalled memory was."""

    outcome: FeedbackOutcome


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
    """Which memories to delete. confirm: must be `true`."""

    confirm: Annotated[Literal["true"], Field(description="Must be true: deleted memories cannot be restored.")]
    type: MemoryType | None = None
    session_id: Name | None = None


class ItemResult(Answer):
    """What became of a memory, as read back from the store. supersedes: ids of the facts that it replaced."""

    id: str | None
    status: WriteStatus
    reason: OmittedIfNone[str] = None
    merged_into: OmittedIfNone[str] = None
    supersedes: OmittedIfNone[list[str]] = None
    redactions: Redactions = None
    classified: OmittedIfNone[ClassifyAnswer] = None
    review: OmittedIfNone[Reviewed] = None


class WriteAnswer(ItemResult):
    """The result of one write, with the memory."""

    memory: OmittedIfNone[MemoryAnswer] = None

    @classmethod
    def of(cls, outcome: WriteOutcome) -> Self:
        """The answer for `outcome`."""
        return cls(**_result(outcome), memory=None if outcome.memory is None else MemoryAnswer(outcome.memory))


class BatchItem(ItemResult):
    """The result of one item of a batch."""

    index: int

    @classmethod
    def of(cls, index: int, outcome: WriteOutcome) -> Self:
        """The result of the item at `index`."""
        return cls(index=index, **_result(outcome))


class StatusCounts(Answer):
    """How many items ended in each status; together as many as there were."""

    stored: int
    merged: int
    rejected: int
    failed: int


class BatchAnswer(Answer):
    """The result of each item, in order."""

    results: list[BatchItem]
    counts: StatusCounts

    @classmethod
    def of(cls, outcomes: Sequence[WriteOutcome]) -> Self:
        """The answer for `outcomes`, numbered from 0."""
        return cls.counted([BatchItem.of(index, outcome) for index, outcome in enumerate(outcomes)])

    @classmethod
    def counted(cls, results: list[BatchItem]) -> Self:
        """The answer with the counts of `results`."""
        counts = Counter(str(result.status) for result in results)
        return cls(results=results, counts=StatusCounts(**{status: counts[status] for status in WriteStatus}))


class ListAnswer(Answer):
    """A page of memories, newest first."""

    memories: list[MemoryAnswer]
    next_cursor: str | None
    total: int


class DeletedAnswer(Answer):
    """How many memories were deleted, and how many match now."""

    deleted: int
    remaining: int


def _result(outcome: WriteOutcome) -> dict[str, Any]:
    return {
        "id": outcome.id,
        "status": outcome.status,
        "reason": outcome.reason,
        "merged_into": outcome.merged_into,
        "supersedes": outcome.supersedes or None,
        "redactions": outcome.redactions,
        "classified": None if outcome.classified is None else ClassifyAnswer.of(outcome.classified),
        "review": outcome.reviewed,
    }

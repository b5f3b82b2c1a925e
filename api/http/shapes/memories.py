"""Bodies and answers of the calls on memories, as pydantic models."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import ConfigDict, Discriminator, Field, GetJsonSchemaHandler, RootModel, Tag, model_serializer
from pydantic_core import CoreSchema

from api.http.request import InNamespace, QueryFlag, QueryWhole
from api.http.routes.examination import ClassifyAnswer
from ingest.screening.submission import ReviewMode, Submission, UntypedDraft
from ingest.writing.changes import CHANGEABLE, FeedbackOutcome
from ingest.writing.outcome import WriteOutcome, WriteStatus
from memtypes.model.episodic import EpisodicDraft
from memtypes.model.memory import Draft, Memory, Model, Reviewed, State
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

_HIDDEN = frozenset({"tenant", "earlier"})
"""Fields that answers leave out; earlier texts are in the history."""


Redactions: TypeAlias = Annotated[Mapping[str, int] | None, Field(exclude_if=operator.not_)]
"""Number of secrets removed from a text, by kind; not in the answer when there were none."""


class MemoryAnswer(RootModel[Memory]):
    """A memory with its common fields and those of its type, null ones too; without its tenant and earlier texts."""

    @model_serializer(mode="plain")
    def members(self) -> dict[str, Any]:
        """The fields of the memory as JSON, without those that answers leave out."""
        return self.root.model_dump(mode="json", exclude=set(_HIDDEN))

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema of an answer: any one of those of the five memory types."""
        shapes = [_shown_fields(handler, kind) for kind in MEMORY_CLASSES.values()]
        return {"description": "A memory of any type.", "anyOf": shapes}


def _shown_fields(handler: GetJsonSchemaHandler, kind: type[Memory]) -> dict[str, Any]:
    schema = dict(handler.resolve_ref_schema(handler(kind.__pydantic_core_schema__)))
    properties = {name: content for name, content in schema["properties"].items() if name not in _HIDDEN}
    return {**schema, "title": f"{kind.__name__}Memory", "properties": properties, "required": sorted(properties)}


class ItemFields(Model):
    """What the body of a write call has besides the memory's own fields.

    review: auto: reviewers decide whether the memory is stored. If it is left out, or skip, there is no review; skip
    differs only for the messages of a session (see `ReviewMode`).
    """

    review: Literal["auto", "skip"] | None = None

    def submission(self) -> Submission:
        """The memory, and how to review it, in the form that ingestion takes."""
        return Submission(self.draft(), ReviewMode(self.review or ReviewMode.GIVEN))

    def draft(self) -> AnyDraft | UntypedDraft:
        """The memory without the fields of ItemFields and PostFields; not validated a second time."""
        bases = type(self).__mro__
        kind: type[Any] = next(base for base in bases if issubclass(base, Draft) and not issubclass(base, ItemFields))
        fields = {name: getattr(self, name) for name in kind.model_fields}
        draft: AnyDraft | UntypedDraft = kind.model_construct(self.model_fields_set & fields.keys(), **fields)
        return draft

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema. As the validator does, it accepts as `source` an object or a string (the caller's name)."""
        reference = handler(schema)
        properties = handler.resolve_ref_schema(reference)["properties"]
        if source := properties.get("source"):
            short = {"type": "string", "maxLength": 256}
            properties["source"] = {**source, "anyOf": [short, *source["anyOf"]]}
        return reference


class PostFields(ItemFields):
    """Fields of a memory that is written alone, which names its namespace."""

    namespace: Name


class EpisodicItem(ItemFields, EpisodicDraft):
    """An episodic memory (an event) in a batch."""


class SemanticItem(ItemFields, SemanticDraft):
    """A semantic memory (a fact) in a batch."""


class ProspectiveItem(ItemFields, ProspectiveDraft):
    """A prospective memory (an intention) in a batch."""


class ProceduralItem(ItemFields, ProceduralDraft):
    """A procedural memory (a procedure) in a batch."""


class WorkingItem(ItemFields, WorkingDraft):
    """A working item in a batch."""


class UntypedItem(ItemFields, UntypedDraft):
    """A memory without a type in a batch; ingestion classifies it."""


class UntypedPost(PostFields, UntypedDraft):
    """A memory to write without a type; ingestion classifies it."""


class EpisodicPost(PostFields, EpisodicDraft):
    """An episodic memory to write: an event."""


class SemanticPost(PostFields, SemanticDraft):
    """A semantic memory to write: a fact."""


class ProspectivePost(PostFields, ProspectiveDraft):
    """A prospective memory to write: an intention."""


class ProceduralPost(PostFields, ProceduralDraft):
    """A procedural memory to write: a procedure."""


class WorkingPost(PostFields, WorkingDraft):
    """A working item to write."""


def _branch(value: object) -> str:
    """Which model of the union AnyItem or AnyPost reads `value`: the name of its memory type, or untyped."""
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
    """A memory to write, of any type or without one."""


class Batch(Model):
    """Memories to write into one namespace."""

    namespace: Name
    items: list[AnyItem] = Field(max_length=MAX_BATCH)


class MemoryPatch(RootModel[Annotated[dict[str, Any], Field(min_length=1)]]):
    """Fields of a memory to change; checked by the rules of the memory's type."""

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema: an object of all fields that can change, each with the schemas that memory types give it."""
        choices = handler(DRAFT.core_schema)["oneOf"]
        drafts = [handler.resolve_ref_schema(choice)["properties"] for choice in choices]
        names = CHANGEABLE.union(*(kind.own_fields for kind in MEMORY_CLASSES.values()))
        properties = {name: _any_of([draft.get(name) for draft in drafts]) for name in sorted(names)}
        properties["valid_to"] = {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
            "description": "When the memory ends; null brings back one that was replaced or ended.",
        }
        return {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": properties}


def _any_of(schemas: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    distinct: list[dict[str, Any]] = []
    for schema in schemas:
        if schema is not None and schema not in distinct:
            distinct.append(dict(schema))
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


class FeedbackPost(Model):
    """How useful a memory was when it was recalled."""

    outcome: FeedbackOutcome


class ListQuery(InNamespace):
    """Which memories to list: created at created_after or later and before created_before; in `state` if given."""

    type: MemoryType | None = None
    session_id: Name | None = None
    agent_id: Name | None = None
    tag: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None
    include_expired: QueryFlag = False
    state: State | None = None
    limit: Annotated[QueryWhole, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=2_048)] | None = None


class EraseQuery(InNamespace):
    """Which memories of the namespace to delete. confirm: must be `true`."""

    confirm: Annotated[Literal["true"], Field(description="Must be true: deleted memories cannot be restored.")]
    type: MemoryType | None = None
    session_id: Name | None = None


class ItemResult(Answer):
    """The outcome of writing one memory, as read back from the store. supersedes: ids of the facts that it replaced.

    contests: ids of memories that it contradicts and that stay. changed: the fields that a merge changed.
    """

    id: str | None
    status: WriteStatus
    reason: OmittedIfNone[str] = None
    merged_into: OmittedIfNone[str] = None
    supersedes: OmittedIfNone[list[str]] = None
    contests: OmittedIfNone[list[str]] = None
    changed: OmittedIfNone[list[str]] = None
    redactions: Redactions = None
    classified: OmittedIfNone[ClassifyAnswer] = None
    review: OmittedIfNone[Reviewed] = None


class WriteAnswer(ItemResult):
    """The outcome of writing one memory, and the memory."""

    memory: OmittedIfNone[MemoryAnswer] = None

    @classmethod
    def of(cls, outcome: WriteOutcome) -> Self:
        """The answer for ingestion's `outcome`."""
        return cls(**_result(outcome), memory=None if outcome.memory is None else MemoryAnswer(outcome.memory))


class BatchItem(ItemResult):
    """The outcome of writing one item of a batch. index: the item's index in the batch."""

    index: int

    @classmethod
    def of(cls, index: int, outcome: WriteOutcome) -> Self:
        """The result for ingestion's `outcome` of the item at `index`."""
        return cls(index=index, **_result(outcome))


class StatusCounts(Answer):
    """How many items ended with each status."""

    stored: int
    merged: int
    rejected: int
    failed: int


class BatchAnswer(Answer):
    """The results of the items, in order, and how many ended with each status."""

    results: list[BatchItem]
    counts: StatusCounts

    @classmethod
    def of(cls, outcomes: Sequence[WriteOutcome]) -> Self:
        """The answer for ingestion's `outcomes` of the items, whose indices start at 0."""
        return cls.counted([BatchItem.of(index, outcome) for index, outcome in enumerate(outcomes)])

    @classmethod
    def counted(cls, results: list[BatchItem]) -> Self:
        """The answer with these results and their counts by status."""
        counts = Counter(str(result.status) for result in results)
        return cls(results=results, counts=StatusCounts(**{status: counts[status] for status in WriteStatus}))


class ListAnswer(Answer):
    """A page of memories, newest first. total: number on all pages."""

    memories: list[MemoryAnswer]
    next_cursor: str | None
    total: int


class HistoryVersion(Answer):
    """An entry of a memory's history: one of its texts, or a memory that it replaced, was replaced by, or contests.

    from, to: when the text held. replaced_by: id of the memory whose text took its place; of an earlier text, or of
    another wording, the id of the memory itself.
    """

    model_config = ConfigDict(frozen=True, serialize_by_alias=True, validate_by_name=True)

    memory: MemoryAnswer
    since: Instant = Field(alias="from")
    to: OmittedIfNone[Instant] = Field(default=None, validation_alias="until")
    replaced_by: OmittedIfNone[str] = None
    reason: OmittedIfNone[str] = None


class HistoryAnswer(Answer):
    """The versions of a memory, oldest first: its other texts, what it replaced, what replaced it, what contests it."""

    versions: list[HistoryVersion]


class DeletedAnswer(Answer):
    """How many memories were deleted, and how many still match."""

    deleted: int
    remaining: int


def _result(outcome: WriteOutcome) -> dict[str, Any]:
    return {
        "id": outcome.id,
        "status": outcome.status,
        "reason": outcome.reason,
        "merged_into": outcome.merged_into,
        "supersedes": outcome.supersedes or None,
        "contests": outcome.contests or None,
        "changed": outcome.changed or None,
        "redactions": outcome.redactions,
        "classified": None if outcome.classified is None else ClassifyAnswer.of(outcome.classified),
        "review": outcome.reviewed,
    }

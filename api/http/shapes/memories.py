"""Pydantic models of the request bodies, query parameters and answers of the HTTP calls on
memories.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import reduce
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeAlias,
    TypeVar,
    get_args,
)

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    RootModel,
    Tag,
    create_model,
    model_serializer,
)
from pydantic_core import CoreSchema

from api.http.request import InNamespace, QueryFlag, QueryWhole
from ingest.conversations.sessions import MessageOutcome
from ingest.screening.submission import Classification, ReviewMode, Submission, UntypedDraft
from ingest.writing.drafts import CHANGEABLE
from ingest.writing.outcome import WriteOutcome, WriteStatus
from memtypes.model.filters import Compare, Filter, Op, all_of, in_view, with_states
from memtypes.model.memory import Draft, Memory, Reviewed, State, StrictModel
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name
from memtypes.model.times import Instant
from memtypes.model.types import DRAFT, MEMORY_CLASSES, AnyDraft
from memtypes.ports.memory_store import Listing
from retrieval.answer import Answer, OmittedIfNone

MAX_BATCH = 1_000

_HIDDEN = {"tenant", "earlier"}
"""Fields of a memory that answers leave out. The call GET /v1/memories/{id}/history shows its
earlier texts.
"""

_Value = TypeVar("_Value")

OmittedIfEmpty = Annotated[_Value | None, Field(exclude_if=operator.not_)]
"""Type of an answer's field that is left out of the JSON if its value is None or empty."""

Redactions: TypeAlias = OmittedIfEmpty[Mapping[str, int]]
"""Number of secrets removed from a text, by kind of secret; the answer omits this field if none
were removed.
"""


class MemoryAnswer(RootModel[Memory]):
    """A memory with all fields of its type, even null ones, but without its tenant and its earlier
    texts.
    """

    @model_serializer(mode="plain")
    def members(self) -> dict[str, Any]:
        """The memory as a JSON object, without its tenant and its earlier texts."""
        return self.root.model_dump(mode="json", exclude=_HIDDEN)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        shapes = []
        for kind in MEMORY_CLASSES.values():
            schema = handler.resolve_ref_schema(handler(kind.__pydantic_core_schema__))
            properties = {
                name: content
                for name, content in schema["properties"].items()
                if name not in _HIDDEN
            }
            title = f"{kind.__name__}Memory"
            shapes.append(
                {**schema, "title": title, "properties": properties, "required": sorted(properties)}
            )
        return {"description": "A memory of any type.", "anyOf": shapes}


class ItemFields(Draft):
    """A memory in a batch of memories to write.

    review: with `auto`, the service reviews whether the memory is worth storing. With `skip`, or if
    it is left out, there is no review.
    """

    draft_class: ClassVar[type[AnyDraft | UntypedDraft]]
    """The draft of the type; `_by_type` sets it in the model that it makes for each type."""

    review: Literal["auto", "skip"] | None = None

    def submission(self) -> Submission:
        """The memory to write with its review mode, as the object that the ingestion pipeline
        takes.
        """
        return Submission(self.draft(), ReviewMode(self.review or ReviewMode.GIVEN))

    def draft(self) -> AnyDraft | UntypedDraft:
        """The memory to write, without `review` and `namespace`. Its fields are already valid and
        not checked again.
        """
        fields = {name: getattr(self, name) for name in self.draft_class.model_fields}
        return self.draft_class.model_construct(self.model_fields_set & fields.keys(), **fields)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        reference = handler(schema)
        properties = handler.resolve_ref_schema(reference)["properties"]
        if source := properties.get("source"):
            short = {"type": "string", "maxLength": 256}
            properties["source"] = {**source, "anyOf": [short, *source["anyOf"]]}
        return reference


class PostFields(ItemFields):
    """A memory to write with POST /v1/memories."""

    namespace: Name


def _by_type(fields: type[ItemFields], suffix: str) -> Any:
    """A union of models, such as EpisodicItem: a type's draft with further `fields`. `type` in a
    body selects one.
    """

    def tag(value: object) -> str:
        kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
        return "untyped" if kind is None else str(kind)

    models: list[Any] = []
    for draft in (*get_args(get_args(AnyDraft)[0]), UntypedDraft):
        kind = draft.__name__.removesuffix("Draft")
        description = (
            "whose type the service finds"
            if draft is UntypedDraft
            else f"of the type {kind.lower()}"
        )
        model = create_model(
            f"{kind}{suffix}",
            __base__=(fields, draft),
            __doc__=f"A memory to write, {description}.",
        )
        model.draft_class = draft  # type: ignore[attr-defined]
        models.append(Annotated[model, Tag(kind.lower())])
    return Annotated[reduce(operator.or_, models), Discriminator(tag)]


if TYPE_CHECKING:
    AnyItem: TypeAlias = ItemFields
    AnyPost: TypeAlias = PostFields
else:
    AnyItem = _by_type(ItemFields, "Item")
    AnyPost = _by_type(PostFields, "Post")


class MemoryPost(RootModel[AnyPost]):
    """A memory to write. Its type may be left out."""


class Batch(StrictModel):
    """A batch of memories to write into one namespace."""

    namespace: Name
    items: list[AnyItem] = Field(max_length=MAX_BATCH)


class MemoryPatch(RootModel[Annotated[dict[str, Any], Field(min_length=1)]]):
    """New values for fields of a memory, by field name. They must be valid for a memory of its
    type.
    """

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        choices = handler(DRAFT.core_schema)["oneOf"]
        drafts = [handler.resolve_ref_schema(choice)["properties"] for choice in choices]
        names = CHANGEABLE.union(*(kind.own_fields for kind in MEMORY_CLASSES.values()))
        properties = {}
        for name in sorted(names):
            shapes = [draft[name] for draft in drafts if name in draft]
            distinct = [shape for index, shape in enumerate(shapes) if shape not in shapes[:index]]
            properties[name] = distinct[0] if len(distinct) == 1 else {"anyOf": distinct}
        properties["valid_to"] = {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
            "description": "When the memory ends; null brings back one that was replaced or ended.",
        }
        properties["superseded_by"] = {
            "type": "string",
            "description": "Id of the memory that replaces this one.",
        }
        return {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "properties": properties,
        }


class ListQuery(InNamespace):
    """Query parameters of a list of memories, all of which must match.

    created_after, created_before: only memories created at the first time or later, and before the
    second. state: only memories in this state; by default, all except replaced and expired
    memories. include_expired: list replaced and expired memories too; ignored if `state` is set.
    """

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

    def listing(self, now: datetime) -> Listing:
        """The parameters as a query to the memory store. now: the time that decides what has
        expired.
        """
        equal = {"session_id": self.session_id, "agent_id": self.agent_id, "tags": self.tag}
        conditions: list[Filter] = [
            Compare(name, Op.EQ, value) for name, value in equal.items() if value is not None
        ]
        times = ((Op.GTE, self.created_after), (Op.LT, self.created_before))
        conditions += [
            Compare("created_at", comparison, time) for comparison, time in times if time
        ]
        if self.state is not None:
            conditions.append(with_states(Compare("state", Op.EQ, self.state), now))
        elif not self.include_expired:
            conditions.append(in_view(now))
        types = (self.type,) if self.type else ()
        return Listing(types, all_of(*conditions) if conditions else None, self.limit, self.cursor)


class Alternative(Answer):
    """A less likely memory type of a classified text. confidence: 0 to 1."""

    type: MemoryType
    confidence: float


class TextPart(Answer):
    """A sentence of a classified text that has another memory type than the whole text."""

    type: MemoryType
    content: str


class ClassifyAnswer(Answer):
    """The memory type of a text, and why it was chosen. The confidences of all types sum to 1.

    parts: sentences that clearly have another type than the whole text. Only POST /v1/classify
    answers with them.
    """

    type: MemoryType
    confidence: float
    reason: str
    alternatives: list[Alternative]
    parts: OmittedIfNone[list[TextPart]] = None

    @classmethod
    def from_classification(
        cls, classified: Classification, parts: Sequence[tuple[MemoryType, str]] | None = None
    ) -> Self:
        """The answer for `classified`. parts: (type, text) of each sentence of another type; None
        to omit the field.
        """
        return cls(
            type=classified.type,
            confidence=classified.confidence,
            reason=classified.reason,
            alternatives=[
                Alternative(type=kind, confidence=score) for kind, score in classified.alternatives
            ],
            parts=None
            if parts is None
            else [TextPart(type=kind, content=content) for kind, content in parts],
        )


class ItemResult(Answer):
    """The outcome of writing one memory, confirmed by reading the store.

    supersedes: ids of the facts that the new memory replaced. contests: ids of memories that it
    contradicts without replacing them. ended, moved: ids of the tasks that it ended, or gave
    another time or owner. retracted: ids of those of `supersedes` that it says were wrong. changed:
    if it was merged into a stored memory, the fields
    of that memory that changed.
    """

    id: str | None
    status: WriteStatus
    reason: OmittedIfNone[str] = None
    merged_into: OmittedIfNone[str] = None
    supersedes: OmittedIfEmpty[list[str]] = None
    contests: OmittedIfEmpty[list[str]] = None
    ended: OmittedIfEmpty[list[str]] = None
    moved: OmittedIfEmpty[list[str]] = None
    retracted: OmittedIfEmpty[list[str]] = None
    changed: OmittedIfEmpty[list[str]] = None
    redactions: Redactions = None
    classified: OmittedIfNone[
        Annotated[ClassifyAnswer, BeforeValidator(ClassifyAnswer.from_classification)]
    ] = None
    review: OmittedIfNone[Reviewed] = Field(default=None, validation_alias="reviewed")


class WriteAnswer(ItemResult):
    """The outcome of writing one memory, and the memory as it is stored."""

    memory: OmittedIfNone[MemoryAnswer] = None


class BatchItem(ItemResult):
    """The outcome of writing one memory of a batch. index: its position in the batch, from 0."""

    index: int


class StatusCounts(Answer):
    """Numbers of writes by outcome: stored, merged into another memory, rejected or failed."""

    stored: int
    merged: int
    rejected: int
    failed: int


class BatchAnswer(Answer):
    """The outcome of each memory of a batch, in order, and the number of outcomes with each
    status.
    """

    results: list[BatchItem]
    counts: StatusCounts


def results_of(outcomes: Sequence[WriteOutcome | MessageOutcome]) -> dict[str, Any]:
    """The members `results` and `counts` of an answer: each outcome with its index, and the number
    with each status.
    """
    counts = Counter(outcome.status for outcome in outcomes)
    results = [
        {
            "index": index,
            **{member.name: getattr(outcome, member.name) for member in fields(outcome)},
        }
        for index, outcome in enumerate(outcomes)
    ]
    return {"results": results, "counts": {status: counts[status] for status in WriteStatus}}

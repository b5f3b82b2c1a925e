"""Answers to search and retrieve requests, with the names and shapes of the HTTP contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from memtypes.model.memory import State
from memtypes.model.policy import MemoryType
from memtypes.model.times import Instant

UnitFloat = Annotated[float, Field(ge=0.0, le=1.0)]

_Value = TypeVar("_Value")


OmittedIfNone = Annotated[_Value | None, Field(exclude_if=lambda value: value is None)]
"""Type of a member that is left out of the JSON when it is None."""


class Answer(BaseModel):
    """Base class of all answers: an immutable pydantic model."""

    model_config = ConfigDict(frozen=True)


class FloorAnswer(Answer):
    """The relevance floor. value: minimum probability that a hit answers the query. dropped:
    candidates below it.
    """

    value: UnitFloat
    dropped: int = Field(ge=0)


class SearchHit(Answer):
    """A memory that a search found. signals: the parts of its score, if the request has
    `explain`.
    """

    rank: int = Field(ge=1)
    id: str
    type: MemoryType
    score: float
    signals: OmittedIfNone[dict[str, UnitFloat]] = None
    memory: dict[str, Any]


class SearchAnswer(Answer):
    """The memories that match a query best, with the settings that ranked them."""

    hits: list[SearchHit]
    profile: str
    weights: dict[str, float]
    as_of: Instant
    floor: FloorAnswer
    degraded: list[str] = Field(default_factory=list)


# A context has hundreds of items, and a frozen dataclass or a model takes four times as long
@dataclass(slots=True)
class ContextItem:
    """A memory in the context of an answer.

    tokens: size of its rendered entry. content: the text that is shown. cut: whether only a part of
    the memory is shown. excerpt: whether this part consists of the most relevant sentences instead
    of the beginning.
    """

    id: str
    type: MemoryType
    rank: Annotated[int, Field(ge=1)]
    score: float
    tokens: Annotated[int, Field(ge=0)]
    content: str
    signals: OmittedIfNone[dict[str, UnitFloat]] = None
    cut: OmittedIfNone[bool] = None
    excerpt: OmittedIfNone[bool] = None
    state: OmittedIfNone[State] = None


class ContextMetadata(Answer):
    """Size of a context and the settings behind it.

    total_tokens: size of the whole context: by the model's provider, if it counted, else by
    `tokenizer`. budget: tokens allowed for its long-term part.
    utilization: used share of that budget. shares: tokens of the budget for each memory type.
    shifts: tokens that types gained, or lost if negative, because of what the query asks for.
    handed_on: tokens that each type took beyond its share or, if negative, left to others.
    trimmed_count: number of hits that are not in the
    context. candidates: number of hits. tokenizer: name of the tokenizer that counted.
    working_excerpted, working_left_out: ids of working items that are shown in part, or not shown.
    duplicates: ids of memories left out because one in the context has the same text, or is the
    message of which they are a sentence. thread_tokens: size of the thread's context, if a thread
    was named; included in total_tokens and budget. margin: share by which the model's own count may
    exceed the tokenizer's; the context fits the budget by both counts. model_tokens: the context's
    size as the model's provider counts it, if one is configured. local_tokens: its size by
    `tokenizer`, where total_tokens is the provider's; the sizes of parts and items are always by
    `tokenizer`. unknown_model: true for a model whose window is unknown; then the budget is the
    default unless the request gives one.
    """

    total_tokens: int
    budget: int
    utilization: UnitFloat
    per_type: dict[MemoryType, int]
    shares: dict[MemoryType, int] = Field(default_factory=dict)
    shifts: dict[MemoryType, int] = Field(default_factory=dict)
    handed_on: dict[MemoryType, int] = Field(default_factory=dict)
    working_tokens: int
    working_excerpted: list[str] = Field(default_factory=list)
    working_left_out: list[str] = Field(default_factory=list)
    duplicates: list[str] = Field(default_factory=list)
    thread_tokens: OmittedIfNone[int] = None
    trimmed_count: int
    candidates: int
    tokenizer: str
    model: OmittedIfNone[str] = None
    margin: float = Field(default=0.0, ge=0.0)
    model_tokens: OmittedIfNone[int] = None
    local_tokens: OmittedIfNone[int] = None
    unknown_model: OmittedIfNone[bool] = None
    outcome: Literal["ok", "empty", "nothing_fits"]
    floor: FloorAnswer
    as_of: Instant
    degraded: list[str] = Field(default_factory=list)

    @property
    def tokens_by_tokenizer(self) -> int:
        """Size of the whole context by `tokenizer`."""
        return self.total_tokens if self.local_tokens is None else self.local_tokens


class ContextMessage(Answer):
    """A chat message with a part of a context. Its role is never system, because recalled text is
    no instruction.
    """

    role: Literal["user"] = "user"
    content: str


class RetrieveAnswer(Answer):
    """A context of memories within a token budget. receipt_id: id of its receipt; None if none was
    recorded.
    """

    context: str | list[ContextMessage]
    items: list[ContextItem]
    metadata: ContextMetadata
    receipt_id: OmittedIfNone[str] = None

    @property
    def text(self) -> str:
        """The whole context as one text; messages are joined by line breaks."""
        context = self.context
        return (
            context
            if isinstance(context, str)
            else "\n".join(message.content for message in context)
        )

    def counted(self, model_tokens: int | None, *, in_total: bool = True) -> RetrieveAnswer:
        """The same answer with the context's size as the model's provider counts it; unchanged if
        this is None.

        in_total: whether the provider's count is also that of total_tokens and utilization. The
        part of working memory, which is not counted apart, is taken in proportion.
        """
        if model_tokens is None:
            return self
        metadata = self.metadata
        changes: dict[str, Any] = {"model_tokens": model_tokens}
        if in_total:
            local = metadata.total_tokens
            ratio = model_tokens / local if local else 0.0
            changes |= {
                "total_tokens": model_tokens,
                "local_tokens": local,
                "utilization": min(1.0, metadata.utilization * ratio),
            }
        return self.model_copy(update={"metadata": metadata.model_copy(update=changes)})

    def with_thread(self, text: str, tokens: int) -> RetrieveAnswer:
        """A copy with a thread's context after its own. Total and budget are larger by the thread's
        `tokens`.
        """
        whole = (
            self.context + text
            if isinstance(self.context, str)
            else [*self.context, ContextMessage(content=text)]
        )
        budget = self.metadata.budget + tokens
        changes = {
            "total_tokens": self.metadata.total_tokens + tokens,
            "thread_tokens": tokens,
            "budget": budget,
            "utilization": (self.metadata.utilization * self.metadata.budget + tokens) / budget
            if budget
            else 0.0,
        }
        metadata = self.metadata.model_copy(update=changes)
        return self.model_copy(update={"context": whole, "metadata": metadata})

    def degraded_by(self, *parts: str) -> RetrieveAnswer:
        """The same answer, which also reports that these parts of the service did not respond."""
        if not parts:
            return self
        metadata = self.metadata.model_copy(update={"degraded": [*self.metadata.degraded, *parts]})
        return self.model_copy(update={"metadata": metadata})

"""What comes back: the two answers, with the names and shapes of the HTTP contract."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from memtypes.model.policy import MemoryType
from memtypes.model.times import Instant

Unit = Annotated[float, Field(ge=0.0, le=1.0)]

_Value = TypeVar("_Value")


def _missing(value: object) -> bool:
    return value is None


Given = Annotated[_Value | None, Field(exclude_if=_missing)]
"""A member that an answer does not have where there is nothing to say."""


class Answer(BaseModel):
    """The base of every answer: frozen."""

    model_config = ConfigDict(frozen=True)


class SearchHit(Answer):
    """A ranked memory. signals: only when the request asked to explain."""

    rank: int = Field(ge=1)
    id: str
    type: MemoryType
    score: float
    signals: Given[dict[str, Unit]] = None
    memory: dict[str, Any]


class SearchAnswer(Answer):
    """The best memories for a query."""

    hits: list[SearchHit]
    profile: str
    weights: dict[str, float]
    as_of: Instant
    degraded: list[str] = Field(default_factory=list)


class ContextItem(Answer):
    """A memory in a context. tokens: of its entry. content: the text that is shown.

    cut: whether that is less than all of it. excerpt: whether it is the passages that matter and not the beginning.
    """

    id: str
    type: MemoryType
    rank: int = Field(ge=1)
    score: float
    tokens: int = Field(ge=0)
    content: str
    signals: Given[dict[str, Unit]] = None
    cut: Given[bool] = None
    excerpt: Given[bool] = None


class ContextMetadata(Answer):
    """What the context cost.

    total_tokens: of the whole context. budget: of its long-term part; utilization: the share of it that was used.
    trimmed_count: ranked memories that did not get in. candidates: how many were ranked. tokenizer: counted all of
    these. margin: the share by which the model's own count may be higher; the budget holds for that too. model_tokens:
    of the context by the model's provider, where one is set to count.
    """

    total_tokens: int
    budget: int
    utilization: Unit
    per_type: dict[MemoryType, int]
    working_tokens: int
    trimmed_count: int
    candidates: int
    tokenizer: str
    model: Given[str] = None
    margin: float = Field(default=0.0, ge=0.0)
    model_tokens: Given[int] = None
    outcome: Literal["ok", "empty", "nothing_fits"]
    as_of: Instant
    degraded: list[str] = Field(default_factory=list)


class Message(Answer):
    """A chat message; recalled text never has a system role."""

    role: Literal["user"] = "user"
    content: str


class RetrieveAnswer(Answer):
    """A context within its budget, what is in it, and what it cost. receipt_id: of its receipt, where one was kept."""

    context: str | list[Message]
    items: list[ContextItem]
    metadata: ContextMetadata
    receipt_id: Given[str] = None

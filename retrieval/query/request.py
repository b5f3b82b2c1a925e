"""Requests for search and retrieval, with the fields of the HTTP contract, and their token budgets
for a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    AllowInfNan,
    Discriminator,
    Field,
    Strict,
    StringConstraints,
    Tag,
    field_validator,
)

from memtypes.llms.registry import MAX_BUDGET, Registry, Tokens
from memtypes.model.memory import Flag, StrictModel, Whole, readable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name
from memtypes.model.times import Instant

DEFAULT_BUDGET = 8_000
WORKING_BUDGET = 2_000

DEFAULT_FLOOR = 0.1
"""Default relevance floor of a context; benchmarks/decisions/relevance-floor.md has the
measurements.
"""

DEFAULT_READER: Final = "auto"
READER_MS = 200
"""Default deadline of the reader, in milliseconds."""

MAX_QUERY = 20_000
"""Maximum characters of a query."""

Query: TypeAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_QUERY), AfterValidator(readable)
]
Share: TypeAlias = Annotated[float, Strict(), AllowInfNan(False), Field(ge=0.0, le=1.0)]
Weight: TypeAlias = Annotated[float, Strict(), AllowInfNan(False), Field(ge=0.0, le=1_000.0)]
Signal: TypeAlias = Literal[
    "similarity",
    "context",
    "mention",
    "time",
    "recency",
    "importance",
    "access",
    "due",
    "expansion",
    "standing",
    "current",
    "link",
    "reading",
]
ReaderChoice: TypeAlias = Annotated[
    Literal["off", "auto", "always"],
    Field(description="Whether a model reads the best hits: never, for small budgets, or always."),
]
ReaderMs: TypeAlias = Annotated[
    Whole,
    Field(
        ge=1,
        le=10_000,
        description="Milliseconds that reading may take; if it takes longer, it has no effect.",
    ),
]
Floor: TypeAlias = Annotated[
    Share,
    Field(
        description=(
            "How sure it must be that a hit helps to answer the query for it to be shown; "
            "0 shows all."
        )
    ),
]
Encoding: TypeAlias = Literal["cl100k_base", "o200k_base"]
DEFAULT_TOKENIZER: Encoding = "cl100k_base"
OversizeChoice: TypeAlias = Annotated[
    Literal["skip", "cut", "excerpt"] | None,
    Field(
        description=(
            "For what is too large; by default long-term memories are skipped and working "
            "items excerpted."
        )
    ),
]


def shortened(text: str, most: int) -> str:
    """`text`, cut to whole words of its beginning and end if longer than `most`: redaction misses
    parts of secrets.
    """
    text = text if len(text) <= most else text.strip()
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    beginning = text[:half]
    end = text[-half:]
    return f"{beginning.rpartition(' ')[0] or beginning}\n{end.partition(' ')[2] or end}"


class RankedRequest(StrictModel):
    """The fields that search and retrieve requests have in common.

    session_id: the current session, whose private memories are found, too. weights: weights of
    signals, used instead of the profile's; signals without one get 0. as_of: the instant to ask
    about, now by default. floor: minimum probability that a hit helps to answer the query. reader,
    reader_ms: whether a model reads the best hits together with the query, and its deadline.
    """

    query: Query
    namespace: Name
    types: list[MemoryType] | None = Field(default=None, min_length=1, max_length=len(MemoryType))
    session_id: Name | None = None
    agent_id: Name | None = None
    filters: dict[str, Any] | None = None
    profile: str | None = Field(default=None, min_length=1, max_length=64)
    weights: dict[Signal, Weight] | None = Field(default=None, min_length=1)
    min_similarity: Share | None = None
    min_score: Annotated[float, Strict(), AllowInfNan(False)] | None = None
    as_of: Instant | None = None
    floor: Floor = 0.0
    explain: Flag = False
    reader: ReaderChoice = DEFAULT_READER
    reader_ms: ReaderMs = READER_MS

    @field_validator("types")
    @classmethod
    def _distinct(cls, types: list[MemoryType] | None) -> list[MemoryType] | None:
        return None if types is None else list(dict.fromkeys(types))

    @field_validator("weights")
    @classmethod
    def _some_weight(cls, weights: dict[Signal, float] | None) -> dict[Signal, float] | None:
        if weights is not None and not any(weights.values()):
            raise ValueError("at least one weight must be above 0")
        return weights


class SearchRequest(RankedRequest):
    """A search for the memories that match a query best. top_k: maximum number of memories to
    return.
    """

    top_k: Annotated[Whole, Field(ge=0, le=1_000)] = 10


class Budget(StrictModel):
    """A token budget of a context. total: for all long-term memories. per_type: maximum per type; 0
    leaves it out.
    """

    total: Tokens = DEFAULT_BUDGET
    per_type: dict[MemoryType, Tokens] | None = None

    @field_validator("per_type")
    @classmethod
    def _long_term(cls, caps: dict[MemoryType, int] | None) -> dict[MemoryType, int] | None:
        if caps and MemoryType.WORKING in caps:
            raise ValueError("working memory has its own budget: set working_budget")
        return caps


AnyBudget: TypeAlias = Annotated[
    Annotated[Tokens, Tag("total")] | Annotated[Budget, Tag("parts")],
    Discriminator(lambda budget: "parts" if isinstance(budget, dict | Budget) else "total"),
]
"""A total number of tokens, or a `Budget`. Validation errors refer to the form that was sent."""


class RetrieveRequest(RankedRequest):
    """A request for a context of memories within a token budget.

    working_budget: tokens for working memory, on top of `budget`. include_due: show due tasks even
    below the `floor`.
    """

    floor: Floor = DEFAULT_FLOOR
    include_due: Flag = False
    todo_id: Name | None = None
    budget: AnyBudget = DEFAULT_BUDGET
    model: str | None = Field(default=None, min_length=1, max_length=256)
    tokenizer: Encoding = DEFAULT_TOKENIZER
    include_working: Flag = True
    working_budget: Tokens = WORKING_BUDGET
    format: Literal["markdown", "json", "messages"] = "markdown"
    oversize: OversizeChoice = None
    receipt: Flag = True

    @property
    def allowance(self) -> Budget:
        """The budget for long-term memories as a `Budget`, even if the request gives it as a number
        of tokens.
        """
        return self.budget if isinstance(self.budget, Budget) else Budget(total=self.budget)

    def oversize_of(self, kind: MemoryType) -> Literal["skip", "cut", "excerpt"]:
        """Whether a memory of type `kind` that is too large for its share is skipped, cut, or shown
        as an excerpt.
        """
        return self.oversize or ("excerpt" if kind is MemoryType.WORKING else "skip")


@dataclass(frozen=True, slots=True)
class ResolvedRequest:
    """A request whose tokenizer and budgets `resolve` has filled in.

    total: tokens for long-term memories, before the margin reduced them. margin: share by which the
    model may count more tokens than the tokenizer. unknown_model: whether the request names a model
    whose window is unknown.
    """

    request: RetrieveRequest
    total: int
    margin: float
    unknown_model: bool = False


def resolve(
    request: RetrieveRequest, registry: Registry, least_margin: float = 0.0
) -> ResolvedRequest:
    """Fill in the tokenizer of the request's model, and the budgets in tokens of this tokenizer.

    The default total is the share for memories of the model's context window, or DEFAULT_BUDGET if
    this is unknown. If the request names a tokenizer, it is used, and budgets are not reduced. If
    the model's own tokenizer is not available, a similar one is used, and budgets are reduced by a
    margin. least_margin: minimum margin, for a model that was seen to count more.
    """
    if request.model is None:
        return ResolvedRequest(request, request.allowance.total, 0.0)
    model = registry.find(request.model)
    names_tokenizer = "tokenizer" in request.model_fields_set
    margin = 0.0 if names_tokenizer else max(model.margin, least_margin)
    budget = request.allowance
    total = request.allowance.total
    names_total = "budget" in request.model_fields_set and (
        not isinstance(request.budget, Budget) or "total" in request.budget.model_fields_set
    )
    if not names_total and model.allocation is not None:
        total = min(model.allocation.memory, MAX_BUDGET)
    caps = budget.per_type and {
        kind: reduced(tokens, margin) for kind, tokens in budget.per_type.items()
    }
    changes = {
        "tokenizer": request.tokenizer if names_tokenizer else model.tokenizer,
        "budget": Budget(total=reduced(total, margin), per_type=caps),
        "working_budget": reduced(request.working_budget, margin),
    }
    return ResolvedRequest(
        request.model_copy(update=changes), total, margin, unknown_model=model.window is None
    )


def reduced(tokens: int, margin: float) -> int:
    """`tokens` / (1 + `margin`), rounded down: a model that counts `margin` more still counts at
    most `tokens`.
    """
    return int(tokens / (1.0 + margin))

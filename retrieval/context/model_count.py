"""Token budgets for a model, and contexts that fit them by the token count of the model's provider.

A context is built with a local tokenizer, in a budget that is reduced by a margin. If the provider counts more tokens
than the budget has, the context is built again with a larger margin, computed from the provider's count.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import anyio

from memtypes.llms.counting import COUNT_S, ProviderCounter
from memtypes.llms.registry import MAX_BUDGET, Allocation, KnownModel
from retrieval.query.request import DEFAULT_BUDGET, DEFAULT_TOKENIZER, reduced

DEFAULT_WINDOW = 128_000
"""Context window, in tokens, whose division gives the proportions of a budget if the model's window is unknown."""

COUNT_DEGRADED = "token_count"
"""The entry in `degraded` that says that the provider's endpoint did not count the tokens."""

ATTEMPTS = 4
"""How many contexts are counted at most. If the last one is still too large, the answer is an empty context."""

_SLACK = 1.02
"""Factor on the ratio of the provider's count to ours: a shorter text may have more tokens for each word."""

_NOTHING = 1e9
"""A margin that leaves no tokens of any budget."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class WindowBudget:
    """A token budget. total: by the model's own count. parts: its division, counted by `tokenizer`, less `margin`."""

    total: int
    margin: float
    tokenizer: str
    parts: Allocation

    @classmethod
    def of(cls, budget: int | None, model: KnownModel | None, margin: float) -> Self:
        """The budget `budget` (if None, the model's window less the response), in the proportions of that window."""
        window = None if model is None else model.allocation
        shares = window or KnownModel("", "", DEFAULT_WINDOW, "", 0.0).allocation or Allocation()
        content = shares.system + shares.history + shares.files + shares.memory
        total = budget if budget is not None else min(content, MAX_BUDGET) if window else DEFAULT_BUDGET
        allowed = reduced(total, margin)
        system, history, files = (allowed * part // content for part in (shares.system, shares.history, shares.files))
        memory, response = allowed - system - history - files, window.response if window else 0
        parts = Allocation(system=system, history=history, files=files, memory=memory, response=response)
        return cls(total, margin, model.tokenizer if model else DEFAULT_TOKENIZER, parts)

    @property
    def allowed(self) -> int:
        """Tokens for all parts together, by the count of `tokenizer`."""
        return reduced(self.total, self.margin)


@dataclass(frozen=True, slots=True)
class BuiltContext(Generic[_Value]):
    """A context. tokens: its size by its tokenizer. limit: the most tokens that the provider may count in it."""

    value: _Value
    text: str
    tokens: int
    limit: int


@dataclass(frozen=True, slots=True)
class CountedContext(Generic[_Value]):
    """The context `value`. model_tokens: the provider's count; None without one. margin: that it was built with."""

    value: _Value
    margin: float
    model_tokens: int | None = None
    degraded: tuple[str, ...] = ()


async def within_model_budget(
    counter: ProviderCounter | None,
    model: str | None,
    margin: float,
    build: Callable[[float], Awaitable[BuiltContext[_Value]]],
) -> CountedContext[_Value]:
    """The context that `build` makes with `margin`, or with larger margins until it fits by the provider's count.

    All counts together may take COUNT_S seconds. If counting fails, the context built last is returned as degraded.
    """
    built = await build(margin)
    if counter is None or model is None or not counter.counts(model):
        return CountedContext(built.value, margin)
    end = anyio.current_time() + COUNT_S
    for attempt in range(ATTEMPTS):
        tokens = await counter.count(built.text, model, end - anyio.current_time()) if built.text else 0
        if tokens is None:
            return CountedContext(built.value, margin, None, (COUNT_DEGRADED,))
        if tokens <= built.limit:
            return CountedContext(built.value, margin, tokens)
        shown = tokens / built.tokens * _SLACK - 1.0 if built.tokens else margin
        margin = max(shown, 2.0 * margin + 0.1) if attempt else max(shown, margin)
        built = await build(margin if attempt < ATTEMPTS - 1 else _NOTHING)
    return CountedContext(built.value, margin, 0)

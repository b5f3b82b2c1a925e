"""The budget of a context for a model, and contexts that keep to it as the model's provider counts.

A context is built in tokens of a tokenizer that is available, in a budget that is smaller by a margin. Where the
provider counts more than that margin allows, the context is built again with the margin that its count shows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import anyio

from memtypes.llms.counting import COUNT_S, ProviderCounter
from memtypes.llms.registry import Allocation, KnownModel
from retrieval.query.request import DEFAULT_BUDGET, DEFAULT_TOKENIZER, MAX_BUDGET, reduced

DEFAULT_WINDOW = 128_000
"""Window, in tokens, by whose parts a budget is divided if the model's own window is unknown."""

COUNT_DEGRADED = "token_count"
"""The name in `degraded` for an endpoint that did not count."""

ATTEMPTS = 4
"""How many contexts are counted at most. If the last one is still too large, the answer is an empty context."""

_SLACK = 1.02
"""Factor on the ratio of the provider's count to ours: a shorter text may have more tokens for each word."""

_NOTHING = 1e9
"""A margin that leaves no tokens of any budget."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class WindowBudget:
    """A budget. total: in tokens of the model. parts: in tokens of the tokenizer, reduced by `margin`."""

    total: int
    margin: float
    tokenizer: str
    parts: Allocation

    @classmethod
    def of(cls, budget: int | None, model: KnownModel | None, margin: float) -> Self:
        """`budget` tokens, or those of the model's window without its response, divided as the window is."""
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
        """Tokens of the tokenizer for all parts together."""
        return reduced(self.total, self.margin)


@dataclass(frozen=True, slots=True)
class BuiltContext(Generic[_Value]):
    """A context. tokens: by its tokenizer. limit: tokens that it may have by the provider's count."""

    value: _Value
    text: str
    tokens: int
    limit: int


@dataclass(frozen=True, slots=True)
class CountedContext(Generic[_Value]):
    """A context that fits. model_tokens: the provider's count, None without one. margin: the one that it needed."""

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
    """The context that `build` makes with `margin`, or with larger ones until it fits by the provider's count.

    All counts together may take COUNT_S seconds. When they fail, the context built last is returned, as degraded.
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

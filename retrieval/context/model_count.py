"""Token budgets for a language model, and contexts that fit them by the token count of the model's
provider.

A context is built with a local tokenizer and a margin; again with a larger margin if the provider
counts too many.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Self, TypeVar

import anyio

from memtypes.llms.counting import COUNT_S, ProviderCounter
from memtypes.llms.registry import MAX_BUDGET, Allocation, KnownModel
from retrieval.query.request import DEFAULT_BUDGET, DEFAULT_TOKENIZER, reduced

DEFAULT_WINDOW = 128_000
"""Context window, in tokens, that is assumed for dividing a budget if the model's window is
unknown.
"""

COUNT_DEGRADED = "token_count"
"""The entry in `degraded` which says that the provider did not count the tokens."""

ATTEMPTS = 4
"""Maximum number of contexts that are counted. If the last is still too large, the answer is an
empty context.
"""

_SLACK = 1.02
"""Factor on the ratio of the provider's count to ours, because a shorter text may have more tokens
per word.
"""

_NOTHING = 1e9
"""A margin so large that no tokens are left of any budget."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class WindowBudget:
    """The token budget of a context, divided among the parts of a language model's window, such as
    history and memory.

    total: tokens by the model's own count. margin: share by which this count may exceed the count
    of `tokenizer`. parts: tokens of each part by the count of `tokenizer`, so few that all parts
    fit `total` by the model's count, too.
    """

    total: int
    margin: float
    tokenizer: str
    parts: Allocation

    @classmethod
    def divided(cls, budget: int | None, model: KnownModel | None, margin: float) -> Self:
        """Divide `budget` tokens among the parts of a context, in proportion to their shares of the
        model's window.

        budget: None means the window without the model's response, at most MAX_BUDGET, or
        DEFAULT_BUDGET if the window is unknown. margin: share by which the model may count more
        tokens than the tokenizer.
        """
        window = None if model is None else model.allocation
        shares = window or KnownModel("", "", DEFAULT_WINDOW, "", 0.0).allocation or Allocation()
        content = shares.system + shares.history + shares.files + shares.memory
        total = (
            budget if budget is not None else min(content, MAX_BUDGET) if window else DEFAULT_BUDGET
        )
        allowed = reduced(total, margin)
        system, history, files = (
            allowed * part // content for part in (shares.system, shares.history, shares.files)
        )
        memory = allowed - system - history - files
        response = window.response if window else 0
        parts = Allocation(
            system=system, history=history, files=files, memory=memory, response=response
        )
        return cls(total, margin, model.tokenizer if model else DEFAULT_TOKENIZER, parts)

    @property
    def allowed(self) -> int:
        """Tokens for all parts of the context together, as `tokenizer` counts them."""
        return reduced(self.total, self.margin)


@dataclass(frozen=True, slots=True)
class BuiltContext(Generic[_Value]):
    """A context for a provider to count. tokens: its size by our tokenizer. limit: maximum by the
    provider's count.
    """

    value: _Value
    text: str
    tokens: int
    limit: int


class ContextSizes(NamedTuple):
    """Sizes of a context. total_tokens: what it costs the model. model_tokens, local_tokens: the
    counts of the model's provider and of our tokenizer; None if no provider counted.
    """

    total_tokens: int
    model_tokens: int | None = None
    local_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class CountedContext(Generic[_Value]):
    """A context, the margin by which its budget was reduced, and its tokens as the provider counts
    them.
    """

    value: _Value
    margin: float
    model_tokens: int | None = None
    degraded: tuple[str, ...] = ()

    def sizes(self, tokens: int) -> ContextSizes:
        """The sizes that metadata tell of a context with `tokens` by our tokenizer: in total what
        the provider counts, or at most what the model may count.
        """
        if self.model_tokens is None:
            return ContextSizes(math.ceil(tokens * (1.0 + self.margin) - 1e-9))
        return ContextSizes(self.model_tokens, self.model_tokens, tokens)


async def within_model_budget(
    counter: ProviderCounter | None,
    model: str | None,
    margin: float,
    build: Callable[[float], Awaitable[BuiltContext[_Value]]],
) -> CountedContext[_Value]:
    """Build a context that fits its limit by the token count of the model's provider.

    build: makes a context in a budget reduced by a margin. It is called with `margin`, then with
    larger margins until the context fits. All counts together may take COUNT_S seconds. If counting
    fails, the last context is returned, marked as degraded. If the provider cannot count for the
    model, the first is returned, unmarked.
    """
    built = await build(margin)
    if counter is None or model is None or not counter.counts(model):
        return CountedContext(built.value, margin)
    end = anyio.current_time() + COUNT_S
    for attempt in range(ATTEMPTS):
        tokens = (
            await counter.count(built.text, model, end - anyio.current_time()) if built.text else 0
        )
        if tokens is None:
            return CountedContext(built.value, margin, None, (COUNT_DEGRADED,))
        if tokens <= built.limit:
            return CountedContext(built.value, margin, tokens)
        shown = tokens / built.tokens * _SLACK - 1.0 if built.tokens else margin
        margin = max(shown, 2.0 * margin + 0.1) if attempt else max(shown, margin)
        built = await build(margin if attempt < ATTEMPTS - 1 else _NOTHING)
    return CountedContext(built.value, margin, 0)

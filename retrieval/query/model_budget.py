"""What a request's model changes: the tokenizer that counts, the default budget, and the margin that keeps a promise.

A model whose tokenizer is not on hand is counted with another one, in budgets made smaller by the margin: what then
fits by that count also fits by the model's own, as long as the two differ by no more than the margin says.
"""

from __future__ import annotations

from dataclasses import dataclass

from memtypes.llms.registry import KnownModel, Registry
from retrieval.answer import RetrieveAnswer
from retrieval.query.request import MAX_BUDGET, Budget, RetrieveRequest


@dataclass(frozen=True, slots=True)
class Settled:
    """request: with its tokenizer and budgets spelled out; settling it again changes nothing.

    total: tokens of the long-term part as the caller means them, in the model's own count. margin: see KnownModel.
    """

    request: RetrieveRequest
    total: int
    margin: float

    def told(self, answer: RetrieveAnswer) -> RetrieveAnswer:
        """`answer` with the budget as the caller meant it, and the margin that was kept."""
        if self.request.model is None:
            return answer
        metadata = answer.metadata
        used = metadata.total_tokens - metadata.working_tokens
        changed = {"budget": self.total, "margin": self.margin, "utilization": used / self.total if self.total else 0.0}
        return answer.model_copy(update={"metadata": metadata.model_copy(update=changed)})


def settle(request: RetrieveRequest, registry: Registry) -> Settled:
    """`request` with what its model decides: a tokenizer, budgets in that tokenizer's tokens.

    A tokenizer that the caller names counts as it is, without a margin; a total that the caller names stays.
    """
    if request.model is None:
        return Settled(request, request.allowance.total, 0.0)
    known = registry.find(request.model)
    named = "tokenizer" in request.model_fields_set
    margin = 0.0 if named else known.margin
    budget = _meant(request, known)
    caps = budget.per_type and {kind: within(tokens, margin) for kind, tokens in budget.per_type.items()}
    changed = {
        "tokenizer": request.tokenizer if named else known.tokenizer,
        "budget": Budget(total=within(budget.total, margin), per_type=caps),
        "working_budget": within(request.working_budget, margin),
    }
    return Settled(request.model_copy(update=changed), budget.total, margin)


def within(tokens: int, margin: float) -> int:
    """The most tokens of a stand-in that are at most `tokens` when each of them may count for 1 + margin."""
    return int(tokens / (1.0 + margin))


def _meant(request: RetrieveRequest, known: KnownModel) -> Budget:
    """The caller's budget; a total that is left out is the window's part for memory, where the window is known."""
    budget = request.allowance
    named = "budget" in request.model_fields_set and (
        not isinstance(request.budget, Budget) or "total" in request.budget.model_fields_set
    )
    if named or known.allocation is None:
        return budget
    return Budget(total=min(known.allocation.memory, MAX_BUDGET), per_type=budget.per_type)

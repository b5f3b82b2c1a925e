"""What a request's model decides: the tokenizer, the default budget, and the margin of a stand-in tokenizer.

A model without a local tokenizer is counted with another one, in budgets that are reduced by a margin: a context that
fits by that count also fits by the model's own, as long as the two differ by no more than the margin.
"""

from __future__ import annotations

from dataclasses import dataclass

from memtypes.llms.registry import KnownModel, Registry
from retrieval.query.request import MAX_BUDGET, Budget, RetrieveRequest


@dataclass(frozen=True, slots=True)
class SettledRequest:
    """A request with its tokenizer and budgets decided; settling `request` again changes nothing.

    total: the long-term budget in tokens of the model. margin: see KnownModel.
    """

    request: RetrieveRequest
    total: int
    margin: float


def settle(request: RetrieveRequest, registry: Registry) -> SettledRequest:
    """`request` with the tokenizer of its model, and budgets in tokens of that tokenizer.

    A tokenizer in the request is used without a margin; a total in the request stays.
    """
    if request.model is None:
        return SettledRequest(request, request.allowance.total, 0.0)
    model = registry.find(request.model)
    names_tokenizer = "tokenizer" in request.model_fields_set
    margin = 0.0 if names_tokenizer else model.margin
    budget = _model_budget(request, model)
    caps = budget.per_type and {kind: reduced(tokens, margin) for kind, tokens in budget.per_type.items()}
    changes = {
        "tokenizer": request.tokenizer if names_tokenizer else model.tokenizer,
        "budget": Budget(total=reduced(budget.total, margin), per_type=caps),
        "working_budget": reduced(request.working_budget, margin),
    }
    return SettledRequest(request.model_copy(update=changes), budget.total, margin)


def reduced(tokens: int, margin: float) -> int:
    """The most stand-in tokens that stay within `tokens` when each may count for 1 + margin."""
    return int(tokens / (1.0 + margin))


def _model_budget(request: RetrieveRequest, model: KnownModel) -> Budget:
    """The request's budget; without a total, the memory's part of the model's window where that is known."""
    budget = request.allowance
    names_total = "budget" in request.model_fields_set and (
        not isinstance(request.budget, Budget) or "total" in request.budget.model_fields_set
    )
    if names_total or model.memory_budget is None:
        return budget
    return Budget(total=min(model.memory_budget, MAX_BUDGET), per_type=budget.per_type)

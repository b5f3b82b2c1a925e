"""HTTP calls for the history of a workflow as text, in a token budget, also while continuing the
workflow.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Any, Self, TypeAlias

from litestar.params import JSONBody
from pydantic import Field

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId, QueryScope
from api.http.request import ApiRequest, InNamespace, QueryWhole
from api.http.routes.workflows import READ_ERRORS, WRITE_ERRORS
from api.http.shapes.memories import Redactions
from api.wiring.container import AppServices, Services
from ingest.workflows.history import HistoryView, Versions, WorkflowHistory
from ingest.workflows.workflows import DEFAULT_BUDGET, ResumeRequest
from memtypes.llms.registry import MAX_BUDGET
from memtypes.model.scope import Name, Scope
from retrieval.answer import Answer, OmittedIfNone
from retrieval.context.model_count import BuiltContext, CountedContext, within_model_budget


class HistoryQuery(InNamespace):
    """How to write the history of a workflow as text.

    budget: maximum tokens; by default the part of the context window of `model` that is meant for
    history, or 8,000 if no model is named or its window is unknown. model: the model whose tokens
    are counted. versions: whether to show only the newest value of each resource, or all its
    values.
    """

    budget: Annotated[QueryWhole, Field(ge=0, le=MAX_BUDGET)] | None = None
    model: Name | None = None
    versions: Versions = Versions.NEWEST


CountedHistory: TypeAlias = CountedContext[tuple[WorkflowHistory, int]]
"""A pair of a workflow's history and a version, with the token count of the history.

The version is that of the workflow's newest event or, for the call `continue`, of the event with
the new input.
"""


class OmittedFromHistory(Answer):
    """Numbers of entries that the text of a workflow's history leaves out or cuts.

    resources: values of resources. data: values in the workflow's `data`. older_values: how many of
    the values of resources had been replaced by newer values. The parameter `versions=all` asks for
    them.
    """

    events: int
    resources: int
    data: int
    older_values: int


class HistoryMetadata(Answer):
    """The size of a workflow's history. total_tokens: `tokenizer`'s count plus a margin, as a model
    may count more; or what its provider counted.

    model_tokens: the count of the model's provider; left out if no provider counts for the model.
    local_tokens: the count of `tokenizer`, where total_tokens is the provider's. unknown_model:
    true for a model whose window is unknown; then the budget is the default unless the request
    gives one.
    degraded: "token_count" if the provider failed to count, else empty.
    """

    total_tokens: int
    budget: int
    tokenizer: str
    model_tokens: OmittedIfNone[int] = None
    local_tokens: OmittedIfNone[int] = None
    unknown_model: OmittedIfNone[bool] = None
    degraded: list[str]


class WorkflowHistoryAnswer(Answer):
    """The history of a workflow and its ancestors as text. version: number of the workflow's newest
    event.
    """

    history: str
    version: int
    omitted: OmittedFromHistory
    metadata: HistoryMetadata

    @classmethod
    def from_history(
        cls, counted: CountedHistory, view: HistoryView, *, unknown_model: bool, **fields: Any
    ) -> Self:
        """The answer for `counted`, a history written as `view` says. fields: further fields of the
        answer.
        """
        history, version = counted.value
        metadata = HistoryMetadata(
            **counted.sizes(_local_tokens(history, counted.margin))._asdict(),
            unknown_model=unknown_model or None,
            budget=view.budget,
            tokenizer=view.tokenizer.name,
            degraded=list(counted.degraded),
        )
        omitted = OmittedFromHistory.model_validate(history.omitted, from_attributes=True)
        return cls(
            history=history.text, version=version, omitted=omitted, metadata=metadata, **fields
        )


class ContinueAnswer(WorkflowHistoryAnswer):
    """The answer to a call that continued a workflow: the call appended an input as the workflow's
    next event.

    history: text of the history before this event. version: number of this event. redactions:
    number of secrets removed from the input, by kind.
    """

    redactions: Redactions = None


@Endpoint("GET /v1/workflows/{workflow_id}/history", errors=READ_ERRORS)
async def get_workflow_history(
    services: AppServices, namespace: QueryScope, params: Params[HistoryQuery], workflow_id: PathId
) -> WorkflowHistoryAnswer:
    """Write the history of a workflow and its ancestors as text, in a token budget.

    The text has the current values of the workflow's data and resources, and the newest events.
    """
    view = _view(services, params)
    counted = await _counted(services, namespace, workflow_id, params.model, view)
    unknown = _is_unknown(services, params.model)
    return WorkflowHistoryAnswer.from_history(counted, view, unknown_model=unknown)


@Endpoint("POST /v1/workflows/{workflow_id}/continue", role=Role.WRITER, errors=WRITE_ERRORS)
async def post_continue(
    request: ApiRequest,
    services: AppServices,
    params: Params[InNamespace],
    workflow_id: PathId,
    data: JSONBody[ResumeRequest],
) -> ContinueAnswer:
    """Continue a workflow: append the input as its next event, and return its history in a token
    budget.
    """
    scope = request.agent_scope(params.namespace, agent_id=data.agent, field="agent")
    view = _view(services, data)
    counted = None
    if (
        services.counter is not None
        and data.model is not None
        and services.counter.counts(data.model)
    ):
        counted = await _counted(services, scope, workflow_id, data.model, view)
        view = replace(view, margin=counted.margin)
    history, version, redactions = await services.workflows.resume(scope, workflow_id, data, view)
    # Events came between, or the call is repeated
    if counted is None or counted.value[0] != history:
        counted = CountedContext((history, version), view.margin)
    else:
        counted = replace(counted, value=(history, version))
    return ContinueAnswer.from_history(
        counted,
        view,
        unknown_model=_is_unknown(services, data.model),
        redactions=redactions,
    )


def _is_unknown(services: Services, model: str | None) -> bool:
    """Whether the context window of `model` is unknown."""
    return model is not None and services.models().find(model).window is None


def _local_tokens(history: WorkflowHistory, margin: float) -> int:
    """The tokenizer's count of a history, whose total is larger by the margin, rounded up."""
    return math.floor(history.total_tokens / (1.0 + margin) + 1e-9)


def _view(services: Services, request: HistoryQuery | ResumeRequest) -> HistoryView:
    """Options for writing a history: those of `request`, and the tokenizer, margin and budget of
    its model.
    """
    tokenizer = services.workflows.tokenizer
    margin = 0.0
    budget = DEFAULT_BUDGET
    if request.model is not None:
        model = services.models().find(request.model)
        tokenizer = services.tokenizers.get(model.tokenizer, tokenizer)
        margin = model.margin
        budget = model.allocation.history if model.allocation else budget
    return HistoryView(
        budget if request.budget is None else request.budget, tokenizer, margin, request.versions
    )


async def _counted(
    services: Services, scope: Scope, workflow_id: str, model: str | None, view: HistoryView
) -> CountedHistory:
    """The history of a workflow, shortened until the count of the model's provider, if it counts,
    fits the budget.
    """

    async def build(margin: float) -> BuiltContext[tuple[WorkflowHistory, int]]:
        history, version = await services.workflows.history(
            scope, workflow_id, replace(view, margin=margin)
        )
        tokens = _local_tokens(history, margin)
        return BuiltContext((history, version), history.text, tokens, view.budget)

    return await within_model_budget(services.counter, model, view.margin, build)

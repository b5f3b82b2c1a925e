"""Pydantic models of the request bodies, query parameters and answers of the HTTP calls on workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeAlias

from pydantic import ConfigDict, Field

from api.http.request import InNamespace, QueryWhole
from api.http.shapes.memories import Redactions
from ingest.workflows.engine import WorkflowRequest
from ingest.workflows.history import HistoryView, Versions, WorkflowHistory
from memtypes.live.workflows import OnEnd, WorkflowEventType, WorkflowStatus
from memtypes.llms.registry import MAX_BUDGET
from memtypes.model.scope import Name
from memtypes.model.times import Instant
from memtypes.ports.workflows import WorkflowLog
from retrieval.answer import Answer, OmittedIfNone
from retrieval.context.model_count import CountedContext


class WorkflowPost(WorkflowRequest):
    """A workflow to create in a namespace."""

    namespace: Name


class StateQuery(InNamespace):
    """Which state of a workflow to return. at_version: number of the last event to include; by default the newest."""

    at_version: Annotated[QueryWhole, Field(ge=0)] | None = None


class EventsQuery(InNamespace):
    """Which events of a workflow to return: the `limit` oldest events whose version is above `after`."""

    after: Annotated[QueryWhole, Field(ge=0)] = 0
    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 500


class HistoryQuery(InNamespace):
    """How to write the history of a workflow as text.

    budget: maximum tokens; by default the part of the context window of `model` that is meant for history, or 8,000 if
    no model is named or its window is unknown. model: the model whose tokens are counted. versions: whether to show
    only the newest value of each resource, or all its values.
    """

    budget: Annotated[QueryWhole, Field(ge=0, le=MAX_BUDGET)] | None = None
    model: Name | None = None
    versions: Versions = Versions.NEWEST


class WorkflowsQuery(InNamespace):
    """Filters for a list of workflows. parent_id: id of the workflow that the listed workflows continue."""

    status: WorkflowStatus | None = None
    parent_id: Name | None = None
    limit: Annotated[QueryWhole, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=2_048)] | None = None


class BegunAnswer(Answer):
    """A workflow that was created. redactions: number of secrets removed from its data, by kind."""

    workflow_id: str
    version: int
    redactions: Redactions = None


class EventAnswer(Answer):
    """The version of an appended event. redactions: number of secrets removed from the event, by kind.

    The other fields are empty or 0 unless the event ended the workflow. memories: ids of the memories that record the
    workflow, by memory type. threads: how many of its threads were flushed or deleted. items: how many of its working
    memory items ended.
    """

    version: int
    memories: Mapping[str, str]
    threads: int
    items: int
    redactions: Redactions = None


class StatusAnswer(Answer):
    """A status that a workflow had, and the event that set it.

    at: time of the event. version: number of the event. actor: agent that reported the event; null if unknown. reason:
    reason that the agent gave.
    """

    status: WorkflowStatus
    at: Instant
    version: int
    actor: str | None
    reason: str | None


class WorkflowStateAnswer(Answer):
    """The state of a workflow that results from its events. changes: every status that it had, oldest first."""

    status: WorkflowStatus
    steps: dict[str, dict[str, Any]]
    resources: dict[str, Any]
    data: dict[str, Any]
    output: Any
    error: Any
    started_at: str | None
    ended_at: str | None
    changes: list[StatusAnswer]


class WorkflowAnswer(Answer):
    """A workflow and its state. version: number of the last event that the state includes."""

    workflow_id: str
    parent_id: str | None
    on_end: OnEnd
    version: int
    state: WorkflowStateAnswer


class ListedWorkflow(Answer):
    """A workflow in a list of workflows. updated_at: time of its last event, or of its creation if it has none."""

    workflow_id: str
    parent_id: str | None
    status: WorkflowStatus
    version: int
    on_end: OnEnd
    created_at: Instant
    updated_at: Instant


class WorkflowsAnswer(Answer):
    """A page of workflows, latest created first, maybe fewer than `limit`. next_cursor: null on the last page only."""

    workflows: list[ListedWorkflow]
    next_cursor: str | None


class WorkflowLink(Answer):
    """A workflow in a chain of workflows, each of which continues the one before.

    actor, reason: which agent reported its current status, and why. states: every status that it had, oldest first.
    """

    workflow_id: str
    parent_id: str | None
    status: WorkflowStatus
    version: int
    actor: str | None
    reason: str | None
    states: list[StatusAnswer]

    @classmethod
    def of(cls, log: WorkflowLog) -> Self:
        """The answer for one workflow of the chain, given its event log."""
        state = log.state
        states = [StatusAnswer.model_validate(change, from_attributes=True) for change in state.changes]
        latest = {name: getattr(states[-1], name) if states else None for name in ("actor", "reason")}
        ids = {"workflow_id": log.workflow_id, "parent_id": log.parent_id}
        return cls(**ids, status=state.status, version=log.version, **latest, states=states)


class WorkflowChainAnswer(Answer):
    """A workflow and the workflows that it continues, oldest first. gap: whether any of them has expired."""

    workflows: list[WorkflowLink]
    gap: bool
    cycle: bool


class ResourceAnswer(Answer):
    """The latest value of a resource (a named value). workflow_id, version: the workflow and the event that set it."""

    id: str
    value: Any
    version: int
    workflow_id: str


class ResourcesAnswer(Answer):
    """The resources (named values) of a workflow and of the workflows that it continues, latest change first."""

    resources: list[ResourceAnswer]


class LoggedEvent(Answer):
    """An event of a workflow's log: its version, type and time, and further fields that depend on its type."""

    model_config = ConfigDict(frozen=True, extra="allow")

    version: int
    type: WorkflowEventType
    at: str


class EventsAnswer(Answer):
    """A page of a workflow's events, oldest first. next_after: `after` of the next page; null on the last page."""

    events: list[LoggedEvent]
    next_after: int | None


CountedHistory: TypeAlias = CountedContext[tuple[WorkflowHistory, int]]
"""A pair of a workflow's history and a version, with the token count of the history.

The version is that of the workflow's newest event or, for the call `continue`, of the event with the new input.
"""


class OmittedFromHistory(Answer):
    """Numbers of entries that the text of a workflow's history leaves out or cuts.

    resources: values of resources. data: values in the workflow's `data`. older_values: how many of the values of
    resources had been replaced by newer values. The parameter `versions=all` asks for them.
    """

    events: int
    resources: int
    data: int
    older_values: int


class HistoryMetadata(Answer):
    """The size of a workflow's history. total_tokens: `tokenizer`'s count plus a margin, as a model may count more.

    model_tokens: the count of the model's provider; left out if no provider counts for the model. degraded:
    "token_count" if the provider failed to count, else empty.
    """

    total_tokens: int
    budget: int
    tokenizer: str
    model_tokens: OmittedIfNone[int] = None
    degraded: list[str]


class WorkflowHistoryAnswer(Answer):
    """The history, as text, of a workflow and the workflows that it continues. version: number of its newest event."""

    history: str
    version: int
    omitted: OmittedFromHistory
    metadata: HistoryMetadata

    @classmethod
    def of(cls, counted: CountedHistory, view: HistoryView, **fields: Any) -> Self:
        """The answer for `counted`, a history written as `view` says. fields: further fields of the answer."""
        written, version = counted.value
        metadata = HistoryMetadata(
            total_tokens=written.total_tokens,
            budget=view.budget,
            tokenizer=view.tokenizer.name,
            model_tokens=counted.model_tokens,
            degraded=list(counted.degraded),
        )
        omitted = OmittedFromHistory.model_validate(written.omitted, from_attributes=True)
        return cls(history=written.text, version=version, omitted=omitted, metadata=metadata, **fields)


class ContinueAnswer(WorkflowHistoryAnswer):
    """The answer to a call that continued a workflow: the call appended an input as the workflow's next event.

    history: text of the history before this event. version: number of this event. redactions: number of secrets removed
    from the input, by kind.
    """

    redactions: Redactions = None

"""Bodies and answers of the calls on workflows, and the queries of their pages."""

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
    """Which state of a workflow: the latest, or that after the event at_version."""

    at_version: Annotated[QueryWhole, Field(ge=0)] | None = None


class EventsQuery(InNamespace):
    """Which events of a workflow: at most `limit` whose version is above `after`."""

    after: Annotated[QueryWhole, Field(ge=0)] = 0
    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 500


class HistoryQuery(InNamespace):
    """How to write a history: its budget, the model whose tokens count, and which values of resources to show."""

    budget: Annotated[QueryWhole, Field(ge=0, le=MAX_BUDGET)] | None = None
    model: Name | None = None
    versions: Versions = Versions.NEWEST


class WorkflowsQuery(InNamespace):
    """Which workflows to list: those with a status, or those that continue `parent_id`."""

    status: WorkflowStatus | None = None
    parent_id: Name | None = None
    limit: Annotated[QueryWhole, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=2_048)] | None = None


class BegunAnswer(Answer):
    """A workflow that was created. redactions: secrets removed from its data, by kind."""

    workflow_id: str
    version: int
    redactions: Redactions = None


class EventAnswer(Answer):
    """The version of an appended event. redactions: secrets removed from the event, by kind.

    The other fields are set if the event ended the workflow. memories: ids of the memories made of the workflow, by
    type. threads: how many of its threads were flushed or deleted. items: how many of its working items ended.
    """

    version: int
    memories: Mapping[str, str]
    threads: int
    items: int
    redactions: Redactions = None


class StatusAnswer(Answer):
    """A status of a workflow, and the event that set it: its time, version and agent, and why it was reported."""

    status: WorkflowStatus
    at: Instant
    version: int
    actor: str | None
    reason: str | None


class WorkflowStateAnswer(Answer):
    """The state of a workflow that results from its events. changes: every status that it had, the first one first."""

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
    """A workflow with its state at a version."""

    workflow_id: str
    parent_id: str | None
    on_end: OnEnd
    version: int
    state: WorkflowStateAnswer


class ListedWorkflow(Answer):
    """A workflow in a list. updated_at: time of its last event, or of its creation."""

    workflow_id: str
    parent_id: str | None
    status: WorkflowStatus
    version: int
    on_end: OnEnd
    created_at: Instant
    updated_at: Instant


class WorkflowsAnswer(Answer):
    """A page of workflows, latest created first; any page may be short. next_cursor: null on the last page only."""

    workflows: list[ListedWorkflow]
    next_cursor: str | None


class WorkflowLink(Answer):
    """One workflow of a chain: its status, who reported it and why. states: every status that it had."""

    workflow_id: str
    parent_id: str | None
    status: WorkflowStatus
    version: int
    actor: str | None
    reason: str | None
    states: list[StatusAnswer]

    @classmethod
    def of(cls, log: WorkflowLog) -> Self:
        """The link for a workflow of the chain."""
        state = log.state
        states = [StatusAnswer.model_validate(change, from_attributes=True) for change in state.changes]
        latest = {name: getattr(states[-1], name) if states else None for name in ("actor", "reason")}
        ids = {"workflow_id": log.workflow_id, "parent_id": log.parent_id}
        return cls(**ids, status=state.status, version=log.version, **latest, states=states)


class WorkflowChainAnswer(Answer):
    """A workflow preceded by those that it continues, oldest first. gap: whether one of those has expired."""

    workflows: list[WorkflowLink]
    gap: bool
    cycle: bool


class ResourceAnswer(Answer):
    """The latest value of a resource in a chain of workflows, and the workflow and event version that set it."""

    id: str
    value: Any
    version: int
    workflow_id: str


class ResourcesAnswer(Answer):
    """The resources (named values) set by a workflow and those that it continues, latest change first."""

    resources: list[ResourceAnswer]


class LoggedEvent(Answer):
    """An event of a workflow's log: version, type, time, and the fields of its type."""

    model_config = ConfigDict(frozen=True, extra="allow")

    version: int
    type: WorkflowEventType
    at: str


class EventsAnswer(Answer):
    """A page of a workflow's events. next_after: `after` of the next page; null on the last one."""

    events: list[LoggedEvent]
    next_after: int | None


CountedHistory: TypeAlias = CountedContext[tuple[WorkflowHistory, int]]
"""A history with its size, and the workflow's version: of its newest event or, after `continue`, of the new input."""


class OmittedFromHistory(Answer):
    """What the history leaves out or cuts: events, values of resources, and values of the data.

    older_values: values of resources that were replaced later; `versions=all` shows them.
    """

    events: int
    resources: int
    data: int
    older_values: int


class HistoryMetadata(Answer):
    """The size of a history. total_tokens: the count of `tokenizer`, plus a margin for the model's own count.

    model_tokens: the count of the model's provider, where one is configured. degraded: "token_count" if that failed.
    """

    total_tokens: int
    budget: int
    tokenizer: str
    model_tokens: OmittedIfNone[int] = None
    degraded: list[str]


class WorkflowHistoryAnswer(Answer):
    """The history of a workflow and of those that it continues, as text. version: of the workflow's newest event."""

    history: str
    version: int
    omitted: OmittedFromHistory
    metadata: HistoryMetadata

    @classmethod
    def of(cls, counted: CountedHistory, view: HistoryView, **fields: Any) -> Self:
        """The answer with a history that was written for `view`."""
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
    """The workflow's history before the new input, and the version of the event with that input.

    redactions: secrets removed from the input, by kind.
    """

    redactions: Redactions = None

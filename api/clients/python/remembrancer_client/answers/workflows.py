"""Answers of the calls on workflows, which are append-only logs of events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from remembrancer_client.answers.memories import Answer


class WorkflowsAnswer(Answer, frozen=True):
    """A page of at most `limit` workflows, latest created first. next_cursor: None only on the last
    page.
    """

    workflows: list[ListedWorkflow]
    next_cursor: str | None


class ListedWorkflow(Answer, frozen=True):
    """A workflow in a list. updated_at: time of its last event, or of its creation if it has no
    event.
    """

    workflow_id: str
    parent_id: str | None
    status: str
    version: int
    on_end: str
    created_at: datetime
    updated_at: datetime


class BegunAnswer(Answer, frozen=True):
    """A workflow that was created. redactions: number of secrets removed from its data, by kind."""

    workflow_id: str
    version: int
    redactions: dict[str, int] = {}


class WorkflowAnswer(Answer, frozen=True):
    """A workflow and its state. version: number of the event after which it has this state."""

    workflow_id: str
    parent_id: str | None
    on_end: str
    version: int
    state: WorkflowStateAnswer


class WorkflowStateAnswer(Answer, frozen=True):
    """The state that results from a workflow's events. changes: every status that the workflow had,
    oldest first.
    """

    status: str
    steps: dict[str, dict[str, Any]]
    resources: dict[str, Any]
    data: dict[str, Any]
    output: Any
    error: Any
    started_at: datetime | None
    ended_at: datetime | None
    changes: list[StatusAnswer]


class StatusAnswer(Answer, frozen=True):
    """A status of a workflow, with the event that set it. actor: agent that reported the event.
    reason: why.
    """

    status: str
    at: datetime
    version: int
    actor: str | None
    reason: str | None


class WorkflowChainAnswer(Answer, frozen=True):
    """The workflows that a workflow continues, oldest first, and the workflow itself at the end.

    gap: whether a workflow of the chain has expired, so that it is missing. cycle: always False,
    because a parent is fixed when its child is created.
    """

    workflows: list[WorkflowLink]
    gap: bool
    cycle: bool


class WorkflowLink(Answer, frozen=True):
    """A workflow in a chain, in which each workflow continues the one before it.

    actor: agent that reported the current status. reason: why it was set. states: all statuses of
    the workflow.
    """

    workflow_id: str
    parent_id: str | None
    status: str
    version: int
    actor: str | None
    reason: str | None
    states: list[StatusAnswer]


class WorkflowHistoryAnswer(Answer, frozen=True):
    """History of a workflow and of the workflows that it continues, as text. version: number of its
    newest event.
    """

    history: str
    version: int
    omitted: OmittedFromHistory
    metadata: HistoryMetadata


class ContinueAnswer(WorkflowHistoryAnswer, frozen=True):
    """A workflow that was continued with an input. history: text of what happened before the input.

    version: number of the event with the input. redactions: number of secrets removed from the
    input, by kind.
    """

    redactions: dict[str, int] = {}


class OmittedFromHistory(Answer, frozen=True):
    """How many entries of each kind the text of a workflow's history leaves out or cuts.

    resources: values of resources (named values). data: values of the workflow's data.
    older_values: values of resources that newer values replaced; `versions="all"` shows them.
    """

    events: int
    resources: int
    data: int
    older_values: int


class HistoryMetadata(Answer, frozen=True):
    """The size of a workflow's history.

    total_tokens: the count of `tokenizer` plus a margin, because the model's own count may be
    higher. model_tokens: the count by the model's provider; None if no provider is configured.
    degraded: "token_count" if the provider failed.
    """

    total_tokens: int
    budget: int
    tokenizer: str
    degraded: list[str]
    model_tokens: int | None = None


class EventsAnswer(Answer, frozen=True):
    """A page of a workflow's events. next_after: `after` of the next page; None on the last
    page.
    """

    events: list[LoggedEvent]
    next_after: int | None


class LoggedEvent(Answer, frozen=True):
    """An event of a workflow's log. version: number of the event. Fields that its event type does
    not have are None.
    """

    version: int
    type: str
    at: datetime
    step_id: str | None = None
    agent: str | None = None
    input: Any = None
    output: Any = None
    error: Any = None
    resources: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    reason: str | None = None


class EventAnswer(Answer, frozen=True):
    """The number (`version`) of an appended event. redactions: number of secrets removed from the
    event, by kind.

    The other fields are empty or 0 unless the event ended the workflow. memories: ids of the
    memories that record the workflow, by memory type. threads: number of its threads that were
    flushed or deleted. items: number of its working items that ended.
    """

    version: int
    memories: dict[str, str]
    threads: int
    items: int
    redactions: dict[str, int] = {}


class ResourcesAnswer(Answer, frozen=True):
    """The resources (named values) of a workflow and of the workflows that it continues, latest
    change first.
    """

    resources: list[ResourceAnswer]


class ResourceAnswer(Answer, frozen=True):
    """The latest value of a resource (a named value). workflow_id, version: the workflow and the
    event that set it.
    """

    id: str
    value: Any
    version: int
    workflow_id: str

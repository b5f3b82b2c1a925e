"""Calls on workflows: append-only logs of events, whose state can be read at any version."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from remembrancer_client.answers import (
    BegunAnswer,
    ContinueAnswer,
    EventAnswer,
    EventsAnswer,
    ListedWorkflow,
    LoggedEvent,
    ResourcesAnswer,
    WorkflowAnswer,
    WorkflowChainAnswer,
    WorkflowHistoryAnswer,
    WorkflowsAnswer,
)
from remembrancer_client.calls import Call, ConnectionT_co, Each, Group
from remembrancer_client.options import (
    EventListOptions,
    EventOptions,
    HistoryOptions,
    ResumeOptions,
    Scoped,
    StateOptions,
    WorkflowEventType,
    WorkflowListOptions,
    WorkflowOptions,
)
from remembrancer_client.request import Description, Pages, Request, by_cursor, fresh_key, segment

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Workflows(Group[ConnectionT_co]):
    """The group `client.workflows`: calls that create workflows, append events to them and read
    them.
    """

    @Call
    def begin(self, **options: Unpack[WorkflowOptions]) -> Description[BegunAnswer]:
        """Create a workflow. parent_id: the workflow that it continues."""
        return self._post("/v1/workflows", BegunAnswer, options)

    @Call
    def report(
        self, workflow_id: str, type: WorkflowEventType, **options: Unpack[EventOptions]
    ) -> Description[EventAnswer]:
        """Append an event to a workflow's log. The answer has the event's number (`version`)."""
        return self._request("POST", _path(workflow_id, "events"), EventAnswer, options, type=type)

    @Call
    def get(self, workflow_id: str, **options: Unpack[StateOptions]) -> Description[WorkflowAnswer]:
        """A workflow with the state that results from its events, such as its status."""
        return self._get(_path(workflow_id), WorkflowAnswer, options)

    @Each
    def all(self, **options: Unpack[WorkflowListOptions]) -> Pages[ListedWorkflow]:
        """All workflows that match the options, latest created first, read page by page."""
        first = self._get("/v1/workflows", WorkflowsAnswer, options)
        return by_cursor(first, lambda page: page.workflows)

    @Each
    def events(self, workflow_id: str, **options: Unpack[EventListOptions]) -> Pages[LoggedEvent]:
        """The events of a workflow's log, oldest first, read page by page. limit: page size."""
        query = self._query(options)
        path = _path(workflow_id, "events")

        def page(after: int) -> Request[EventsAnswer]:
            return Request(
                "GET", path, EventsAnswer, query={**query, "after": after}, repeatable=True
            )

        def read(answer: EventsAnswer) -> tuple[list[LoggedEvent], Request[EventsAnswer] | None]:
            return answer.events, None if answer.next_after is None else page(answer.next_after)

        return Pages(page(options.get("after", 0)), read)

    @Call
    def history(
        self, workflow_id: str, **options: Unpack[HistoryOptions]
    ) -> Description[WorkflowHistoryAnswer]:
        """The history of a workflow and of the workflows that it continues, as text within a token
        budget.
        """
        return self._get(_path(workflow_id, "history"), WorkflowHistoryAnswer, options)

    @Call
    def chain(
        self, workflow_id: str, **options: Unpack[Scoped]
    ) -> Description[WorkflowChainAnswer]:
        """The chain of workflows that ends with this workflow, oldest first. Each continues the one
        before it.
        """
        return self._get(_path(workflow_id, "chain"), WorkflowChainAnswer, options)

    @Call
    def resources(
        self, workflow_id: str, **options: Unpack[Scoped]
    ) -> Description[ResourcesAnswer]:
        """The latest value of each resource (named value) of a workflow and of the workflows that
        it continues.
        """
        return self._get(_path(workflow_id, "resources"), ResourcesAnswer, options)

    @Call
    def resume(
        self, workflow_id: str, input: Any, **options: Unpack[ResumeOptions]
    ) -> Description[ContinueAnswer]:
        """Append `input` to a workflow as an event, and return the history before that event."""
        key = options.setdefault("idempotency_key", fresh_key())
        call = self._request(
            "POST", _path(workflow_id, "continue"), ContinueAnswer, options, input=input
        )
        return replace(call, key=key)


def _path(workflow_id: str, call: str = "") -> str:
    return f"/v1/workflows/{segment(workflow_id)}" + (f"/{call}" if call else "")

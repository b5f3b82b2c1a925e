"""HTTP calls on prospective memories (tasks to do later): list due tasks, and complete, cancel,
open again or postpone a task.
"""

from __future__ import annotations

from typing import Annotated

from litestar.params import JSONBody
from pydantic import AfterValidator, Field

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId, QueryScope
from api.http.problems import Forbidden
from api.http.request import ApiRequest, InNamespace, QueryFlag
from api.http.shapes.memories import MemoryAnswer
from api.http.use_cases import valid_id
from api.wiring.container import AppServices
from ingest.working.intentions import DueRequest
from memtypes.model.memory import StrictModel, not_blank
from memtypes.model.prospective import Status
from memtypes.model.scope import Name
from memtypes.model.times import Instant
from retrieval.answer import Answer

_CHANGE_ERRORS = (404, 409, 503)


class DueQuery(InNamespace):
    """Which tasks to list: those due at the time `at` (by default now), on `event`, or because of
    the text `context`.

    context: text that may meet a task's condition, such as a prompt. session_id: the calling
    session; tasks that only another session may see are left out. mark: mark the listed tasks as
    fired, so that they are not due again.
    """

    at: Instant | None = None
    event: (
        Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(not_blank)] | None
    ) = None
    context: (
        Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(not_blank)] | None
    ) = None
    session_id: Name | None = None
    mark: QueryFlag = False


class DueAnswer(Answer):
    """The due tasks (prospective memories), the longest overdue first."""

    due: list[MemoryAnswer]


class SnoozePost(StrictModel):
    """The time at which a postponed task is due again."""

    until: Instant


@Endpoint("GET /v1/prospective/due", errors=(503,), head=False)
async def get_due(
    request: ApiRequest, services: AppServices, params: Params[DueQuery]
) -> DueAnswer:
    """List due tasks, and mark them as fired (not due again) if `mark` is true."""
    if params.mark and not request.auth.role.may(Role.WRITER):
        raise Forbidden(f"mark=true needs the role {Role.WRITER}; the key has {request.auth.role}")
    scope = request.scope_in(params.namespace, params.session_id)
    due = DueRequest(params.at or services.clock(), params.event, params.context, params.session_id)
    find = services.intentions.fire if params.mark else services.intentions.due
    return DueAnswer(due=[MemoryAnswer(memory) for memory in await find(scope, due)])


@Endpoint("POST /v1/memories/{memory_id}/complete", role=Role.WRITER, errors=_CHANGE_ERRORS)
async def complete(services: AppServices, namespace: QueryScope, memory_id: PathId) -> MemoryAnswer:
    """Complete a task (a prospective memory)."""
    return MemoryAnswer(
        await services.intentions.end(namespace, valid_id(memory_id), Status.COMPLETED)
    )


@Endpoint("POST /v1/memories/{memory_id}/cancel", role=Role.WRITER, errors=_CHANGE_ERRORS)
async def cancel(services: AppServices, namespace: QueryScope, memory_id: PathId) -> MemoryAnswer:
    """Cancel a task (a prospective memory)."""
    return MemoryAnswer(
        await services.intentions.end(namespace, valid_id(memory_id), Status.CANCELLED)
    )


@Endpoint("POST /v1/memories/{memory_id}/reopen", role=Role.WRITER, errors=_CHANGE_ERRORS)
async def reopen(services: AppServices, namespace: QueryScope, memory_id: PathId) -> MemoryAnswer:
    """Open a task (a prospective memory) again that was completed or cancelled, or has lapsed.

    It is pending again, and its `history` names what had ended it. A task that is open stays as it
    is. POST /v1/memories/{id}/undo ends it again.
    """
    return MemoryAnswer(await services.intentions.reopen(namespace, valid_id(memory_id)))


@Endpoint("POST /v1/memories/{memory_id}/snooze", role=Role.WRITER, errors=_CHANGE_ERRORS)
async def snooze(
    services: AppServices, namespace: QueryScope, memory_id: PathId, data: JSONBody[SnoozePost]
) -> MemoryAnswer:
    """Postpone a task (a prospective memory)."""
    return MemoryAnswer(
        await services.intentions.snooze(namespace, valid_id(memory_id), data.until)
    )

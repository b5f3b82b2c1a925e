"""HTTP calls on working memory: create, list and clear the items of a session."""

from __future__ import annotations

from typing import Annotated, Self

from litestar.params import JSONBody
from pydantic import Field, model_validator

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params
from api.http.request import ApiRequest, InSession, QueryFlag
from api.http.shapes.memories import Redactions
from api.wiring.container import AppServices
from ingest.working.working_memory import NewItem
from memtypes.model.scope import Name
from memtypes.model.times import Instant
from memtypes.model.working import ClearReason, ContextType, TodoStatus, WorkingScope
from memtypes.ports.working import ItemSelection
from retrieval.answer import Answer


class WorkingIn(NewItem, InSession):
    """An item of working memory to create in a session."""

    agent_id: Name | None = None


class WorkingQuery(InSession):
    """Which items of working memory to list. todo_id: only items of this to-do; by default all
    items of the session.

    agent_id: the calling agent, needed for an API key that is bound to several agents; only its
    items are listed.
    """

    agent_id: Name | None = None
    todo_id: Name | None = None
    include_cleared: QueryFlag = False


class ClearIn(InSession):
    """Which items of working memory to clear: those of `todo_id`, the item `id`, or by default all
    of the session.

    agent_id: the calling agent, needed for an API key that is bound to several agents; only its
    items are cleared.
    """

    agent_id: Name | None = None
    todo_id: Name | None = None
    id: Annotated[str, Field(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.todo_id is not None and self.id is not None:
            raise ValueError("name todo_id or id, not both")
        return self


class ItemTokens(Answer):
    """How many tokens the content of an item has, and the tokenizer that counted them."""

    count: int
    tokenizer: str


class WorkingItemAnswer(Answer):
    """An item of working memory.

    todo_status: the status of the to-do that it stands for. cleared_at, cleared_reason: when and
    why it ended; null while it is shown.
    """

    id: str
    namespace: str
    session_id: str | None
    agent_id: str | None
    todo_id: str | None
    todo_status: TodoStatus | None
    workflow_id: str | None
    content: str
    context_type: ContextType
    scope: WorkingScope
    priority: int
    created_at: Instant
    accessed_at: Instant | None
    expires_at: Instant | None
    cleared_at: Instant | None
    cleared_reason: ClearReason | None
    tokens: ItemTokens


class WorkingCreated(WorkingItemAnswer):
    """An item of working memory that was created. redactions: number of secrets removed from its
    content, by kind.
    """

    redactions: Redactions = None


class ItemsAnswer(Answer):
    """The items of a session's working memory, oldest first."""

    items: list[WorkingItemAnswer]


class WorkingCleared(Answer):
    """How many items of working memory were cleared."""

    cleared: int


@Endpoint("POST /v1/working", role=Role.WRITER, status=201, errors=(404, 409, 429, 503))
async def post_working(
    request: ApiRequest, services: AppServices, data: JSONBody[WorkingIn]
) -> WorkingCreated:
    """Create an item of working memory."""
    scope = request.agent_scope(data.namespace, data.session_id, data.agent_id)
    created = await services.working.create(scope, data)
    item = WorkingCreated.model_validate(created.value, from_attributes=True)
    return item.model_copy(update={"redactions": created.counts})


@Endpoint("GET /v1/working", errors=(503,))
async def list_working(
    request: ApiRequest, services: AppServices, params: Params[WorkingQuery]
) -> ItemsAnswer:
    """List items of working memory, without renewing their time to live."""
    scope = request.agent_scope(params.namespace, params.session_id, params.agent_id)
    items = await services.working.list_items(
        scope, params.todo_id, include_cleared=params.include_cleared
    )
    return ItemsAnswer.model_validate({"items": items}, from_attributes=True)


@Endpoint("POST /v1/working/clear", role=Role.WRITER, errors=(503,))
async def clear_working(
    request: ApiRequest, services: AppServices, data: JSONBody[ClearIn]
) -> WorkingCleared:
    """Clear items of working memory."""
    scope = request.agent_scope(data.namespace, data.session_id, data.agent_id)
    return WorkingCleared(
        cleared=await services.working.clear(scope, ItemSelection(data.todo_id, data.id))
    )

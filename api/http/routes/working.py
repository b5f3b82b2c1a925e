"""Working memory by hand and by to-do: make, list, clear."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, NotRequired, Self

from litestar import Response, post
from litestar.di import NamedDependency
from pydantic import Field, TypeAdapter, model_validator
from typing_extensions import TypedDict  # pydantic reads the standard library's only from Python 3.12 on

from api.auth.keys import Role
from api.http.bodies import QueryFlag
from api.http.endpoint import Call, HttpRequest, answer, read_body, read_query, redactions_of, safe_get, scope_of
from api.wiring.container import Services
from ingest.working.todos import TTL_S, NewItem, WorkingMemory
from memtypes.model.errors import Unavailable
from memtypes.model.memory import Line, Model, Text, Whole
from memtypes.model.scope import Name
from memtypes.model.times import Instant
from memtypes.model.working import ContextType, Working, WorkingScope
from memtypes.ports.working import ItemSelection

TAG = "Working memory"
MAX_TTL_S = 7 * 24 * 3600
MAX_STEPS = 200


class InSession(Model):
    """What every call on working memory names."""

    namespace: Name
    session_id: Name


class WorkingIn(InSession):
    """A new working item."""

    content: Text
    agent_id: Name | None = None
    todo_id: Name | None = None
    context_type: ContextType = ContextType.TASK_CONTEXT
    scope: WorkingScope = WorkingScope.TASK
    priority: Whole = Field(default=3, ge=1, le=5)
    ttl_s: Whole = Field(default=TTL_S, ge=1, le=MAX_TTL_S, description="Seconds that it lives without use.")


class WorkingQuery(InSession):
    """Which items to list."""

    todo_id: Name | None = None
    include_cleared: QueryFlag = False


class ClearIn(InSession):
    """Which items are done: those of a to-do, one, or all of the session."""

    todo_id: Name | None = None
    id: Annotated[str, Field(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.todo_id is not None and self.id is not None:
            raise ValueError("name todo_id or id, not both")
        return self


class TodoCreated(InSession):
    """A to-do begins."""

    todo_id: Name
    content: Text
    agent_id: Name | None = None


class TodoCompleted(InSession):
    """A to-do is done. steps: what it took, in order."""

    todo_id: Name
    agent_id: Name | None = None
    steps: list[Line] = Field(default_factory=list, max_length=MAX_STEPS)


class WorkingItemAnswer(TypedDict):
    """A working item."""

    id: str
    namespace: str
    session_id: str | None
    agent_id: str | None
    todo_id: str | None
    content: str
    context_type: ContextType
    scope: WorkingScope
    priority: int
    created_at: Instant
    accessed_at: Instant | None
    expires_at: Instant | None
    cleared_at: Instant | None
    tokens: dict[str, int | str]


class MadeAnswer(WorkingItemAnswer):
    """A working item that was made. redactions: taken out of its content, by kind."""

    redactions: NotRequired[dict[str, int]]


class ItemsAnswer(TypedDict):
    """The items of a session, oldest first."""

    items: list[WorkingItemAnswer]


class ClearedAnswer(TypedDict):
    """How many were cleared."""

    cleared: int


class TodoCreatedAnswer(TypedDict):
    """The item that was made. redactions: taken out of its content, by kind."""

    working_id: str
    redactions: NotRequired[dict[str, int]]


class TodoCompletedAnswer(TypedDict):
    """How many items were cleared, and the procedure that a to-do of more than 5 steps leaves behind.

    redactions: taken out of the steps, by kind.
    """

    cleared: int
    procedural_id: str | None
    redactions: NotRequired[dict[str, int]]


NEW: TypeAdapter[WorkingIn] = TypeAdapter(WorkingIn)
CLEAR: TypeAdapter[ClearIn] = TypeAdapter(ClearIn)
CREATED: TypeAdapter[TodoCreated] = TypeAdapter(TodoCreated)
COMPLETED: TypeAdapter[TodoCompleted] = TypeAdapter(TodoCompleted)

_NEW = Call("Make a working item", TAG, {201: MadeAnswer}, role=Role.WRITER, body=NEW, may_fail=(429, 503))
_LIST = Call("List working items; this is no use of them", TAG, {200: ItemsAnswer}, query=WorkingQuery, may_fail=(503,))
_CLEAR = Call("Clear working items", TAG, {200: ClearedAnswer}, role=Role.WRITER, body=CLEAR, may_fail=(503,))
_CREATED = Call(
    "A to-do was created", TAG, {200: TodoCreatedAnswer}, role=Role.WRITER, body=CREATED, may_fail=(429, 503)
)
_COMPLETED = Call(
    "A to-do was completed", TAG, {200: TodoCompletedAnswer}, role=Role.WRITER, body=COMPLETED, may_fail=(429, 503)
)


@post("/v1/working", opt=_NEW.opt(), status_code=201)
async def post_working(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """The item, alive."""
    asked = await read_body(request, NEW)
    scope = scope_of(request, asked.namespace, asked.session_id, asked.agent_id)
    ttl = timedelta(seconds=asked.ttl_s)
    new = NewItem(asked.content, asked.todo_id, asked.context_type, asked.scope, asked.priority, ttl)
    made = await _working(services).create(scope, new)
    return answer({**_item(made.item), **redactions_of(made)}, 201)


@safe_get("/v1/working", opt=_LIST.opt())
async def list_working(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """The session's items."""
    query = read_query(request, WorkingQuery)
    scope = scope_of(request, query.namespace, query.session_id)
    items = await _working(services).listed(scope, query.todo_id, cleared=query.include_cleared)
    return answer({"items": [_item(one) for one in items]})


@post("/v1/working/clear", opt=_CLEAR.opt(), status_code=200)
async def clear_working(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """How many were cleared."""
    asked = await read_body(request, CLEAR)
    scope = scope_of(request, asked.namespace, asked.session_id)
    return answer({"cleared": await _working(services).clear(scope, ItemSelection(asked.todo_id, asked.id))})


@post("/v1/hooks/todo-created", opt=_CREATED.opt(), status_code=200)
async def todo_created(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """The id of the working item that lives while the to-do is active."""
    asked = await read_body(request, CREATED)
    scope = scope_of(request, asked.namespace, asked.session_id, asked.agent_id)
    made = await _working(services).create(scope, NewItem(asked.content, asked.todo_id))
    return answer({"working_id": made.item.id, **redactions_of(made)})


@post("/v1/hooks/todo-completed", opt=_COMPLETED.opt(), status_code=200)
async def todo_completed(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """What was cleared, and learnt."""
    asked = await read_body(request, COMPLETED)
    scope = scope_of(request, asked.namespace, asked.session_id, asked.agent_id)
    done = await _working(services).complete(scope, asked.todo_id, asked.steps)
    return answer({"cleared": done.cleared, "procedural_id": done.procedural_id, **redactions_of(done)})


def _working(services: Services) -> WorkingMemory:
    if services.working is None:
        raise Unavailable("live state is away: this service was started without it")
    return services.working


def _item(item: Working) -> WorkingItemAnswer:
    members = item.model_dump(mode="json", include=set(WorkingItemAnswer.__annotations__))
    members["tokens"] = {"count": item.tokens.count, "tokenizer": item.tokens.tokenizer}
    return members  # type: ignore[return-value]  # the members are those named

"""Intentions: what is due, and what becomes of one."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic reads the standard library's only from Python 3.12 on

from api.auth.keys import Role
from api.http.answers import MemoryAnswer
from api.http.bodies import InNamespace, QueryFlag
from api.http.endpoint import Call, HttpRequest, answer, read_body, read_query, scope_of
from api.http.problems import Forbidden
from api.http.routes.memories import known_id
from api.wiring.container import Services
from ingest.working.intentions import DueQuestion
from memtypes.model.memory import Model, not_blank
from memtypes.model.scope import Name, Scope
from memtypes.model.times import Instant

TAG = "Prospective memory"


class DueQuery(InNamespace):
    """What may be due: by `at` (now, without it), by an event that happens, by a context that they wait for.

    session_id leaves out what only other sessions may see. mark: what is due has fired, and is not due again.
    """

    at: Instant | None = None
    event: Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(not_blank)] | None = None
    context: Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(not_blank)] | None = None
    session_id: Name | None = None
    mark: QueryFlag = False


class DueAnswer(TypedDict):
    """What is due, the longest due first."""

    due: list[MemoryAnswer]


class Snooze(Model):
    """When it is due again."""

    until: Instant


SNOOZE: TypeAdapter[Snooze] = TypeAdapter(Snooze)

_DUE = Call(
    "Intentions that are due; marked, they are due once", TAG, {200: DueAnswer}, query=DueQuery, may_fail=(503,)
)


def _ending(summary: str, body: TypeAdapter[Snooze] | None = None) -> Call:
    return Call(
        summary,
        TAG,
        {200: MemoryAnswer},
        role=Role.WRITER,
        query=InNamespace,
        body=body,
        may_fail=(404, 409, 503),
    )


_COMPLETE = _ending("An intention is done")
_CANCEL = _ending("An intention is given up")
_SNOOZE = _ending("An intention is put off", SNOOZE)


@get("/v1/prospective/due", opt=_DUE.opt())
async def get_due(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """What is due. Marking needs a writer's key."""
    query = read_query(request, DueQuery)
    if query.mark and not request.auth.role.may(Role.WRITER):
        raise Forbidden(f"mark=true needs the role {Role.WRITER}; the key has {request.auth.role}")
    scope = scope_of(request, query.namespace, query.session_id)
    question = DueQuestion(query.at or services.clock(), query.event, query.context, query.session_id)
    find = services.intentions.fire if query.mark else services.intentions.due
    return answer({"due": await find(scope, question)})


@post("/v1/memories/{memory_id:str}/complete", opt=_COMPLETE.opt(), status_code=200)
async def complete(
    request: HttpRequest, services: NamedDependency[Services], memory_id: FromPath[str]
) -> Response[bytes]:
    """The intention, completed."""
    return answer(await services.intentions.complete(*_named(request, memory_id)))


@post("/v1/memories/{memory_id:str}/cancel", opt=_CANCEL.opt(), status_code=200)
async def cancel(
    request: HttpRequest, services: NamedDependency[Services], memory_id: FromPath[str]
) -> Response[bytes]:
    """The intention, cancelled."""
    return answer(await services.intentions.cancel(*_named(request, memory_id)))


@post("/v1/memories/{memory_id:str}/snooze", opt=_SNOOZE.opt(), status_code=200)
async def snooze(
    request: HttpRequest, services: NamedDependency[Services], memory_id: FromPath[str]
) -> Response[bytes]:
    """The intention, due at another time."""
    named = _named(request, memory_id)
    asked = await read_body(request, SNOOZE)
    return answer(await services.intentions.snooze(*named, asked.until))


def _named(request: HttpRequest, memory_id: str) -> tuple[Scope, str]:
    """Which intention a call is about."""
    return scope_of(request, read_query(request, InNamespace).namespace), known_id(memory_id)

"""Threads: turns within limits, chains, contexts in a budget, and what leaves kept as memories."""

from __future__ import annotations

from typing import Any

from litestar import Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath
from pydantic import TypeAdapter

from api.auth.keys import Role
from api.http.bodies import InNamespace
from api.http.endpoint import Call, HttpRequest, answer, read_body, read_query, redactions_of, safe_get, scope_of
from api.http.routes.backups import public_id
from api.http.routes.thread_answers import (
    ChainAnswer,
    ClearAnswer,
    ContextAnswer,
    FlushAnswer,
    OpenedAnswer,
    PageAnswer,
    SaidAnswer,
    ThreadAnswer,
    ThreadHealthAnswer,
    ThreadStatsAnswer,
    VersionAnswer,
    turn_members,
)
from api.http.routes.thread_bodies import (
    ByAgent,
    ClearPost,
    ContextPost,
    FlushPost,
    PageQuery,
    ReplacePost,
    ThreadPost,
    TurnPost,
)
from api.http.routes.thread_views import context_of, health_of, stats_of, thread_members, threads_of
from api.wiring.container import Services
from ingest.conversations.flushing import FlushRequest
from ingest.conversations.threads import OpenedThread, OpenRequest, Threads
from memtypes.model.scope import Scope

TAG = "Threads"
AWAY = (403, 404, 409, 429, 503)

OPEN: TypeAdapter[ThreadPost] = TypeAdapter(ThreadPost)
TURN: TypeAdapter[TurnPost] = TypeAdapter(TurnPost)
REPLACE: TypeAdapter[ReplacePost] = TypeAdapter(ReplacePost)
CONTEXT: TypeAdapter[ContextPost] = TypeAdapter(ContextPost)
FLUSH: TypeAdapter[FlushPost] = TypeAdapter(FlushPost)
CLEAR: TypeAdapter[ClearPost] = TypeAdapter(ClearPost)

_OPEN = Call(
    "Begin a thread, or find that of a resource and key; with an agent alone, one for each of its resources",
    TAG,
    {201: ThreadAnswer | OpenedAnswer, 200: ThreadAnswer | OpenedAnswer},
    role=Role.WRITER,
    body=OPEN,
    may_fail=AWAY,
)
_PAGE = Call("A thread and its turns", TAG, {200: PageAnswer}, query=PageQuery, may_fail=(404, 503))
_STATS = Call("A thread's load", TAG, {200: ThreadStatsAnswer}, query=InNamespace, may_fail=(404, 503))
_HEALTH = Call("A thread's promises", TAG, {200: ThreadHealthAnswer}, query=InNamespace, may_fail=(404, 503))
_CHAIN = Call("The threads it goes on from", TAG, {200: ChainAnswer}, query=InNamespace, may_fail=(404, 503))


def _changing(summary: str, answers: dict[int, Any], body: TypeAdapter[Any] | None) -> dict[str, Any]:
    return Call(summary, TAG, answers, role=Role.WRITER, query=ByAgent, body=body, may_fail=AWAY).opt()


async def _writing(request: HttpRequest, services: Services, thread_id: str) -> Scope:
    """The scope of a call that changes a thread. Raises ReadOnly where the agent that makes it may not."""
    query = read_query(request, ByAgent)
    scope = scope_of(request, query.namespace)
    await threads_of(services).check_write(scope, thread_id, query.agent_id)
    return scope


def _opened(threads: Threads, one: OpenedThread) -> dict[str, Any]:
    return {**thread_members(threads, one.thread), **redactions_of(one)}


@post("/v1/threads", opt=_OPEN.opt())
async def post_thread(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """201 with a new thread, 200 with one that was there."""
    asked = await read_body(request, OPEN)
    scope, threads = scope_of(request, asked.namespace), threads_of(services)
    names = ("key", "parent_id", "resource", "agent_id", "initial_context", "variables")
    opening = OpenRequest(**{name: getattr(asked, name) for name in names})
    if not threads.opens_for_agent(opening):
        one = await threads.open(scope, opening)
        return answer(_opened(threads, one), 201 if one.created else 200)
    opened = await threads.open_for_agent(scope, opening)
    shown = [{"resource": one.resource, "mode": one.mode, "thread": _opened(threads, one)} for one in opened]
    return answer({"threads": shown}, 201 if any(one.created for one in opened) else 200)


@get("/v1/threads/{thread_id:str}", opt=_PAGE.opt())
async def get_thread(
    request: HttpRequest, services: NamedDependency[Services], thread_id: FromPath[str]
) -> Response[bytes]:
    """A page of its turns, which count as used."""
    query = read_query(request, PageQuery)
    scope = scope_of(request, query.namespace)
    threads = threads_of(services)
    content = await threads.store.page(scope, thread_id, query.offset, query.limit)
    turns = [turn_members(turn) for turn in content.turns]
    return answer({"thread": thread_members(threads, content.thread), "turns": turns, "total": content.thread.turns})


@post("/v1/threads/{thread_id:str}/turns", opt=_changing("Append a turn", {201: SaidAnswer}, TURN))
async def post_turn(
    request: HttpRequest, services: NamedDependency[Services], thread_id: FromPath[str]
) -> Response[bytes]:
    """201 with the turn, once it is kept."""
    scope = await _writing(request, services, thread_id)
    asked = await read_body(request, TURN)
    said = await threads_of(services).append(scope, thread_id, asked, asked.expected_version)
    told = {"version": said.version, "flushed": said.flushed, "evicted": said.evicted}
    return answer({"turn": turn_members(said.turn), **told, **redactions_of(said)}, 201)


@put("/v1/threads/{thread_id:str}/turns", opt=_changing("Replace all turns", {200: VersionAnswer}, REPLACE))
async def put_turns(
    request: HttpRequest, services: NamedDependency[Services], thread_id: FromPath[str]
) -> Response[bytes]:
    """The version after it."""
    scope = await _writing(request, services, thread_id)
    asked = await read_body(request, REPLACE)
    replaced = await threads_of(services).replace(scope, thread_id, asked.turns, asked.expected_version)
    return answer({"version": replaced.version, **redactions_of(replaced)})


@safe_get("/v1/threads/{thread_id:str}/chain", opt=_CHAIN.opt())
async def get_chain(
    request: HttpRequest, services: NamedDependency[Services], thread_id: FromPath[str]
) -> Response[bytes]:
    """Ancestors and the thread itself, oldest first."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    threads = threads_of(services)
    chain = await threads.chain(scope, thread_id)
    shown = [thread_members(threads, content.thread) for content in chain.threads]
    return answer({"threads": shown, "gap": chain.gap, "cycle": chain.cycle})


@post(
    "/v1/threads/{thread_id:str}/context",
    opt=Call(
        "The thread's context in a budget", TAG, {200: ContextAnswer}, query=InNamespace, body=CONTEXT, may_fail=AWAY
    ).opt(),
    status_code=200,
)
async def post_context(
    request: HttpRequest, services: NamedDependency[Services], thread_id: FromPath[str]
) -> Response[bytes]:
    """The text and what is in it."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    asked = await read_body(request, CONTEXT)
    return answer(await context_of(services, threads_of(services), scope, thread_id, asked))


@post(
    "/v1/threads/{thread_id:str}/flush", opt=_changing("Relieve a thread", {200: FlushAnswer}, FLUSH), status_code=200
)
async def post_flush(
    request: HttpRequest, services: NamedDependency[Services], thread_id: FromPath[str]
) -> Response[bytes]:
    """What left, and the memories that keep it."""
    asked = await read_body(request, FLUSH)
    scope = await _writing(request, services, thread_id)
    done = await threads_of(services).flush(scope, thread_id, FlushRequest(asked.strategy, asked.dry_run, asked.force))
    told = {"flushed": done.flushed, "tokens_before": done.tokens_before, "tokens_after": done.tokens_after}
    summary = {} if done.summary is None else {"summary": done.summary}
    return answer({**told, **summary, "memory_ids": list(done.memory_ids)})


@post("/v1/threads/{thread_id:str}/clear", opt=_changing("Empty a thread", {200: ClearAnswer}, CLEAR), status_code=200)
async def post_clear(
    request: HttpRequest, services: NamedDependency[Services], thread_id: FromPath[str]
) -> Response[bytes]:
    """How many turns there were."""
    asked = await read_body(request, CLEAR)
    scope = await _writing(request, services, thread_id)
    cleared, backup_id = await threads_of(services).clear(scope, thread_id, backup=asked.backup)
    backup = {} if backup_id is None else {"backup_id": public_id(scope.namespace, backup_id)}
    return answer({"cleared": cleared, **backup})


@safe_get("/v1/threads/{thread_id:str}/stats", opt=_STATS.opt())
async def get_stats(
    request: HttpRequest, services: NamedDependency[Services], thread_id: FromPath[str]
) -> Response[bytes]:
    """Its tokens, limits and life."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    threads = threads_of(services)
    thread = await threads.store.get(scope, thread_id)
    return answer(stats_of(threads, thread, await threads.evicted_turns.backlog(scope, thread_id)))


@safe_get("/v1/threads/{thread_id:str}/health", opt=_HEALTH.opt())
async def get_health(
    request: HttpRequest, services: NamedDependency[Services], thread_id: FromPath[str]
) -> Response[bytes]:
    """One check a promise."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    threads = threads_of(services)
    content = await threads.store.read(scope, thread_id)
    return answer(health_of(threads, content, await threads.evicted_turns.backlog(scope, thread_id)))


@delete("/v1/threads/{thread_id:str}", opt=_changing("Remove a thread", {204: None}, None))
async def delete_thread(request: HttpRequest, services: NamedDependency[Services], thread_id: FromPath[str]) -> None:
    """204."""
    scope = await _writing(request, services, thread_id)
    await threads_of(services).store.delete(scope, thread_id)

"""HTTP calls on threads (conversations): open, list, read and delete threads, and show their size
and health.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from litestar import Response
from litestar.params import JSONBody
from pydantic import Field

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId, QueryScope, agent_scope
from api.http.request import ApiRequest, AsAgent, InNamespace, QueryWhole
from api.http.shapes.threads import ThreadAnswer
from api.wiring.container import AppServices
from ingest.conversations.agent_threads import open_for_agent, opens_for_agent
from ingest.conversations.threads import OpenRequest
from memtypes.live.thread_policy import AccessMode, PolicyType
from memtypes.live.turns import Turn
from memtypes.model.scope import Name, Scope
from memtypes.model.times import TimeText, rfc3339
from memtypes.ports.threads import ThreadQuery
from retrieval.answer import Answer, OmittedIfNone

READ_ERRORS = (403, 404, 503)
WRITE_ERRORS = (403, 404, 409, 429, 503)


class ThreadPost(OpenRequest):
    """A thread (a conversation) to create or find. variables: values for the placeholders in its
    key.
    """

    namespace: Name


class ThreadsQuery(InNamespace):
    """Filters for a list of threads, all of which must match. key_prefix: how the key of a thread
    begins.

    agent_id: id of the agent that opened the thread. parent_id: id of the thread that it continues.
    """

    key_prefix: Annotated[str, Field(max_length=256)] = ""
    agent_id: Name | None = None
    resource: Name | None = None
    parent_id: Name | None = None
    workflow_id: Name | None = None
    limit: Annotated[QueryWhole, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(max_length=64)] | None = None


class PageQuery(AsAgent):
    """Which turns of a thread to return: the `limit` oldest turns after the first `offset`
    turns.
    """

    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 100
    offset: Annotated[QueryWhole, Field(ge=0, le=10_000_000)] = 0


class ThreadsAnswer(Answer):
    """A page of threads, the last changed first. next_cursor: `cursor` of the next page; null on
    the last page.
    """

    threads: list[ThreadAnswer]
    next_cursor: str | None


class ReferenceAnswer(Answer):
    """A thread of an agent. resource: name of the thread's policy. mode: whether the agent may
    change the thread.
    """

    resource: str
    mode: AccessMode
    thread: ThreadAnswer


class ReferencesAnswer(Answer):
    """The threads of an agent: one for each thread policy (resource) that the policy file lists for
    the agent.
    """

    threads: list[ReferenceAnswer]


class PageAnswer(Answer):
    """A thread and a page of its turns, oldest first. total: number of the turns on all pages."""

    thread: ThreadAnswer
    turns: Sequence[Turn]
    total: int


class ThreadChainAnswer(Answer):
    """A thread and the threads that it continues, oldest first. gap: whether one of them expired or
    may not be read.
    """

    threads: list[ThreadAnswer]
    gap: bool
    cycle: bool


class ThreadStatsAnswer(Answer):
    """The size of a thread and its limits. utilization: its size as a share of the limit that it is
    nearest to.

    distance_to_flush: tokens (or turns, if tokens are not limited) that can be added before an
    automatic flush moves turns to memories. turns_to_flush: turns that can be added before their
    number starts such a flush. Both are null for a thread that is not flushed automatically.
    waiting: number of batches of removed turns, of all threads of the namespace, that wait to be
    stored as memories. set_aside: number of batches of this thread's removed turns that could not
    be stored. Storing them is tried again at next_try_at and whenever a service starts.
    """

    turns: int
    tokens: int
    max_tokens: int | None
    max_messages: int | None
    max_turns: int
    utilization: float
    distance_to_flush: int | None
    turns_to_flush: int | None
    last_flush_at: TimeText | None
    ttl_s: int
    resource: str | None
    policy: str | None
    waiting: int
    set_aside: int
    next_try_at: TimeText | None


class ThreadCheck(Answer):
    """One check of a thread's health. detail: which turns could not be stored, why, and when they
    are retried.
    """

    name: str
    ok: bool
    detail: OmittedIfNone[str] = None


class ThreadHealthAnswer(Answer):
    """The results of a thread's health checks. ok: whether all passed."""

    ok: bool
    checks: list[ThreadCheck]


async def readable(
    request: ApiRequest, services: AppServices, params: Params[AsAgent], thread_id: PathId
) -> Scope:
    """The scope of a call that reads a thread. Raises NotFound or AccessDenied."""
    scope = await agent_scope(request, params)
    await services.threads.check_access(scope, thread_id, write=False)
    return scope


async def writable(
    request: ApiRequest, services: AppServices, params: Params[AsAgent], thread_id: PathId
) -> Scope:
    """The scope of a call that changes a thread. Raises NotFound, AccessDenied or ReadOnly."""
    scope = await agent_scope(request, params)
    await services.threads.check_access(scope, thread_id, write=True)
    return scope


@Endpoint(
    "POST /v1/threads",
    role=Role.WRITER,
    status=201,
    answers={200: ThreadAnswer | ReferencesAnswer},
    errors=WRITE_ERRORS,
)
async def post_thread(
    request: ApiRequest, services: AppServices, data: JSONBody[ThreadPost]
) -> Response[ThreadAnswer | ReferencesAnswer]:
    """Create a thread, or find an existing thread by resource and key.

    A resource is the name of a thread policy. If the body names an agent but no resource, a thread
    is opened for each resource that the policy file lists for this agent. The status is 201 if a
    thread was created, else 200.
    """
    scope = request.agent_scope(data.namespace, agent_id=data.agent_id)
    threads = services.threads
    data = data.model_copy(update={"agent_id": scope.agent_id})
    if not opens_for_agent(threads, data):
        opened = await threads.open(scope, data)
        return Response(
            ThreadAnswer.opened(threads, opened), status_code=201 if opened.created else 200
        )
    all_opened = await open_for_agent(threads, scope, data)
    references = [
        ReferenceAnswer(
            resource=opened.thread.resource,
            mode=opened.mode,
            thread=ThreadAnswer.opened(threads, opened),
        )
        for opened in all_opened
    ]
    created = any(opened.created for opened in all_opened)
    return Response(ReferencesAnswer(threads=references), status_code=201 if created else 200)


@Endpoint("GET /v1/threads", errors=READ_ERRORS)
async def list_threads(
    request: ApiRequest, services: AppServices, params: Params[ThreadsQuery]
) -> ThreadsAnswer:
    """List the threads that the caller may read, the last changed first."""
    scope = request.agent_scope(params.namespace, agent_id=params.agent_id)
    threads = services.threads
    page = await threads.store.page_of_threads(
        scope, ThreadQuery(**params.model_dump(exclude={"namespace"}))
    )
    access = threads.policies.access
    readable_threads = [
        thread for thread in page.threads if access(scope, thread.resource, thread.key)
    ]
    answers = [ThreadAnswer.from_thread(threads, thread) for thread in readable_threads]
    return ThreadsAnswer(threads=answers, next_cursor=page.next_cursor)


@Endpoint("GET /v1/threads/{thread_id}", errors=READ_ERRORS, head=False, scope=readable)
async def get_thread(
    services: AppServices, namespace: QueryScope, params: Params[PageQuery], thread_id: PathId
) -> PageAnswer:
    """Read a thread and a page of its turns.

    The call marks the turns in the answer as used now. LRU policies remove the least recently used
    turns first.
    """
    content = await services.threads.store.page(namespace, thread_id, params.offset, params.limit)
    thread = ThreadAnswer.from_thread(services.threads, content.thread)
    return PageAnswer(thread=thread, turns=content.turns, total=content.thread.turns)


@Endpoint("GET /v1/threads/{thread_id}/chain", errors=READ_ERRORS, scope=readable)
async def get_chain(
    services: AppServices, namespace: QueryScope, thread_id: PathId
) -> ThreadChainAnswer:
    """List a thread and the threads that it continues."""
    chain = await services.threads.chain(namespace, thread_id)
    answers = [ThreadAnswer.from_thread(services.threads, thread) for thread in chain]
    missing = len(chain) <= len(chain[-1].ancestors)
    return ThreadChainAnswer(threads=answers, gap=missing, cycle=False)


@Endpoint("GET /v1/threads/{thread_id}/stats", errors=READ_ERRORS, scope=readable)
async def get_stats(
    services: AppServices, namespace: QueryScope, thread_id: PathId
) -> ThreadStatsAnswer:
    """Show the size of a thread and its limits."""
    threads = services.threads
    thread = await threads.store.get(namespace, thread_id)
    backlog = await threads.evicted_turns.store.backlog(namespace, thread_id)
    policy = threads.policies.of_resource(thread.resource)
    limits = threads.policies.limits(policy)
    bounds = [
        (thread.tokens, limits.tokens),
        (thread.turns, limits.messages),
        (thread.turns, limits.turns),
    ]
    threshold = policy.flush.threshold
    distances = [
        max(0, math.ceil(threshold * limit) - used) for used, limit in bounds if limit is not None
    ]
    flushes = policy.type is not PolicyType.BUFFER
    return ThreadStatsAnswer(
        turns=thread.turns,
        tokens=thread.tokens,
        max_tokens=limits.tokens,
        max_messages=limits.messages,
        max_turns=limits.turns,
        utilization=max(used / limit for used, limit in bounds if limit),
        distance_to_flush=distances[0] if flushes else None,
        turns_to_flush=max(0, math.ceil(threshold * limits.count) - thread.turns)
        if flushes
        else None,
        last_flush_at=thread.last_flush_at,
        ttl_s=thread.ttl_left_s,
        resource=thread.resource,
        policy=threads.policies.name(thread.resource),
        waiting=backlog.waiting,
        set_aside=len(backlog.set_aside),
        next_try_at=None if backlog.retry_at is None else rfc3339(backlog.retry_at),
    )


@Endpoint("GET /v1/threads/{thread_id}/health", errors=READ_ERRORS, scope=readable)
async def get_health(
    services: AppServices, namespace: QueryScope, thread_id: PathId
) -> ThreadHealthAnswer:
    """Check the health of a thread.

    The checks are its limits, its token count, its time to live, and whether the turns removed from
    it were stored.
    """
    threads = services.threads
    content = await threads.store.read(namespace, thread_id)
    backlog = await threads.evicted_turns.store.backlog(namespace, thread_id)
    thread = content.thread
    limits = threads.policies.limits(threads.policies.of_resource(thread.resource))
    passed = {
        "tokens_add_up": sum(turn.tokens for turn in content.turns) + thread.summary_tokens
        == thread.tokens,
        "within_max_tokens": limits.tokens is None or thread.tokens <= limits.tokens,
        "within_max_messages": limits.messages is None or thread.turns <= limits.messages,
        "within_max_turns": thread.turns <= limits.turns,
        "expires": thread.ttl_left_s > 0,
        "nothing_set_aside": not backlog.set_aside,
    }
    failures = []
    for batch in backlog.set_aside:
        indices = ", ".join(str(turn.index) for turn in batch.turns)
        retry = "" if batch.retry_at is None else f"; tried again at {rfc3339(batch.retry_at)}"
        failures.append(f"turns {indices}: {batch.reason}{retry}")
    details = {"nothing_set_aside": "; ".join(failures) or None}
    checks = [
        ThreadCheck(name=name, ok=ok, detail=details.get(name)) for name, ok in passed.items()
    ]
    return ThreadHealthAnswer(ok=all(passed.values()), checks=checks)


@Endpoint(
    "DELETE /v1/threads/{thread_id}",
    role=Role.WRITER,
    status=204,
    errors=WRITE_ERRORS,
    scope=writable,
)
async def delete_thread(services: AppServices, namespace: QueryScope, thread_id: PathId) -> None:
    """Delete a thread and its turns."""
    await services.threads.store.delete(namespace, thread_id)

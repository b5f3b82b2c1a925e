"""Calls on threads: turns within limits, chains, contexts in a token budget, flushing, clearing and backups."""

from __future__ import annotations

import binascii
import hashlib
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from functools import partial
from typing import Self, TypeAlias

from anyio import to_thread
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId
from api.http.idempotency import idempotency_key
from api.http.problems import InvalidInput
from api.http.request import ApiRequest
from api.http.shapes.threads import (
    AgentQuery,
    BackupAnswer,
    BackupQuery,
    ClearPost,
    ContextAnswer,
    ContextPost,
    FlushAnswer,
    ListedTurn,
    PageAnswer,
    PageQuery,
    ReferenceAnswer,
    ReferencesAnswer,
    ReplacePost,
    SaidAnswer,
    ThreadAnswer,
    ThreadChainAnswer,
    ThreadCleared,
    ThreadContextMetadata,
    ThreadHealthAnswer,
    ThreadPost,
    ThreadsAnswer,
    ThreadsQuery,
    ThreadStatsAnswer,
    TurnPlace,
    TurnPost,
    TurnsAnswer,
    TurnsQuery,
    VersionAnswer,
)
from api.wiring.container import AppServices, Services
from ingest.conversations.flushing import FlushRequest
from ingest.conversations.threads import Threads
from memtypes.live.thread_policy import ThreadPolicy
from memtypes.llms.registry import MAX_BUDGET, KnownModel
from memtypes.model.errors import NotFound
from memtypes.model.scope import Scope, clean_name
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.threads import RequestKey, ThreadQuery
from retrieval.context.model_count import BuiltContext, within_model_budget
from retrieval.context.thread import ThreadContext, thread_context
from retrieval.query.request import reduced

_READ_ERRORS = (403, 404, 503)
_WRITE_ERRORS = (403, 404, 409, 429, 503)
_DEFAULT_TOKENIZER = "cl100k_base"


LiveThreads: TypeAlias = NamedDependency[Threads]


def live_threads(services: AppServices) -> Threads:
    """The service's threads, for handlers."""
    return services.threads


async def _readable(request: ApiRequest, threads: Threads, params: AgentQuery, thread_id: str) -> Scope:
    """The scope of a call that reads a thread. Raises AccessDenied if the calling agent may not read it."""
    scope = request.agent_scope(params.namespace, agent_id=params.agent_id)
    await threads.check_access(scope, thread_id, write=False)
    return scope


async def _writable(
    request: ApiRequest, threads: Threads, params: AgentQuery, thread_id: str, speaker: str | None = None
) -> Scope:
    """The scope of a call that changes a thread. Raises AccessDenied, or ReadOnly if its agent may only read it.

    speaker: agent of the turn, which counts as the calling agent if the query names none.
    """
    scope = request.agent_scope(params.namespace, agent_id=params.agent_id or request.auth.agent(speaker))
    await threads.check_access(scope, thread_id, write=True)
    return scope


@Endpoint(
    "POST /v1/threads",
    "Create a thread, or find that of a resource and key; with an agent alone, one for each of its resources",
    role=Role.WRITER,
    status=201,
    also={200: ThreadAnswer | ReferencesAnswer},
    errors=_WRITE_ERRORS,
)
async def post_thread(
    request: ApiRequest, threads: LiveThreads, data: JSONBody[ThreadPost]
) -> Response[ThreadAnswer | ReferencesAnswer]:
    """Create or find the thread, or one for each of the agent's resources: 201 if one was created, else 200."""
    scope = request.agent_scope(data.namespace, agent_id=data.agent_id)
    data = data.model_copy(update={"agent_id": scope.agent_id})
    if not threads.opens_for_agent(data):
        opened = await threads.open(scope, data)
        return Response(ThreadAnswer.opened(threads, opened), status_code=201 if opened.created else 200)
    all_opened = await threads.open_for_agent(scope, data)
    references = [
        ReferenceAnswer(resource=opened.thread.resource, mode=opened.mode, thread=ThreadAnswer.opened(threads, opened))
        for opened in all_opened
    ]
    created = any(opened.created for opened in all_opened)
    return Response(ReferencesAnswer(threads=references), status_code=201 if created else 200)


@Endpoint("GET /v1/threads", "List threads, the last used first", errors=_READ_ERRORS)
async def list_threads(request: ApiRequest, threads: LiveThreads, params: Params[ThreadsQuery]) -> ThreadsAnswer:
    """A page of the namespace's threads that match the query and that the caller may read. It does not count as use.

    `agent_id` lists the threads that this agent opened.
    """
    scope = request.agent_scope(params.namespace, agent_id=params.agent_id)
    query = ThreadQuery(**params.model_dump(exclude={"namespace"}))
    page = await threads.store.page_of_threads(scope, query)
    readable = [each for each in page.threads if threads.policies.access(scope, each.resource, each.key) is not None]
    return ThreadsAnswer(threads=[ThreadAnswer.of(threads, each) for each in readable], next_cursor=page.next_cursor)


@Endpoint("GET /v1/threads/{thread_id}", "A thread and its turns", errors=_READ_ERRORS, head=False)
async def get_thread(
    request: ApiRequest, threads: LiveThreads, params: Params[PageQuery], thread_id: PathId
) -> PageAnswer:
    """A page of the thread's turns, which counts as use of them."""
    scope = await _readable(request, threads, params, thread_id)
    content = await threads.store.page(scope, thread_id, params.offset, params.limit)
    return PageAnswer(thread=ThreadAnswer.of(threads, content.thread), turns=content.turns, total=content.thread.turns)


@Endpoint("GET /v1/threads/{thread_id}/turns", "All turns of a thread, in order", errors=_READ_ERRORS)
async def get_turns(
    request: ApiRequest, threads: LiveThreads, params: Params[TurnsQuery], thread_id: PathId
) -> TurnsAnswer:
    """A page of the thread's turns, those that became memories included if asked for. It does not count as use."""
    scope = await _readable(request, threads, params, thread_id)
    turns = await threads.turns(scope, thread_id, include_flushed=params.include_flushed)
    later = [turn for turn in map(ListedTurn.of, turns) if turn.index > params.after]
    page = later[: params.limit]
    return TurnsAnswer(turns=page, next_after=page[-1].index if len(page) < len(later) else None)


@Endpoint(
    "POST /v1/threads/{thread_id}/turns",
    "Append a turn",
    role=Role.WRITER,
    status=201,
    errors=_WRITE_ERRORS,
    headers={"Idempotency-Key": "The same key and body within 24 hours append one turn; another body is a 409."},
)
async def post_turn(
    request: ApiRequest, threads: LiveThreads, params: Params[AgentQuery], thread_id: PathId, data: JSONBody[TurnPost]
) -> SaidAnswer:
    """Append the turn; answers with its index. A call repeated with its Idempotency-Key does not append it again."""
    scope = await _writable(request, threads, params, thread_id, data.agent_id)
    turn = data.model_copy(update={"agent_id": request.auth.agent(data.agent_id) or scope.agent_id})
    key = idempotency_key(request)
    digest = hashlib.sha256(turn.model_dump_json().encode()).hexdigest()
    repeatable = None if key is None else RequestKey(key, digest)
    said = await threads.append(scope, thread_id, turn, data.expected_version, repeatable)
    return SaidAnswer.model_validate(said, from_attributes=True)


@Endpoint("PUT /v1/threads/{thread_id}/turns", "Replace all turns", role=Role.WRITER, errors=_WRITE_ERRORS)
async def put_turns(
    request: ApiRequest,
    threads: LiveThreads,
    params: Params[AgentQuery],
    thread_id: PathId,
    data: JSONBody[ReplacePost],
) -> VersionAnswer:
    """Replace all turns; answers with the thread's new version. Turns of agents that are not the key's are refused."""
    for turn in data.turns:
        request.auth.agent(turn.agent_id)
    scope = await _writable(request, threads, params, thread_id)
    version, redactions = await threads.replace(scope, thread_id, data.turns, data.expected_version)
    return VersionAnswer(version=version, redactions=redactions)


@Endpoint("GET /v1/threads/{thread_id}/chain", "The threads it continues", errors=_READ_ERRORS)
async def get_chain(
    request: ApiRequest, threads: LiveThreads, params: Params[AgentQuery], thread_id: PathId
) -> ThreadChainAnswer:
    """The threads that this one continues and the thread itself, oldest first."""
    chain = await threads.chain(await _readable(request, threads, params, thread_id), thread_id)
    answers = [ThreadAnswer.of(threads, thread) for thread in chain.threads]
    return ThreadChainAnswer(threads=answers, gap=chain.gap, cycle=False)


async def thread_part(
    threads: Threads, scope: Scope, thread_id: str, budget: int, counter: Tokenizer, *, files: bool = True
) -> ThreadContext:
    """The context of a thread in `budget` tokens. The thread's turns in it count as used."""
    policy = await threads.policy(scope, thread_id)
    tokens = budget
    while True:
        chain = await threads.tails(scope, thread_id, tokens)
        build = partial(thread_context, chain.threads, budget, counter, policy.allocation, files=files)
        built = await to_thread.run_sync(build)
        if not built.needs_more:
            break
        tokens = 4 * max(tokens, 1)  # the stored counts are those of another tokenizer
    await threads.store.use(scope, thread_id, [index for owner, index in built.turns if owner == thread_id])
    return replace(built, gap=chain.gap)


@Endpoint("POST /v1/threads/{thread_id}/context", "The thread's context in a budget", errors=_WRITE_ERRORS)
async def post_context(
    request: ApiRequest,
    services: AppServices,
    threads: LiveThreads,
    params: Params[AgentQuery],
    thread_id: PathId,
    data: JSONBody[ContextPost],
) -> ContextAnswer:
    """The context as text, and the turns and files in it; its turns count as used.

    The default budget is the share of the model's window that the policy allows, or else the share for history. If the
    model's tokenizer is an approximation, the margin that the registry gives for it is left free.
    """
    scope = await _readable(request, threads, params, thread_id)
    terms = _ContextTerms.of(services, threads, await threads.policy(scope, thread_id), data)

    async def build(margin: float) -> BuiltContext[ThreadContext]:
        budget, counter = reduced(terms.most, margin), services.tokenizers[terms.tokenizer]
        part = await thread_part(threads, scope, thread_id, budget, counter, files=data.include_files)
        return BuiltContext(part, part.text, part.tokens, terms.most if data.tokenizer is None else MAX_BUDGET)

    counted = await within_model_budget(services.counter, terms.model, terms.margin, build)
    built = counted.value
    services.metrics.note_context("thread", built.tokens, counted.degraded)
    return ContextAnswer(
        context=built.text,
        turns=[TurnPlace(thread_id=at[0], index=at[1], cut=at in built.cut or None) for at in built.turns],
        files=built.files,
        images=built.images,
        omitted=built.omitted,
        metadata=ThreadContextMetadata(
            total_tokens=math.ceil(built.tokens * (1.0 + counted.margin)),
            model_tokens=counted.model_tokens,
            budget=terms.budget,
            tokenizer=terms.tokenizer,
            allocation=dict(built.parts),
            gap=built.gap,
            degraded=list(counted.degraded),
        ),
    )


@dataclass(frozen=True, slots=True)
class _ContextTerms:
    """How a context is counted, and its size. most: the budget, but at most the share of the window by the policy."""

    model: str | None
    tokenizer: str
    margin: float
    budget: int
    most: int

    @classmethod
    def of(cls, services: Services, threads: Threads, policy: ThreadPolicy, asked: ContextPost) -> Self:
        """The terms for a request, with its model or the policy's. margin: 0 if the request names a tokenizer."""
        name = asked.model or policy.model
        model = None if name is None else services.models().find(name)
        tokenizer = asked.tokenizer or (model.tokenizer if model else _DEFAULT_TOKENIZER)
        margin = model.margin if model and asked.tokenizer is None else 0.0
        window = threads.policies.window_share(policy)
        budget = _context_budget(asked.budget, window, model)
        return cls(name, tokenizer, margin, budget, budget if window is None else min(budget, window))


def _context_budget(asked: int | None, window: int | None, model: KnownModel | None) -> int:
    """The budget of a context: `asked`, else the policy's `window`, else the history's share of the model's window.

    Raises InvalidInput if none of them is known.
    """
    share = None if model is None or model.allocation is None else model.allocation.history
    budget = asked if asked is not None else window or share
    if budget is None:
        unknown = "" if model is None else f"; the window of {model.name!r} is unknown"
        raise InvalidInput.at("budget", f"is required without a model whose window is known{unknown}")
    return budget


@Endpoint("POST /v1/threads/{thread_id}/flush", "Flush a thread", role=Role.WRITER, errors=_WRITE_ERRORS)
async def post_flush(
    request: ApiRequest,
    threads: LiveThreads,
    params: Params[AgentQuery],
    thread_id: PathId,
    data: JSONBody[FlushRequest],
) -> FlushAnswer:
    """Flush the thread; answers with how many turns left it, and the ids of the memories made of them."""
    scope = await _writable(request, threads, params, thread_id)
    flushed = await threads.flush(scope, thread_id, data)
    return FlushAnswer.model_validate(flushed, from_attributes=True)


@Endpoint("POST /v1/threads/{thread_id}/clear", "Clear a thread", role=Role.WRITER, errors=_WRITE_ERRORS)
async def post_clear(
    request: ApiRequest, threads: LiveThreads, params: Params[AgentQuery], thread_id: PathId, data: JSONBody[ClearPost]
) -> ThreadCleared:
    """Remove all turns; answers with how many there were, and the id of their backup."""
    scope = await _writable(request, threads, params, thread_id)
    cleared, backup_id = await threads.clear(scope, thread_id, backup=data.backup)
    return ThreadCleared(cleared=cleared, backup_id=backup_id and public_backup_id(scope.namespace, backup_id))


@Endpoint("GET /v1/threads/{thread_id}/stats", "A thread's load", errors=_READ_ERRORS)
async def get_stats(
    request: ApiRequest, threads: LiveThreads, params: Params[AgentQuery], thread_id: PathId
) -> ThreadStatsAnswer:
    """The thread's tokens, limits, time to live, and evicted turns that are not stored yet."""
    scope = await _readable(request, threads, params, thread_id)
    thread = await threads.store.get(scope, thread_id)
    return ThreadStatsAnswer.of(threads, thread, await threads.evicted_turns.store.backlog(scope, thread_id))


@Endpoint("GET /v1/threads/{thread_id}/health", "Checks of a thread", errors=_READ_ERRORS)
async def get_health(
    request: ApiRequest, threads: LiveThreads, params: Params[AgentQuery], thread_id: PathId
) -> ThreadHealthAnswer:
    """Whether the thread is within its limits and its evicted turns were stored."""
    scope = await _readable(request, threads, params, thread_id)
    content = await threads.store.read(scope, thread_id)
    return ThreadHealthAnswer.of(threads, content, await threads.evicted_turns.store.backlog(scope, thread_id))


@Endpoint("DELETE /v1/threads/{thread_id}", "Delete a thread", role=Role.WRITER, status=204, errors=_WRITE_ERRORS)
async def delete_thread(
    request: ApiRequest, threads: LiveThreads, params: Params[AgentQuery], thread_id: PathId
) -> None:
    """Delete the thread with its turns; the answer is empty."""
    scope = await _writable(request, threads, params, thread_id)
    await threads.store.delete(scope, thread_id)


@Endpoint("GET /v1/threads/backups/{backup_id}", "The turns of a cleared thread", errors=_READ_ERRORS)
async def get_backup(
    request: ApiRequest, threads: LiveThreads, params: Params[BackupQuery], backup_id: PathId
) -> BackupAnswer:
    """The turns that the thread had before it was cleared."""
    namespace, local_id = _backup_place(backup_id)
    if not local_id or params.namespace not in (None, namespace):
        raise _no_backup()
    scope = request.agent_scope(namespace, agent_id=params.agent_id)
    await threads.check_access(scope, local_id.rpartition(".")[0], write=False)
    turns = await threads.store.backup(scope, local_id)
    return BackupAnswer(turns=turns)


def public_backup_id(namespace: str, backup_id: str) -> str:
    """The backup id as callers see it: the stored id, a dot, and the namespace in URL-safe Base64."""
    return f"{backup_id}.{urlsafe_b64encode(namespace.encode()).decode().rstrip('=')}"


def _backup_place(public_id: str) -> tuple[str, str]:
    """Namespace and stored id from a public backup id. Raises NotFound if it is malformed."""
    backup_id, _, coded = public_id.rpartition(".")
    try:
        return clean_name(urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()), backup_id
    except (binascii.Error, ValueError) as error:
        raise _no_backup() from error


def _no_backup() -> NotFound:
    return NotFound("there is no such backup; one is kept for 24 hours")

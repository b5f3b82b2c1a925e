"""HTTP calls on threads (conversations): open, list and delete threads, append and read turns, build contexts.

They also flush threads (move turns to memories), clear them, and read backups.
"""

from __future__ import annotations

import hashlib
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode

from litestar import Response
from litestar.params import JSONBody

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId
from api.http.idempotency import idempotency_key
from api.http.problems import InvalidInput
from api.http.request import ApiRequest, AsAgent
from api.http.shapes.threads import (
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
from api.http.use_cases import thread_part
from api.wiring.container import AppServices, Services
from ingest.conversations.agent_threads import open_for_agent, opens_for_agent
from ingest.conversations.flushing import FlushRequest
from memtypes.llms.registry import MAX_BUDGET, KnownModel
from memtypes.model.errors import NotFound
from memtypes.model.scope import Scope, clean_name
from memtypes.ports.threads import RequestKey, ThreadQuery
from retrieval.context.model_count import BuiltContext, CountedContext, within_model_budget
from retrieval.context.thread import ThreadContext
from retrieval.query.request import DEFAULT_TOKENIZER, reduced

_READ_ERRORS = (403, 404, 503)
_WRITE_ERRORS = (403, 404, 409, 429, 503)


async def _readable(request: ApiRequest, services: Services, params: AsAgent, thread_id: str) -> Scope:
    """The scope (tenant, namespace, agent) of a call that reads a thread. Raises NotFound or AccessDenied."""
    scope = request.agent_scope(params.namespace, agent_id=params.agent_id)
    await services.threads.check_access(scope, thread_id, write=False)
    return scope


async def _writable(
    request: ApiRequest, services: Services, params: AsAgent, thread_id: str, speaker: str | None = None
) -> Scope:
    """The scope (tenant, namespace, agent) of a call that changes a thread. Raises NotFound, AccessDenied or ReadOnly.

    speaker: agent that the body of the call names, such as the author of a turn; used if the query names no agent.
    """
    scope = request.agent_scope(params.namespace, agent_id=params.agent_id or request.auth.agent(speaker))
    await services.threads.check_access(scope, thread_id, write=True)
    return scope


@Endpoint(
    "POST /v1/threads", role=Role.WRITER, status=201, also={200: ThreadAnswer | ReferencesAnswer}, errors=_WRITE_ERRORS
)
async def post_thread(
    request: ApiRequest, services: AppServices, data: JSONBody[ThreadPost]
) -> Response[ThreadAnswer | ReferencesAnswer]:
    """Create a thread, or find an existing thread by resource and key.

    A resource is the name of a thread policy. If the body names an agent but no resource, a thread is opened for each
    resource that the policy file lists for this agent. The status is 201 if a thread was created, else 200.
    """
    scope, threads = request.agent_scope(data.namespace, agent_id=data.agent_id), services.threads
    data = data.model_copy(update={"agent_id": scope.agent_id})
    if not opens_for_agent(threads, data):
        opened = await threads.open(scope, data)
        return Response(ThreadAnswer.opened(threads, opened), status_code=201 if opened.created else 200)
    all_opened = await open_for_agent(threads, scope, data)
    references = [
        ReferenceAnswer(resource=opened.thread.resource, mode=opened.mode, thread=ThreadAnswer.opened(threads, opened))
        for opened in all_opened
    ]
    created = any(opened.created for opened in all_opened)
    return Response(ReferencesAnswer(threads=references), status_code=201 if created else 200)


@Endpoint("GET /v1/threads", errors=_READ_ERRORS)
async def list_threads(request: ApiRequest, services: AppServices, params: Params[ThreadsQuery]) -> ThreadsAnswer:
    """List the threads that the caller may read, the last changed first."""
    scope, threads = request.agent_scope(params.namespace, agent_id=params.agent_id), services.threads
    page = await threads.store.page_of_threads(scope, ThreadQuery(**params.model_dump(exclude={"namespace"})))
    readable = [each for each in page.threads if threads.policies.access(scope, each.resource, each.key) is not None]
    return ThreadsAnswer(threads=[ThreadAnswer.of(threads, each) for each in readable], next_cursor=page.next_cursor)


@Endpoint("GET /v1/threads/{thread_id}", errors=_READ_ERRORS, head=False)
async def get_thread(
    request: ApiRequest, services: AppServices, params: Params[PageQuery], thread_id: PathId
) -> PageAnswer:
    """Read a thread and a page of its turns.

    The call marks the turns in the answer as used now. LRU policies remove the least recently used turns first.
    """
    scope = await _readable(request, services, params, thread_id)
    content = await services.threads.store.page(scope, thread_id, params.offset, params.limit)
    thread = ThreadAnswer.of(services.threads, content.thread)
    return PageAnswer(thread=thread, turns=content.turns, total=content.thread.turns)


@Endpoint("GET /v1/threads/{thread_id}/turns", errors=_READ_ERRORS)
async def get_turns(
    request: ApiRequest, services: AppServices, params: Params[TurnsQuery], thread_id: PathId
) -> TurnsAnswer:
    """List the turns of a thread, oldest first.

    The call does not count as use of the turns, which would delay their removal under an LRU policy.
    """
    scope = await _readable(request, services, params, thread_id)
    turns = await services.threads.turns(scope, thread_id, include_flushed=params.include_flushed)
    later = [turn for turn in map(ListedTurn.of, turns) if turn.index > params.after]
    page = later[: params.limit]
    return TurnsAnswer(turns=page, next_after=page[-1].index if len(page) < len(later) else None)


@Endpoint(
    "POST /v1/threads/{thread_id}/turns",
    role=Role.WRITER,
    status=201,
    errors=_WRITE_ERRORS,
    headers={"Idempotency-Key": "The same key and body within 24 hours append one turn; another body is a 409."},
)
async def post_turn(
    request: ApiRequest, services: AppServices, params: Params[AsAgent], thread_id: PathId, data: JSONBody[TurnPost]
) -> SaidAnswer:
    """Append a turn to a thread."""
    scope = await _writable(request, services, params, thread_id, data.agent_id)
    turn = data.model_copy(update={"agent_id": request.auth.agent(data.agent_id) or scope.agent_id})
    key = idempotency_key(request)
    digest = hashlib.sha256(turn.model_dump_json().encode()).hexdigest()
    repeatable = None if key is None else RequestKey(key, digest)
    said = await services.threads.append(scope, thread_id, turn, data.expected_version, repeatable)
    return SaidAnswer.model_validate(said, from_attributes=True)


@Endpoint("PUT /v1/threads/{thread_id}/turns", role=Role.WRITER, errors=_WRITE_ERRORS)
async def put_turns(
    request: ApiRequest, services: AppServices, params: Params[AsAgent], thread_id: PathId, data: JSONBody[ReplacePost]
) -> VersionAnswer:
    """Replace all turns of a thread."""
    for turn in data.turns:
        request.auth.agent(turn.agent_id)
    scope = await _writable(request, services, params, thread_id)
    version, redactions = await services.threads.replace(scope, thread_id, data.turns, data.expected_version)
    return VersionAnswer(version=version, redactions=redactions)


@Endpoint("GET /v1/threads/{thread_id}/chain", errors=_READ_ERRORS)
async def get_chain(
    request: ApiRequest, services: AppServices, params: Params[AsAgent], thread_id: PathId
) -> ThreadChainAnswer:
    """List a thread and the threads that it continues."""
    chain = await services.threads.chain(await _readable(request, services, params, thread_id), thread_id)
    answers = [ThreadAnswer.of(services.threads, thread) for thread in chain]
    return ThreadChainAnswer(threads=answers, gap=len(chain) <= len(chain[-1].ancestors), cycle=False)


@Endpoint("POST /v1/threads/{thread_id}/context", errors=_WRITE_ERRORS)
async def post_context(
    request: ApiRequest, services: AppServices, params: Params[AsAgent], thread_id: PathId, data: JSONBody[ContextPost]
) -> ContextAnswer:
    """Build the context of a thread in a token budget.

    The thread's turns in the context are marked as used, so that LRU policies keep them longer. A larger budget than
    the policy's maximum is reduced to it. If the tokenizer only approximates the model's count, the context stays
    smaller by the margin known for the model.
    """
    scope = await _readable(request, services, params, thread_id)
    policy = await services.threads.policy(scope, thread_id)
    name = data.model or policy.model
    model = None if name is None else services.models().find(name)
    tokenizer = data.tokenizer or (model.tokenizer if model else DEFAULT_TOKENIZER)
    window = services.threads.policies.window_share(policy)
    budget = _context_budget(data.budget, window, model)
    most = budget if window is None else min(budget, window)

    async def build(margin: float) -> BuiltContext[ThreadContext]:
        room, counter = reduced(most, margin), services.tokenizers[tokenizer]
        part = await thread_part(services, scope, thread_id, room, counter, files=data.include_files)
        return BuiltContext(part, part.text, part.tokens, most if data.tokenizer is None else MAX_BUDGET)

    margin = model.margin if model and data.tokenizer is None else 0.0
    counted = await within_model_budget(services.counter, name, margin, build)
    services.metrics.note_context("thread", counted.value.tokens, counted.degraded)
    return _context_answer(counted, budget, tokenizer)


def _context_answer(counted: CountedContext[ThreadContext], budget: int, tokenizer: str) -> ContextAnswer:
    built = counted.value
    return ContextAnswer(
        context=built.text,
        turns=[TurnPlace(thread_id=at[0], index=at[1], cut=at in built.cut or None) for at in built.turns],
        files=built.files,
        images=built.images,
        omitted=built.omitted,
        metadata=ThreadContextMetadata(
            total_tokens=math.ceil(built.tokens * (1.0 + counted.margin)),
            model_tokens=counted.model_tokens,
            budget=budget,
            tokenizer=tokenizer,
            allocation=dict(built.parts),
            gap=built.gap,
            degraded=list(counted.degraded),
        ),
    )


def _context_budget(asked: int | None, window: int | None, model: KnownModel | None) -> int:
    """Token budget of a context: `asked`, else `window`, else the part of the model's context window meant for history.

    window: maximum that the thread's policy sets, or None. Raises InvalidInput if none of the three values is known.
    """
    share = None if model is None or model.allocation is None else model.allocation.history
    budget = asked if asked is not None else window or share
    if budget is None:
        unknown = "" if model is None else f"; the window of {model.name!r} is unknown"
        raise InvalidInput.at("budget", f"is required without a model whose window is known{unknown}")
    return budget


@Endpoint("POST /v1/threads/{thread_id}/flush", role=Role.WRITER, errors=_WRITE_ERRORS)
async def post_flush(
    request: ApiRequest, services: AppServices, params: Params[AsAgent], thread_id: PathId, data: JSONBody[FlushRequest]
) -> FlushAnswer:
    """Flush a thread, which moves turns to memories."""
    scope = await _writable(request, services, params, thread_id)
    flushed = await services.threads.flush(scope, thread_id, data)
    return FlushAnswer.model_validate(flushed, from_attributes=True)


@Endpoint("POST /v1/threads/{thread_id}/clear", role=Role.WRITER, errors=_WRITE_ERRORS)
async def post_clear(
    request: ApiRequest, services: AppServices, params: Params[AsAgent], thread_id: PathId, data: JSONBody[ClearPost]
) -> ThreadCleared:
    """Remove all turns of a thread."""
    scope = await _writable(request, services, params, thread_id)
    cleared, backup_id = await services.threads.clear(scope, thread_id, backup=data.backup)
    coded = urlsafe_b64encode(scope.namespace.encode()).decode().rstrip("=")  # so that the id alone finds it
    return ThreadCleared(cleared=cleared, backup_id=backup_id and f"{backup_id}.{coded}")


@Endpoint("GET /v1/threads/{thread_id}/stats", errors=_READ_ERRORS)
async def get_stats(
    request: ApiRequest, services: AppServices, params: Params[AsAgent], thread_id: PathId
) -> ThreadStatsAnswer:
    """Show the size of a thread and its limits."""
    scope = await _readable(request, services, params, thread_id)
    thread = await services.threads.store.get(scope, thread_id)
    backlog = await services.threads.evicted_turns.store.backlog(scope, thread_id)
    return ThreadStatsAnswer.of(services.threads, thread, backlog)


@Endpoint("GET /v1/threads/{thread_id}/health", errors=_READ_ERRORS)
async def get_health(
    request: ApiRequest, services: AppServices, params: Params[AsAgent], thread_id: PathId
) -> ThreadHealthAnswer:
    """Check the health of a thread."""
    scope = await _readable(request, services, params, thread_id)
    content = await services.threads.store.read(scope, thread_id)
    backlog = await services.threads.evicted_turns.store.backlog(scope, thread_id)
    return ThreadHealthAnswer.of(services.threads, content, backlog)


@Endpoint("DELETE /v1/threads/{thread_id}", role=Role.WRITER, status=204, errors=_WRITE_ERRORS)
async def delete_thread(request: ApiRequest, services: AppServices, params: Params[AsAgent], thread_id: PathId) -> None:
    """Delete a thread and its turns."""
    scope = await _writable(request, services, params, thread_id)
    await services.threads.store.delete(scope, thread_id)


@Endpoint("GET /v1/threads/backups/{backup_id}", errors=_READ_ERRORS)
async def get_backup(
    request: ApiRequest, services: AppServices, params: Params[BackupQuery], backup_id: PathId
) -> BackupAnswer:
    """Read the backup of a cleared thread."""
    local_id, _, coded = backup_id.rpartition(".")
    unknown = NotFound("there is no such backup; one is kept for 24 hours")
    try:
        namespace = clean_name(urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode())
    except ValueError as error:  # malformed Base64 too
        raise unknown from error
    if not local_id or params.namespace not in (None, namespace):
        raise unknown
    scope = request.agent_scope(namespace, agent_id=params.agent_id)
    await services.threads.check_access(scope, local_id.rpartition(".")[0], write=False)
    turns = await services.threads.store.backup(scope, local_id)
    return BackupAnswer(turns=turns)

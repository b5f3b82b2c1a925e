"""HTTP calls on the turns of a thread: read, append, replace, flush and clear them, and build
contexts of them.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal, Self

from litestar import Response
from litestar.params import JSONBody
from pydantic import Field, model_validator

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId, QueryScope
from api.http.idempotency import idempotency_key
from api.http.problems import InvalidInput
from api.http.request import ApiRequest, AsAgent, MaybeNamespace, QueryFlag, QueryWhole
from api.http.routes.threads import READ_ERRORS, WRITE_ERRORS, readable, writable
from api.http.shapes.memories import Redactions
from api.http.shapes.threads import ListedTurn, TurnPlace
from api.http.use_cases import build_thread_context
from api.wiring.container import AppServices
from ingest.conversations.flushing import FlushRequest
from memtypes.live.turns import NewTurn, Turn, Version
from memtypes.llms.registry import MAX_BUDGET, Tokens
from memtypes.model.errors import NotFound
from memtypes.model.memory import Flag, StrictModel
from memtypes.model.scope import Name, clean_name
from memtypes.ports.threads import RequestKey
from retrieval.answer import Answer, OmittedIfNone
from retrieval.context.model_count import (
    BuiltContext,
    ContextSizes,
    CountedContext,
    within_model_budget,
)
from retrieval.context.thread import OmittedParts, ThreadContext
from retrieval.query.request import DEFAULT_BUDGET, DEFAULT_TOKENIZER, reduced

MAX_TURNS = 1_000


class TurnsQuery(AsAgent):
    """Which turns to list. include_flushed: also turns moved to memories. after: only turns with a
    higher index.
    """

    include_flushed: QueryFlag = False
    after: Annotated[QueryWhole, Field(ge=-1, le=2**53)] = -1
    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 100


class TurnPost(NewTurn):
    """A turn to append to a thread. expected_version: answer 409 unless the thread has this
    version.
    """

    expected_version: Version | None = None


class ReplacePost(StrictModel):
    """Turns that replace all turns of a thread. expected_version: answer 409 unless the thread has
    this version.
    """

    turns: list[NewTurn] = Field(max_length=MAX_TURNS)
    expected_version: Version | None = None


class ContextPost(StrictModel):
    """A request for a thread's context. model: the language model that reads the context.

    tokenizer: counts the tokens; by default the model's tokenizer. budget: maximum tokens; by
    default the maximum that the thread's policy sets for a context, or else the part of the model's
    context window that is meant for history.
    """

    budget: Tokens | None = None
    tokenizer: Literal["cl100k_base", "o200k_base"] | None = None
    model: Name | None = None
    include_files: Flag = True


class ClearPost(StrictModel):
    """A request to remove all turns of a thread. confirm: must be true. backup: keep a copy for 24
    hours.
    """

    confirm: Flag
    backup: Flag = False

    @model_validator(mode="after")
    def _confirmed(self) -> Self:
        if not self.confirm:
            raise ValueError("confirm must be true")
        return self


class BackupQuery(MaybeNamespace):
    """Query parameters for reading a backup. agent_id: the calling agent; it must have access to
    the thread.
    """

    agent_id: Name | None = None


class TurnsAnswer(Answer):
    """A page of a thread's turns, oldest first. next_after: `after` of the next page; null on the
    last page.
    """

    turns: list[ListedTurn]
    next_after: int | None


class SaidAnswer(Answer):
    """An appended turn, and how the thread changed.

    kept, reason: whether the turn is stored, and why not; then turn is null, and the status is 200.
    version: the thread's new version, which the next call may send as expected_version. flushed:
    number of older turns removed because the thread had reached the size at which its policy starts
    a flush. evicted: number of older turns removed to make room for this turn. redactions: number
    of secrets removed from this turn, by kind.
    """

    kept: bool
    reason: OmittedIfNone[str] = None
    turn: Turn | None
    version: int
    flushed: int
    evicted: int
    redactions: Redactions = None


class VersionAnswer(Answer):
    """The new version of a changed thread. redactions: number of secrets removed from the new
    turns, by kind. not_kept: number of turns that were left out because their role is never kept.
    """

    version: int
    redactions: Redactions = None
    not_kept: OmittedIfNone[int] = None


class ThreadContextMetadata(Answer):
    """The size of a thread's context in tokens. allocation: tokens of each part (such as short_term
    or files).

    total_tokens: what the model counts at most, or what its provider counted. model_tokens: the
    count of the model's provider; left out if no provider counts for the model. local_tokens: the
    count of `tokenizer`, where total_tokens is the provider's. unknown_model: true for a model
    whose window is unknown; then the budget is the default unless the request or the policy sets
    one. gap: whether a thread that this one continues is missing. degraded: "token_count" if the
    provider failed to count, else empty.
    """

    total_tokens: int
    model_tokens: OmittedIfNone[int] = None
    local_tokens: OmittedIfNone[int] = None
    unknown_model: OmittedIfNone[bool] = None
    budget: int
    tokenizer: str
    allocation: dict[str, int]
    gap: bool
    degraded: list[str] = Field(default_factory=list)


class FileMention(Answer):
    """The newest mention of a file or an image, by the turn `turn` of a thread. content: "whole" or
    "part" if the context shows the file's content; left out if not.
    """

    path: str
    thread_id: str
    turn: int
    content: OmittedIfNone[Literal["whole", "part"]] = None


class ContextAnswer(Answer):
    """A thread's context as text, the turns, files and images in it, and what did not fit."""

    context: str
    turns: list[TurnPlace]
    files: Sequence[FileMention]
    images: Sequence[FileMention]
    omitted: OmittedParts
    metadata: ThreadContextMetadata

    @classmethod
    def from_context(
        cls,
        counted: CountedContext[ThreadContext],
        budget: int,
        tokenizer: str,
        *,
        unknown_model: bool,
        names_tokenizer: bool,
    ) -> Self:
        """The answer for a context that was built in `budget` tokens, as `tokenizer` counts.

        names_tokenizer: whether the request names the tokenizer, which then gives the total.
        """
        context = counted.value
        sizes = counted.sizes(context.tokens)
        if names_tokenizer:
            sizes = ContextSizes(context.tokens, counted.model_tokens)
        return cls(
            context=context.text,
            turns=[
                TurnPlace(thread_id=at[0], index=at[1], cut=at in context.cut or None)
                for at in context.turns
            ],
            files=[FileMention(**asdict(mention)) for mention in context.files],
            images=[FileMention(**asdict(mention)) for mention in context.images],
            omitted=context.omitted,
            metadata=ThreadContextMetadata(
                **sizes._asdict(),
                unknown_model=unknown_model or None,
                budget=budget,
                tokenizer=tokenizer,
                allocation=dict(context.parts),
                gap=context.gap,
                degraded=list(counted.degraded),
            ),
        )


class FlushAnswer(Answer):
    """The result of a flush, which removes turns from a thread and stores them as memories.

    flushed: number of turns removed, or that a dry run would remove. tokens_before, tokens_after:
    size of the thread. summary: text that replaces the removed turns in the thread. memory_ids: ids
    of the memories that store these turns.
    """

    flushed: int
    tokens_before: int
    tokens_after: int
    summary: OmittedIfNone[str] = None
    memory_ids: list[str]


class ThreadCleared(Answer):
    """How many turns were removed from a thread. backup_id: id of their backup; left out if none
    was requested.
    """

    cleared: int
    backup_id: OmittedIfNone[str] = None


class BackupAnswer(Answer):
    """A backup: the turns that a thread had before it was cleared."""

    turns: Sequence[Turn]


@Endpoint("GET /v1/threads/{thread_id}/turns", errors=READ_ERRORS, scope=readable)
async def get_turns(
    services: AppServices, namespace: QueryScope, params: Params[TurnsQuery], thread_id: PathId
) -> TurnsAnswer:
    """List the turns of a thread, oldest first.

    The call does not count as use of the turns, which would delay their removal under an LRU
    policy.
    """
    turns = await services.threads.turns(
        namespace, thread_id, include_flushed=params.include_flushed
    )
    later = [turn for turn in map(ListedTurn.from_turn, turns) if turn.index > params.after]
    page = later[: params.limit]
    return TurnsAnswer(turns=page, next_after=page[-1].index if len(page) < len(later) else None)


@Endpoint(
    "POST /v1/threads/{thread_id}/turns",
    role=Role.WRITER,
    status=201,
    answers={200: SaidAnswer},
    errors=WRITE_ERRORS,
    headers={
        "Idempotency-Key": (
            "The same key and body within 24 hours append one turn; another body is a 409."
        )
    },
)
async def post_turn(
    request: ApiRequest,
    services: AppServices,
    params: Params[AsAgent],
    thread_id: PathId,
    data: JSONBody[TurnPost],
) -> Response[SaidAnswer]:
    """Append a turn to a thread.

    The status is 201 if the turn is stored. It is 200 if turns of its role are never kept in this
    thread; then nothing has changed.
    """
    scope = request.agent_scope(params.namespace, agent_id=params.agent_id or data.agent_id)
    await services.threads.check_access(scope, thread_id, write=True)
    turn = data.model_copy(update={"agent_id": request.auth.agent(data.agent_id) or scope.agent_id})
    key = idempotency_key(request)
    digest = hashlib.sha256(turn.model_dump_json().encode()).hexdigest()
    request_key = None if key is None else RequestKey(key, digest)
    appended = await services.threads.append(
        scope, thread_id, turn, data.expected_version, request_key
    )
    answer = SaidAnswer.model_validate(appended, from_attributes=True)
    return Response(answer, status_code=201 if appended.kept else 200)


@Endpoint("PUT /v1/threads/{thread_id}/turns", role=Role.WRITER, errors=WRITE_ERRORS)
async def put_turns(
    request: ApiRequest,
    services: AppServices,
    params: Params[AsAgent],
    thread_id: PathId,
    data: JSONBody[ReplacePost],
) -> VersionAnswer:
    """Replace all turns of a thread."""
    for turn in data.turns:
        request.auth.agent(turn.agent_id)
    scope = await writable(request, services, params, thread_id)
    version, redactions, not_kept = await services.threads.replace(
        scope, thread_id, data.turns, data.expected_version
    )
    return VersionAnswer(version=version, redactions=redactions, not_kept=not_kept or None)


@Endpoint("POST /v1/threads/{thread_id}/context", errors=WRITE_ERRORS, scope=readable)
async def post_context(
    services: AppServices, namespace: QueryScope, thread_id: PathId, data: JSONBody[ContextPost]
) -> ContextAnswer:
    """Build the context of a thread in a token budget.

    The thread's turns in the context are marked as used, so that LRU policies keep them longer. A
    larger budget than the policy's maximum is reduced to it. The default budget for a model whose
    window is unknown is 8,000 tokens. If the tokenizer only approximates the model's count, the
    context stays smaller by the margin known for the model.
    """
    policy = await services.threads.policy(namespace, thread_id)
    name = data.model or policy.model
    model = None if name is None else services.models().find(name)
    tokenizer = data.tokenizer or (model.tokenizer if model else DEFAULT_TOKENIZER)
    window = services.threads.policies.window_share(policy)
    history = model.allocation.history if model and model.allocation else None
    unknown_model = model is not None and model.window is None
    budget = data.budget if data.budget is not None else window or history
    if budget is None and unknown_model:
        budget = DEFAULT_BUDGET
    if budget is None:
        raise InvalidInput.at("budget", "is required without a model")
    limit = budget if window is None else min(budget, window)

    async def build(margin: float) -> BuiltContext[ThreadContext]:
        room = reduced(limit, margin)
        counter = services.tokenizers[tokenizer]
        context = await build_thread_context(
            services, namespace, thread_id, room, counter, files=data.include_files
        )
        return BuiltContext(
            context, context.text, context.tokens, limit if data.tokenizer is None else MAX_BUDGET
        )

    margin = model.margin if model and data.tokenizer is None else 0.0
    counted = await within_model_budget(services.counter, name, margin, build)
    services.metrics.count_context("thread", counted.value.tokens, counted.degraded)
    return ContextAnswer.from_context(
        counted,
        budget,
        tokenizer,
        unknown_model=unknown_model,
        names_tokenizer=data.tokenizer is not None,
    )


@Endpoint(
    "POST /v1/threads/{thread_id}/flush", role=Role.WRITER, errors=WRITE_ERRORS, scope=writable
)
async def post_flush(
    services: AppServices, namespace: QueryScope, thread_id: PathId, data: JSONBody[FlushRequest]
) -> FlushAnswer:
    """Flush a thread, which moves turns to memories."""
    flushed = await services.threads.flush(namespace, thread_id, data)
    return FlushAnswer.model_validate(flushed, from_attributes=True)


@Endpoint(
    "POST /v1/threads/{thread_id}/clear", role=Role.WRITER, errors=WRITE_ERRORS, scope=writable
)
async def post_clear(
    services: AppServices, namespace: QueryScope, thread_id: PathId, data: JSONBody[ClearPost]
) -> ThreadCleared:
    """Remove all turns of a thread."""
    cleared, backup_id = await services.threads.clear(namespace, thread_id, backup=data.backup)
    # So that the id alone finds it
    encoded = urlsafe_b64encode(namespace.namespace.encode()).decode().rstrip("=")
    return ThreadCleared(cleared=cleared, backup_id=backup_id and f"{backup_id}.{encoded}")


@Endpoint("GET /v1/threads/backups/{backup_id}", errors=READ_ERRORS)
async def get_backup(
    request: ApiRequest, services: AppServices, params: Params[BackupQuery], backup_id: PathId
) -> BackupAnswer:
    """Read the backup of a cleared thread."""
    local_id, _, encoded = backup_id.rpartition(".")
    unknown = NotFound("there is no such backup; one is kept for 24 hours")
    try:
        namespace = clean_name(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    except ValueError as error:  # malformed Base64 too
        raise unknown from error
    if not local_id or params.namespace not in (None, namespace):
        raise unknown
    scope = request.agent_scope(namespace, agent_id=params.agent_id)
    await services.threads.check_access(scope, local_id.rpartition(".")[0], write=False)
    return BackupAnswer(turns=await services.threads.store.backup(scope, local_id))

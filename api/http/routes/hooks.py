"""HTTP calls (hooks) for the program that runs an agent: before a prompt, after a session, and for
to-dos.
"""

from __future__ import annotations

import logging
import math
from typing import Annotated, Literal

from litestar.params import JSONBody
from pydantic import AfterValidator, ConfigDict, Field

from api.auth.keys import Role
from api.http.endpoint import Endpoint
from api.http.request import ApiRequest, InSession
from api.http.shapes.memories import OmittedIfEmpty, Redactions, StatusCounts, results_of
from api.http.use_cases import build_thread_context, mark_due_tasks, redact_query
from api.wiring.container import AppServices, Services
from ingest.conversations.sessions import NOTHING_BEFORE, SaidBefore, SessionMessage, SessionWriter
from ingest.screening.submission import ReviewMode
from ingest.working.plans import submit_plan
from ingest.working.todos import ListedStatus, Todo, complete_todo, is_whole, submit_todos
from ingest.working.working_memory import MAX_TTL_S, NewItem
from ingest.writing.outcome import WriteStatus
from memtypes.llms.registry import Tokens
from memtypes.model.errors import Unavailable
from memtypes.model.memory import Flag, Line, Reviewed, Text, Whole
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name, Scope
from memtypes.model.working import TodoStatus
from retrieval.answer import Answer, OmittedIfNone, RetrieveAnswer
from retrieval.context.thread import ThreadContext
from retrieval.query.request import (
    DEFAULT_FLOOR,
    DEFAULT_READER,
    DEFAULT_TOKENIZER,
    MAX_QUERY,
    READER_MS,
    WORKING_BUDGET,
    AnyBudget,
    Budget,
    Floor,
    OversizeChoice,
    ReaderChoice,
    ReaderMs,
    RetrieveRequest,
    shortened,
)

PROMPT_BUDGET = 1_500
"""Default token budget of a prompt's context: it should help the next answer, not fill the model's
window.
"""

THREAD_SHARE = 0.5
"""Largest share of a prompt's budget that the context of its thread may take. Memories get the
rest.
"""

_log = logging.getLogger(__name__)


def _distinct(todos: list[Todo]) -> list[Todo]:
    named = [todo.id for todo in todos if todo.id is not None]
    if len(set(named)) != len(named):
        raise ValueError("each to-do may be listed once")
    return todos


class HookBody(InSession):
    """What a program sends to a hook. Unknown members are ignored, because the next version of the
    program may send more.
    """

    model_config = ConfigDict(extra="ignore")


class SessionStop(HookBody):
    """The messages of an ended session, or of a part of the session, oldest first.

    review: `auto` stores only messages that filters and automatic reviewers accept; `skip` stores
    all messages, which suits imports. before: the number of messages that the session sent in
    earlier calls, and the last of them as context. ended: whether the session has ended, which
    ends its working items; false if the session goes on.
    """

    messages: list[SessionMessage] = Field(max_length=10_000)
    review: Literal["auto", "skip"] = "auto"
    before: SaidBefore = NOTHING_BEFORE
    ended: Flag = True


class PromptSubmit(HookBody):
    """A prompt that is about to be sent to a model.

    budget: maximum tokens of the context for the prompt, its thread included. todos: to-dos of the
    agent's list, with their status; to-dos left out stay as they are, but a list without ids is the
    whole list. todo_id: the to-do that the agent works on; by default the to-do in progress among
    `todos`. thread_id: a thread whose own
    context takes up to half of the budget.
    """

    prompt: Text
    todo_id: Name | None = None
    todos: Annotated[list[Todo], Field(max_length=200), AfterValidator(_distinct)] = Field(
        default_factory=list
    )
    agent_id: Name | None = None
    thread_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    profile: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    budget: AnyBudget = PROMPT_BUDGET
    working_budget: Tokens = WORKING_BUDGET
    oversize: OversizeChoice = None
    floor: Floor = DEFAULT_FLOOR
    reader: ReaderChoice = DEFAULT_READER
    reader_ms: ReaderMs = READER_MS

    def request(self, thread_tokens: int) -> RetrieveRequest:
        """The request that retrieves memories for the prompt. thread_tokens: tokens that its thread
        uses.
        """
        budget = self.budget if isinstance(self.budget, Budget) else Budget(total=self.budget)
        active = next(
            (todo.key for todo in self.todos if todo.status is ListedStatus.IN_PROGRESS), None
        )
        return RetrieveRequest(
            query=shortened(self.prompt, MAX_QUERY),
            namespace=self.namespace,
            session_id=self.session_id,
            agent_id=self.agent_id,
            todo_id=self.todo_id or active,
            profile=self.profile,
            budget=budget.model_copy(update={"total": max(0, budget.total - thread_tokens)}),
            working_budget=self.working_budget,
            oversize=self.oversize,
            floor=self.floor,
            reader=self.reader,
            reader_ms=self.reader_ms,
            include_due=True,
        )


class TodoCreated(HookBody):
    """A to-do that was created or changed in a session. Its content becomes an item of working
    memory.

    status: shown with it; `in_progress` says that the agent works on it. ttl_s: seconds that the
    item lives without use; by default until the to-do or its session ends.
    """

    todo_id: Name
    content: Text
    status: TodoStatus = TodoStatus.PENDING
    agent_id: Name | None = None
    ttl_s: Annotated[Whole, Field(ge=1, le=MAX_TTL_S)] | None = None


class TodoCompleted(HookBody):
    """A to-do that was completed in a session. steps: the steps that were taken for it, in
    order.
    """

    todo_id: Name
    agent_id: Name | None = None
    steps: list[Line] = Field(default_factory=list, max_length=200)


class MessageResult(Answer):
    """The outcome of storing one message of a session.

    index: position of the message in the request, from 0. ids, types: ids and types of the memories
    that store it. ended, moved: ids of the tasks that it ended or moved, whether or not it is
    stored. retracted: ids of the facts that it says were wrong. reason: why it was rejected, merged
    or changed, or why storing it failed. review: the reviewers' decision, with its tier, the mean
    scores and each vote; the tier is `prefilter` if the message was trivial. redactions: secrets
    removed, by kind.
    """

    index: int
    status: WriteStatus
    ids: OmittedIfEmpty[list[str]] = None
    types: OmittedIfEmpty[list[MemoryType]] = None
    ended: OmittedIfEmpty[list[str]] = None
    moved: OmittedIfEmpty[list[str]] = None
    retracted: OmittedIfEmpty[list[str]] = None
    reason: OmittedIfNone[str] = None
    review: OmittedIfNone[Reviewed] = Field(default=None, validation_alias="reviewed")
    redactions: Redactions = None


class SessionStopAnswer(Answer):
    """The outcome of each message of a session, in order, and the number of outcomes with each
    status.
    """

    results: list[MessageResult]
    counts: StatusCounts


class TodoCreatedAnswer(Answer):
    """The id of the working memory item for a to-do. redactions: number of secrets removed from it,
    by kind.
    """

    working_id: str
    redactions: Redactions = None


class TodoCompletedAnswer(Answer):
    """What was done for a completed to-do.

    cleared: number of its working memory items that were cleared. procedural_id: id of the memory
    that stores its steps if there were more than 5, else null. redactions: number of secrets
    removed from the steps, by kind.
    """

    cleared: int
    procedural_id: str | None
    redactions: Redactions = None


@Endpoint(
    "POST /v1/hooks/session-stop", role=Role.WRITER, errors=(409, 503), max_bytes=32 * 1024 * 1024
)
async def session_stop(
    request: ApiRequest, services: AppServices, data: JSONBody[SessionStop]
) -> SessionStopAnswer:
    """Store the messages of a session as memories, each with the memory type that fits its text.

    Text that repeats recalled memories is cut from a message first, and the `reason` of the
    message's result says so. A repeated call stores only messages that are not stored yet. The
    working items of an ended session end.
    """
    scope = request.scope_in(data.namespace, data.session_id)
    if data.ended:
        await services.working.end_session(scope)
    writer = SessionWriter(services.ingestor, services.recall_guard)
    outcomes = await writer.write(scope, data.messages, ReviewMode(data.review), data.before)
    return SessionStopAnswer(**results_of(outcomes))


@Endpoint("POST /v1/hooks/prompt-submit", role=Role.WRITER, errors=(404, 503))
async def prompt_submit(
    request: ApiRequest, services: AppServices, data: JSONBody[PromptSubmit]
) -> RetrieveAnswer:
    """Build the context for a prompt that is about to be sent.

    Due tasks in the context are marked as fired, so that they are not due again. `todos`, the
    agent's own list, is stored first: new to-dos are created, to-dos that are over are closed, and
    to-dos with a changed text are replaced. Without it, a plan in the text of the prompt becomes
    to-dos ("Plan: 1. read it 2. port it"). The context of a thread follows the memories; the
    receipt records only the memories. If the live store is unavailable, the context has neither
    working memory nor thread, and `degraded` in the answer's metadata says so.
    """
    scope = request.agent_scope(data.namespace, data.session_id, data.agent_id)
    try:
        if data.todos:
            whole = is_whole(data.todos)
            await submit_todos(services.working, scope, data.todos, whole=whole)
        else:
            await submit_plan(services.working, scope, data.prompt)
    except Unavailable as error:
        _log.warning(
            "the to-dos of a prompt were not stored; those of the next prompt will be: %s", error
        )
    thread, degraded = await _thread_part(services, scope, data)
    query = await redact_query(services, scope.tenant, data.request(thread.tokens if thread else 0))
    answer = await services.retriever.retrieve(scope, query)
    await mark_due_tasks(services, scope, query, answer)
    answer = (
        answer if thread is None else answer.with_thread(thread.text, thread.tokens)
    ).degraded_by(*degraded)
    services.metrics.count_context("prompt", answer.metadata.total_tokens, answer.metadata.degraded)
    return answer


async def _thread_part(
    services: Services, scope: Scope, data: PromptSubmit
) -> tuple[ThreadContext | None, tuple[str, ...]]:
    """The context of the prompt's thread, and the names of parts that did not answer: ("threads",)
    or ().

    The context is None if the prompt names no thread, or if threads cannot be read. Raises NotFound
    for an unknown thread, and AccessDenied if the agent may not read the thread.
    """
    if data.thread_id is None:
        return None, ()
    threads = services.threads
    counter = services.tokenizers[DEFAULT_TOKENIZER]
    try:
        await threads.check_access(scope, data.thread_id, write=False)
        total = data.budget.total if isinstance(data.budget, Budget) else data.budget
        window = threads.policies.window_share(await threads.policy(scope, data.thread_id))
        share = math.floor(total * THREAD_SHARE)
        share = share if window is None else min(share, window)
        return await build_thread_context(services, scope, data.thread_id, share, counter), ()
    except Unavailable as error:
        _log.warning("a prompt's context has no thread: %s", error)
        return None, ("threads",)


@Endpoint("POST /v1/hooks/todo-created", role=Role.WRITER, errors=(429, 503))
async def todo_created(
    request: ApiRequest, services: AppServices, data: JSONBody[TodoCreated]
) -> TodoCreatedAnswer:
    """Create an item of working memory for a to-do that is new, or has another text or status.

    The item replaces an item that this session already has for the to-do. It is cleared when the
    to-do is completed.
    """
    scope = request.agent_scope(data.namespace, data.session_id, data.agent_id)
    new = NewItem(
        content=data.content, todo_id=data.todo_id, todo_status=data.status, ttl_s=data.ttl_s
    )
    (created,) = await services.working.put_todos(scope, [new])
    return TodoCreatedAnswer(working_id=created.value.id, redactions=created.counts)


@Endpoint("POST /v1/hooks/todo-completed", role=Role.WRITER, errors=(429, 503))
async def todo_completed(
    request: ApiRequest, services: AppServices, data: JSONBody[TodoCompleted]
) -> TodoCompletedAnswer:
    """Clear the items of working memory for a completed to-do."""
    scope = request.agent_scope(data.namespace, data.session_id, data.agent_id)
    cleared, outcome = await complete_todo(services.working, scope, data.todo_id, data.steps)
    if outcome is None:
        return TodoCompletedAnswer(cleared=cleared, procedural_id=None)
    return TodoCompletedAnswer(
        cleared=cleared, procedural_id=outcome.id, redactions=outcome.redactions
    )

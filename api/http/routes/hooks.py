"""Hooks that an agent's host calls: before a prompt is sent, after a session, and when a to-do is created or done."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from litestar.params import JSONBody
from pydantic import AfterValidator, Field

from api.auth.keys import Role
from api.http.endpoint import Endpoint
from api.http.request import ApiRequest, InSession
from api.http.shapes.memories import OmittedIfEmpty, Redactions, StatusCounts, members_of
from api.http.use_cases import deliver_due, redact_query, thread_part
from api.wiring.container import AppServices, Services
from ingest.conversations.sessions import NOTHING_BEFORE, MessageOutcome, SaidBefore, SessionMessage, SessionWriter
from ingest.screening.submission import ReviewMode
from ingest.working.todos import Todo, active_todo, complete_todo, submit_todos
from ingest.working.working_memory import MAX_TTL_S, NewItem
from ingest.writing.outcome import WriteStatus
from memtypes.llms.registry import Tokens
from memtypes.model.errors import Unavailable
from memtypes.model.memory import Flag, Line, Text, Whole
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name, Scope
from retrieval.answer import Answer, OmittedIfNone, RetrieveAnswer
from retrieval.context.thread import ThreadContext
from retrieval.query.request import (
    DEFAULT_FLOOR,
    DEFAULT_TOKENIZER,
    MAX_QUERY,
    WORKING_BUDGET,
    AnyBudget,
    Budget,
    Floor,
    OversizeChoice,
    RetrieveRequest,
    both_ends,
)

MAX_MESSAGES = 10_000
SESSION_BYTES = 32 * 1024 * 1024
MAX_STEPS = 200
MAX_TODOS = 200

PROMPT_BUDGET = 1_500
"""Default tokens of the context for a prompt: a help for the next answer, not the whole window."""

THREAD_SHARE = 0.5
"""Largest share of the budget that a thread's own context may take; memories get what it leaves."""

_log = logging.getLogger(__name__)


def _distinct(todos: list[Todo]) -> list[Todo]:
    if len({todo.id for todo in todos}) != len(todos):
        raise ValueError("each to-do may be listed once")
    return todos


class SessionStop(InSession):
    """The messages of a session that has ended, oldest first. review: skip keeps every message, as for imports.

    A session may be sent in parts: each has what was said earlier in `before`, and whether it was the last in `ended`.
    """

    messages: list[SessionMessage] = Field(max_length=MAX_MESSAGES)
    review: Literal["auto", "skip"] = "auto"
    before: SaidBefore = Field(
        default=NOTHING_BEFORE,
        description="What the session said before these messages: their number, and the last of them as context.",
    )
    ended: Flag = Field(default=True, description="Whether the session has ended, which pauses its to-dos.")


class PromptSubmit(InSession):
    """A prompt that is about to be sent. budget: tokens of the context for it, the thread's part included.

    todos: the list of to-dos as the agent keeps it. todo_id: the current to-do; by default the one in progress.
    """

    prompt: Text
    todo_id: Name | None = None
    todos: Annotated[list[Todo], Field(max_length=MAX_TODOS), AfterValidator(_distinct)] = Field(default_factory=list)
    agent_id: Name | None = None
    thread_id: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="A thread whose own context takes up to half of the budget."
    )
    profile: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    budget: AnyBudget = PROMPT_BUDGET
    working_budget: Tokens = WORKING_BUDGET
    oversize: OversizeChoice = None
    floor: Floor = DEFAULT_FLOOR

    def request(self, thread_tokens: int) -> RetrieveRequest:
        """The request that retrieves the context for the prompt. thread_tokens: tokens that the thread has used."""
        budget = self.budget if isinstance(self.budget, Budget) else Budget(total=self.budget)
        return RetrieveRequest(
            query=both_ends(self.prompt, MAX_QUERY),
            namespace=self.namespace,
            session_id=self.session_id,
            agent_id=self.agent_id,
            todo_id=self.todo_id or active_todo(self.todos),
            profile=self.profile,
            budget=budget.model_copy(update={"total": max(0, budget.total - thread_tokens)}),
            working_budget=self.working_budget,
            oversize=self.oversize,
            floor=self.floor,
            include_due=True,
        )


class TodoCreated(InSession):
    """A to-do that was created in a session; its content becomes a working item."""

    todo_id: Name
    content: Text
    agent_id: Name | None = None
    ttl_s: Whole | None = Field(
        default=None,
        ge=1,
        le=MAX_TTL_S,
        description="Seconds that its item lives without use; by default until the to-do or its session ends.",
    )


class TodoCompleted(InSession):
    """A to-do that is done. steps: what was done for it, in order."""

    todo_id: Name
    agent_id: Name | None = None
    steps: list[Line] = Field(default_factory=list, max_length=MAX_STEPS)


class MessageResult(Answer):
    """The outcome of storing one message of a session.

    index: the message's index. ids, types: those of the memories that store it. reason: why it was rejected, merged or
    changed, or failed. redactions: secrets removed, by kind.
    """

    index: int
    status: WriteStatus
    ids: OmittedIfEmpty[list[str]] = None
    types: OmittedIfEmpty[list[MemoryType]] = None
    reason: OmittedIfNone[str] = None
    redactions: Redactions = None


class SessionStopAnswer(Answer):
    """A result for each message, in order, and how many ended with each status."""

    results: list[MessageResult]
    counts: StatusCounts

    @classmethod
    def of(cls, outcomes: Sequence[MessageOutcome]) -> Self:
        """The answer for these outcomes."""
        results = [MessageResult(index=index, **members_of(outcome)) for index, outcome in enumerate(outcomes)]
        return cls(results=results, counts=StatusCounts.of(outcomes))


class TodoCreatedAnswer(Answer):
    """The id of the new working item. redactions: secrets removed from its content, by kind."""

    working_id: str
    redactions: Redactions = None


class TodoCompletedAnswer(Answer):
    """How many working items were cleared, and the procedure stored for a to-do of more than 5 steps.

    redactions: secrets removed from the steps, by kind.
    """

    cleared: int
    procedural_id: str | None
    redactions: Redactions = None


@Endpoint("POST /v1/hooks/session-stop", role=Role.WRITER, errors=(409, 503), max_bytes=SESSION_BYTES)
async def session_stop(request: ApiRequest, services: AppServices, data: JSONBody[SessionStop]) -> SessionStopAnswer:
    """A session has ended: store what is worth keeping of its messages.

    A repeated call stores what is missing. Messages are filtered and reviewed like explicit writes with
    `review: auto`, and get the type that fits their text. Text that the service itself recalled is cut from a message
    first, and the result says so.
    """
    scope = request.scope_in(data.namespace, data.session_id)
    if data.ended:
        await services.working.stop_session(scope)
    writer = SessionWriter(services.ingestor, services.recall_guard)
    return SessionStopAnswer.of(await writer.write(scope, data.messages, ReviewMode(data.review), data.before))


@Endpoint("POST /v1/hooks/prompt-submit", role=Role.WRITER, errors=(404, 503))
async def prompt_submit(request: ApiRequest, services: AppServices, data: JSONBody[PromptSubmit]) -> RetrieveAnswer:
    """A prompt is sent: the context for it; due intentions in the context are marked as fired.

    The list of to-dos is stored first: new ones are created, completed ones completed, and those with another text
    replaced; one that is missing from the list stays. With a thread_id the thread's own context follows the memories,
    in at most half of the budget; the receipt covers the memories alone. Without the live store the context has neither
    working memory nor thread, and the answer says so.
    """
    scope = request.agent_scope(data.namespace, data.session_id, data.agent_id)
    await _submit_todos(services, scope, data.todos)
    thread, degraded = await _thread_part(services, scope, data)
    query = await redact_query(services, scope.tenant, data.request(thread.tokens if thread else 0))
    answer = await services.retriever.retrieve(scope, query)
    await deliver_due(services, scope, query, answer)
    whole = (answer if thread is None else answer.with_thread(thread.text, thread.tokens)).degraded_by(*degraded)
    services.metrics.note_context("prompt", whole.metadata.total_tokens, whole.metadata.degraded)
    return whole


async def _submit_todos(services: Services, scope: Scope, todos: Sequence[Todo]) -> None:
    """Store the agent's list of to-dos. If the live store does not respond, leave that to the next prompt."""
    try:
        await submit_todos(services.working, scope, todos)
    except Unavailable as error:
        _log.warning("the list of to-dos is taken over with the next prompt: %s", error)


async def _thread_part(
    services: Services, scope: Scope, data: PromptSubmit
) -> tuple[ThreadContext | None, tuple[str, ...]]:
    """The context of the prompt's thread, and the names of parts that did not answer. Raises NotFound."""
    if data.thread_id is None:
        return None, ()
    threads, counter = services.threads, services.tokenizers[DEFAULT_TOKENIZER]
    try:
        await threads.check_access(scope, data.thread_id, write=False)
        total = data.budget.total if isinstance(data.budget, Budget) else data.budget
        window = threads.policies.window_share(await threads.policy(scope, data.thread_id))
        share = math.floor(total * THREAD_SHARE) if window is None else min(math.floor(total * THREAD_SHARE), window)
        part = await thread_part(services, scope, data.thread_id, share, counter)
    except Unavailable as error:
        _log.warning("a prompt's context has no thread: %s", error)
        return None, ("threads",)
    return part, ()


@Endpoint("POST /v1/hooks/todo-created", role=Role.WRITER, errors=(429, 503))
async def todo_created(request: ApiRequest, services: AppServices, data: JSONBody[TodoCreated]) -> TodoCreatedAnswer:
    """A to-do was created.

    Its working item replaces an earlier one in this session, and is cleared when the to-do is completed.
    """
    scope = request.agent_scope(data.namespace, data.session_id, data.agent_id)
    new = NewItem(content=data.content, todo_id=data.todo_id, ttl_s=data.ttl_s)
    (created,) = await services.working.put_todos(scope, [new])
    return TodoCreatedAnswer(working_id=created.value.id, redactions=created.counts)


@Endpoint("POST /v1/hooks/todo-completed", role=Role.WRITER, errors=(429, 503))
async def todo_completed(
    request: ApiRequest, services: AppServices, data: JSONBody[TodoCompleted]
) -> TodoCompletedAnswer:
    """A to-do was completed.

    Its working items, live and stored, are cleared. Its steps are stored as a procedure if there are more than 5.
    """
    scope = request.agent_scope(data.namespace, data.session_id, data.agent_id)
    completed = await complete_todo(services.working, scope, data.todo_id, data.steps)
    return TodoCompletedAnswer.model_validate(completed, from_attributes=True)

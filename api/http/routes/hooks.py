"""Hooks that an agent's host calls: before a prompt is sent, after a session, and when a to-do begins or is done."""

from __future__ import annotations

from collections.abc import Sequence

from litestar.params import JSONBody
from pydantic import Field

from api.auth.keys import Role
from api.http.endpoint import Endpoint
from api.http.request import ApiRequest
from api.http.routes.memory_shapes import MAX_BATCH, BatchAnswer, BatchItem, Redactions
from api.http.routes.retrieval import redact_query
from api.http.routes.working import InSession, working_memory
from api.wiring.container import AppServices
from ingest.conversations.sessions import SessionMessage, session_drafts
from ingest.screening.recall_guard import ALL_RECALLED, PART_RECALLED
from ingest.screening.submission import Submission
from ingest.working.intentions import DueRequest
from ingest.working.working_memory import NewItem
from ingest.writing.outcome import WriteStatus
from memtypes.model.memory import Line, Text
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name
from memtypes.model.types import AnyDraft
from memtypes.offload import offload
from retrieval.answer import Answer, RetrieveAnswer
from retrieval.query.request import DEFAULT_BUDGET, AnyBudget, Query, RetrieveRequest

MAX_STEPS = 200


class SessionStop(InSession):
    """The messages of a session that has ended, oldest first."""

    messages: list[SessionMessage] = Field(max_length=MAX_BATCH)


class PromptSubmit(InSession):
    """A prompt that is about to be sent. budget: tokens of the context for it."""

    prompt: Query
    todo_id: Name | None = None
    budget: AnyBudget = DEFAULT_BUDGET

    def request(self) -> RetrieveRequest:
        """The request that retrieves the context for the prompt."""
        return RetrieveRequest(
            query=self.prompt,
            namespace=self.namespace,
            session_id=self.session_id,
            todo_id=self.todo_id,
            budget=self.budget,
        )


class TodoCreated(InSession):
    """A to-do that begins."""

    todo_id: Name
    content: Text
    agent_id: Name | None = None


class TodoCompleted(InSession):
    """A to-do that is done. steps: what was done for it, in order."""

    todo_id: Name
    agent_id: Name | None = None
    steps: list[Line] = Field(default_factory=list, max_length=MAX_STEPS)


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


@Endpoint("POST /v1/hooks/session-stop", "A session has ended: store its messages", role=Role.WRITER, errors=(409, 503))
async def session_stop(request: ApiRequest, services: AppServices, data: JSONBody[SessionStop]) -> BatchAnswer:
    """A result for each message, followed by one for each intention that the message states.

    The index of a result is that of its message. Sending the same messages again adds nothing. Text that the service
    itself recalled is cut from a message, with a reason; a message that is only such text is rejected.
    """
    scope = request.scope_in(data.namespace, data.session_id)
    contents = [message.content for message in data.messages]
    rests = await services.recall_guard.without_recalled(scope, contents)
    messages = [sent.model_copy(update={"content": rest}) for sent, rest in zip(data.messages, rests, strict=True)]
    drafts = await offload(rests, lambda: session_drafts(data.session_id, messages))
    outcomes = await services.ingestor.write(scope, [_submission(draft) for _, draft in drafts])
    results = [BatchItem.of(index, outcome) for (index, _), outcome in zip(drafts, outcomes, strict=True)]
    return BatchAnswer.counted(_with_recalled(results, contents, rests))


@Endpoint(
    "POST /v1/hooks/prompt-submit",
    "A prompt is sent: the context for it; due intentions in the context are marked as fired",
    role=Role.WRITER,
    errors=(503,),
)
async def prompt_submit(request: ApiRequest, services: AppServices, data: JSONBody[PromptSubmit]) -> RetrieveAnswer:
    """The context for the prompt. Intentions in it that are due now, or wait for such a prompt, are marked as fired."""
    scope = request.scope_in(data.namespace, data.session_id)
    query = await redact_query(services, scope.tenant, data.request())
    answer = await services.retriever.retrieve(scope, query)
    shown = {item.id for item in answer.items if item.type is MemoryType.PROSPECTIVE}
    if shown:
        question = DueRequest(services.clock(), context=query.query, session_id=data.session_id)
        due = await services.intentions.due(scope, question)
        await services.intentions.mark(scope, [memory.id for memory in due if memory.id in shown])
    return answer


@Endpoint("POST /v1/hooks/todo-created", "A to-do was created", role=Role.WRITER, errors=(429, 503))
async def todo_created(request: ApiRequest, services: AppServices, data: JSONBody[TodoCreated]) -> TodoCreatedAnswer:
    """The id of a new working item for the to-do, which is cleared when the to-do is completed."""
    scope = request.scope_in(data.namespace, data.session_id, data.agent_id)
    created = await working_memory(services).create(scope, NewItem(content=data.content, todo_id=data.todo_id))
    return TodoCreatedAnswer(working_id=created.value.id, redactions=created.counts)


@Endpoint("POST /v1/hooks/todo-completed", "A to-do was completed", role=Role.WRITER, errors=(429, 503))
async def todo_completed(
    request: ApiRequest, services: AppServices, data: JSONBody[TodoCompleted]
) -> TodoCompletedAnswer:
    """How many of the to-do's working items were cleared, and the id of the procedure made of its steps."""
    scope = request.scope_in(data.namespace, data.session_id, data.agent_id)
    completed = await working_memory(services).complete(scope, data.todo_id, data.steps)
    return TodoCompletedAnswer.model_validate(completed, from_attributes=True)


def _with_recalled(results: list[BatchItem], contents: Sequence[str], rests: Sequence[str]) -> list[BatchItem]:
    """`results` by message, with rejections and reasons for messages (`contents`) of which only `rests` was written."""
    by_message: dict[int, list[BatchItem]] = {index: [] for index in range(len(contents))}
    for result in results:
        by_message[result.index].append(result)
    for index, (content, rest) in enumerate(zip(contents, rests, strict=True)):
        if not rest:
            by_message[index] = [BatchItem(index=index, id=None, status=WriteStatus.REJECTED, reason=ALL_RECALLED)]
        elif rest != content and by_message[index]:
            event = by_message[index][0]
            reason = "; ".join(filter(None, (event.reason, PART_RECALLED)))
            by_message[index][0] = event.model_copy(update={"reason": reason})
    return [result for of_message in by_message.values() for result in of_message]


def _submission(draft: AnyDraft) -> Submission:
    """The draft to write. Events are marked as captured, which the pre-filter may drop; stated intentions are not."""
    return Submission(draft, captured=draft.type is MemoryType.EPISODIC)

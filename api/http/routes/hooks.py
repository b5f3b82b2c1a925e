"""What an agent's host calls when a prompt is sent and when a session ends."""

from __future__ import annotations

from typing import Any

from litestar import Response, post
from litestar.di import NamedDependency
from pydantic import Field, TypeAdapter

from api.auth.keys import Role
from api.http.answers import BatchAnswer, batch_answer
from api.http.bodies import MAX_BATCH
from api.http.endpoint import Call, HttpRequest, answer, read_body, scope_of
from api.http.queries import without_secrets
from api.wiring.container import Services
from ingest.conversations.sessions import Message, Said, drafts_of
from ingest.screening.context_echo import ALL_RECALLED, PART_RECALLED
from ingest.working.intentions import DueQuestion
from ingest.writing.drafts import Submission
from ingest.writing.outcome import WriteStatus
from memtypes.model.memory import Label, Model, Text
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name
from memtypes.model.times import Instant
from memtypes.offload import offload
from retrieval.answer import RetrieveAnswer
from retrieval.query.request import DEFAULT_BUDGET, AnyBudget, Query, RetrieveRequest

TAG = "Hooks"


class MessageIn(Model):
    """One message of a conversation."""

    role: Label
    content: Text
    timestamp: Instant | None = None

    def plain(self, content: str) -> Message:
        """The message as ingestion takes it, with what is left of its content."""
        return Message(self.role, content, self.timestamp)


class SessionStop(Model):
    """A conversation that has ended, oldest message first."""

    namespace: Name
    session_id: Name
    messages: list[MessageIn] = Field(max_length=MAX_BATCH)


class PromptSubmit(Model):
    """A prompt that is about to be sent."""

    namespace: Name
    session_id: Name
    prompt: Query
    todo_id: Name | None = None
    budget: AnyBudget = DEFAULT_BUDGET

    def request(self) -> RetrieveRequest:
        """The retrieval that it asks for."""
        return RetrieveRequest(
            query=self.prompt,
            namespace=self.namespace,
            session_id=self.session_id,
            todo_id=self.todo_id,
            budget=self.budget,
        )


STOP: TypeAdapter[SessionStop] = TypeAdapter(SessionStop)
PROMPT: TypeAdapter[PromptSubmit] = TypeAdapter(PromptSubmit)

_STOP = Call(
    "A session ended: keep what was said in it",
    TAG,
    {200: BatchAnswer},
    role=Role.WRITER,
    body=STOP,
    may_fail=(409, 503),
)
_PROMPT = Call(
    "A prompt is sent: the context for it; intentions that are due and shown have fired",
    TAG,
    {200: RetrieveAnswer},
    role=Role.WRITER,
    body=PROMPT,
    may_fail=(503,),
)


@post("/v1/hooks/session-stop", opt=_STOP.opt(), status_code=200)
async def session_stop(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """What became of each message; an intention that a message states has a result of its own, after the message's.

    A result's index is that of its message. The same conversation sent again adds nothing. Text that the service
    recalled is left out of a message, and the reason says so; a message of nothing else is rejected.
    """
    ended = await read_body(request, STOP)
    scope = scope_of(request, ended.namespace, ended.session_id)
    contents = [message.content for message in ended.messages]
    rests = await services.recall_guard.rests(scope, contents)
    left = [one.plain(rest) for one, rest in zip(ended.messages, rests, strict=True)]
    said = await offload(rests, lambda: drafts_of(ended.session_id, left))
    outcomes = await services.ingestor.write(scope, [_captured(one) for one in said])
    told = batch_answer(outcomes)
    for one, result in zip(said, told["results"], strict=True):
        result["index"] = one.index
    return answer(_with_recalled(told, contents, rests))


@post("/v1/hooks/prompt-submit", opt=_PROMPT.opt(), status_code=200)
async def prompt_submit(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """The context for the prompt. What is due now, or waits for such a prompt, and is in the context, fires."""
    sent = await read_body(request, PROMPT)
    scope = scope_of(request, sent.namespace, sent.session_id)
    asked = await without_secrets(services, scope.tenant, sent.request())
    made = await services.retriever.retrieve(scope, asked)
    shown = {one.id for one in made.items if one.type is MemoryType.PROSPECTIVE}
    if shown:
        question = DueQuestion(services.clock(), context=asked.query, session_id=sent.session_id)
        due = await services.intentions.due(scope, question)
        await services.intentions.mark(scope, [one.id for one in due if one.id in shown])
    return answer(made)


def _with_recalled(told: dict[str, Any], contents: list[str], rests: list[str]) -> dict[str, Any]:
    """`told`, which says of each message whose text was recalled that it was left out; results by message."""
    results = {index: [one for one in told["results"] if one["index"] == index] for index in range(len(contents))}
    for index, (content, rest) in enumerate(zip(contents, rests, strict=True)):
        if not rest:
            results[index] = [{"index": index, "id": None, "status": WriteStatus.REJECTED, "reason": ALL_RECALLED}]
            told["counts"][WriteStatus.REJECTED] += 1
        elif rest != content and results[index]:
            event = results[index][0]
            event["reason"] = "; ".join(filter(None, (event.get("reason"), PART_RECALLED)))
    told["results"] = [one for index in range(len(contents)) for one in results[index]]
    return told


def _captured(said: Said) -> Submission:
    """An event was not chosen by anyone, so the pre-filter may drop it; an intention was asked for."""
    return Submission(said.draft, captured=said.draft.type is MemoryType.EPISODIC)

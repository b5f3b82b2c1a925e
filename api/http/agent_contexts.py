"""Builds an agent's whole context: working memory, due tasks, long-term memory and its threads, in
one token budget.

The budget has the shares of an `Allocation`, which divides a model's context window. Working memory
gets the share `system`, long-term memory and due tasks get `memory`, threads get `history` and
`files`. Tokens that one part does not need go to the others.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from pydantic import Field

from api.http.shapes.threads import TurnPlace
from api.http.use_cases import build_thread_context, redact_query
from api.wiring.container import Services
from ingest.conversations.agent_threads import AgentThread, threads_of_agent
from ingest.working.intentions import DueRequest
from memtypes.live.thread_policy import AccessMode
from memtypes.live.workflows import JsonObject
from memtypes.llms.registry import Allocation, Tokens
from memtypes.markdown import bullet
from memtypes.model.errors import NotFound, Unavailable
from memtypes.model.memory import StrictModel
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name, Scope
from memtypes.model.times import Instant
from memtypes.ports.encoders import Tokenizer
from retrieval.answer import Answer, ContextItem, OmittedIfNone, RetrieveAnswer
from retrieval.context.model_count import BuiltContext, WindowBudget, within_model_budget
from retrieval.context.thread import OmittedParts
from retrieval.query.request import DEFAULT_FLOOR, Floor, Query, RetrieveRequest
from retrieval.result import Retrieval

MAX_QUERY_CHARACTERS = 2_000
"""How many characters of the newest turn are the query if the request has none."""

_NO_QUERY = "what is due"
"""Query if the request has none and the agent's threads have no turns. Then only due tasks pass the
floor.
"""

_Read = TypeVar("_Read")

_log = logging.getLogger(__name__)


class AgentContextPost(StrictModel):
    """A request for an agent's context. query: by default the beginning of the newest turn of the
    agent's threads.

    variables: values for placeholders in the keys of these threads, such as {"project": "x"}.
    session.id and agent.id are added. model: the model that reads the context. budget: maximum
    tokens of the whole context; by default the content part of the model's window (60 %, or 80 % of
    a large one), or 8,000 if the window is unknown. floor: a memory whose relevance (0 to 1) is
    lower is left out.
    """

    namespace: Name
    query: Query | None = None
    session_id: Name | None = None
    variables: JsonObject = Field(default_factory=dict)
    model: Name | None = None
    budget: Tokens | None = None
    floor: Floor = DEFAULT_FLOOR


class AgentThreadItem(Answer):
    """A thread in an agent's context. tokens: size of its text. turns: the turns shown; empty if
    none fit.
    """

    thread_id: str
    resource: str
    key: str | None
    mode: AccessMode
    tokens: int
    turns: list[TurnPlace]
    omitted: OmittedParts


class MemoryPart(Answer):
    """The memories in one part of an agent's context. tokens: size of this part."""

    tokens: int
    items: list[ContextItem]


class ThreadsPart(Answer):
    """The agent's threads in its context. tokens: size of all the threads together."""

    tokens: int
    items: list[AgentThreadItem]


class AgentContextParts(Answer):
    """The parts of an agent's context. due: due tasks. memory: other memories, and headings of due
    tasks.
    """

    memory: MemoryPart
    threads: ThreadsPart
    working: MemoryPart
    due: MemoryPart


class AgentContextMetadata(Answer):
    """Size of an agent's context and the settings behind it.

    total_tokens: the tokenizer's count of the context, increased by the share `margin` (such as
    0.1), because the model may count more; or what its provider counted. model_tokens: the count of
    the model's provider; left out if no provider counts for the model. local_tokens: the count of
    `tokenizer`, where total_tokens is the provider's. unknown_model: true for a model whose window
    is unknown; then the budget is the default unless the request gives one. allocation: tokens that
    each part was allotted. degraded: parts of the service that did not answer.
    """

    total_tokens: int
    budget: int
    tokenizer: str
    model: OmittedIfNone[str] = None
    margin: float
    model_tokens: OmittedIfNone[int] = None
    local_tokens: OmittedIfNone[int] = None
    unknown_model: OmittedIfNone[bool] = None
    allocation: Allocation
    as_of: Instant
    receipt_id: OmittedIfNone[str] = None
    degraded: list[str]


class AgentContextAnswer(Answer):
    """An agent's whole context as text, its parts, and its size."""

    context: str
    parts: AgentContextParts
    metadata: AgentContextMetadata


@dataclass(frozen=True, slots=True)
class _AgentContext:
    """An agent's memories and, with their rendered turns, threads. degraded: parts that could not
    be read.
    """

    retrieval: Retrieval
    threads: list[tuple[AgentThreadItem, str]]
    budget: WindowBudget
    degraded: list[str]

    @property
    def tokens(self) -> int:
        """Size of the whole context in tokens, as the budget's tokenizer counts."""
        return self.retrieval.answer.metadata.total_tokens + sum(
            item.tokens for item, _ in self.threads
        )

    @property
    def text(self) -> str:
        """The whole context as text: memories first, then the threads."""
        return "".join([str(self.retrieval.answer.context), *(text for _, text in self.threads)])


@dataclass(frozen=True, slots=True)
class AgentContextBuilder:
    """Builds the context that `request` asks for: working memory, tasks, long-term memory and the
    agent's threads.

    Due tasks in the context stay due: they are not marked as fired.
    """

    services: Services
    scope: Scope
    request: AgentContextPost

    async def build(self) -> AgentContextAnswer:
        """The context, its parts and its size. If threads cannot be read, `degraded` lists
        "threads".

        Raises InvalidRequest, such as for a placeholder in a thread's key that `variables` has no
        value for, and Unavailable if memories cannot be read.
        """
        services = self.services
        request = self.request
        model = None if request.model is None else services.models().find(request.model)

        async def build(margin: float) -> BuiltContext[_AgentContext]:
            context = await self._build_within(WindowBudget.divided(request.budget, model, margin))
            return BuiltContext(context, context.text, context.tokens, context.budget.total)

        margin = model.margin if model else 0.0
        counted = await within_model_budget(services.counter, request.model, margin, build)
        context = counted.value
        budget = counted.value.budget
        due = DueRequest(services.clock(), context=request.query, session_id=self.scope.session_id)
        due_ids = {memory.id for memory in await services.intentions.due(self.scope, due)}
        memories = await services.retriever.record(context.retrieval)
        metadata = AgentContextMetadata(
            **counted.sizes(context.tokens)._asdict(),
            unknown_model=(model is not None and model.window is None) or None,
            budget=budget.total,
            tokenizer=budget.tokenizer,
            model=request.model,
            margin=budget.margin,
            allocation=budget.parts,
            as_of=memories.metadata.as_of,
            receipt_id=memories.receipt_id,
            degraded=[*context.degraded, *memories.metadata.degraded, *counted.degraded],
        )
        services.metrics.count_context("agent", metadata.total_tokens, metadata.degraded)
        parts = _parts(memories, due_ids, [item for item, _ in context.threads])
        return AgentContextAnswer(context=context.text, parts=parts, metadata=metadata)

    async def _build_within(self, budget: WindowBudget) -> _AgentContext:
        """The context in `budget`. Threads get what memories leave free. Raises Unavailable without
        memories.
        """
        counter = self.services.tokenizers[budget.tokenizer]
        session = (
            {} if self.request.session_id is None else {"session": {"id": self.request.session_id}}
        )
        threads: list[AgentThread] | None = None
        try:
            variables = {**session, **self.request.variables}
            threads = await threads_of_agent(self.services.threads, self.scope, variables)
            thread_items = await self._thread_items(
                threads, budget.parts.history + budget.parts.files, counter
            )
            query = self.request.query or await self._newest_turn(threads)
            thread_tokens = sum(item.tokens for item, _ in thread_items)
            retrieval = await self._memories(query, budget, thread_tokens)
            free = budget.allowed - retrieval.answer.metadata.total_tokens
            if free > thread_tokens and any(
                item.omitted.fits_elsewhere for item, _ in thread_items
            ):
                thread_items = await self._thread_items(threads, free, counter)
        except Unavailable as error:
            if threads == []:  # it is the memories that cannot be read
                raise
            _log.warning("an agent's context has no threads: %s", error)
            return _AgentContext(
                await self._memories(self.request.query, budget, 0), [], budget, ["threads"]
            )
        return _AgentContext(retrieval, thread_items, budget, [])

    async def _thread_items(
        self, threads: Sequence[AgentThread], budget: int, counter: Tokenizer
    ) -> list[tuple[AgentThreadItem, str]]:
        """The threads and their texts in `budget` tokens, divided equally. What a thread leaves,
        later ones may use.
        """
        items: list[tuple[AgentThreadItem, str]] = []
        for position, thread in enumerate(threads):
            heading = f"## Thread {bullet(thread.resource)[2:]}"
            limit = max(0, budget // (len(threads) - position) - counter.count(heading))
            reading = build_thread_context(
                self.services, self.scope, thread.thread_id, limit, counter
            )
            context = await _none_if_gone(reading)
            if context is None:
                continue
            text = heading + context.text if context.text else ""
            turns = [TurnPlace(thread_id=owner, index=turn) for owner, turn in context.turns]
            item = AgentThreadItem(
                **asdict(thread), tokens=counter.count(text), turns=turns, omitted=context.omitted
            )
            items.append((item, text))
            budget -= item.tokens
        return items

    async def _newest_turn(self, threads: Sequence[AgentThread]) -> str | None:
        """The newest turn's first characters, for a query; None if no thread has a turn with
        text.
        """
        store = self.services.threads.store
        tails = [
            await _none_if_gone(store.tail(self.scope, thread.thread_id, 1)) for thread in threads
        ]
        turns = [turn for tail in tails if tail for turn in tail.turns if turn.content.strip()]
        return (
            max(turns, key=lambda turn: turn.at).content.strip()[:MAX_QUERY_CHARACTERS]
            if turns
            else None
        )

    async def _memories(
        self, query: str | None, budget: WindowBudget, thread_tokens: int
    ) -> Retrieval:
        """Retrieve working memory, due tasks and long-term memories, in the part of the budget that
        threads do not use.

        query: if None, long-term memories are left out. thread_tokens: number of tokens that the
        threads use.
        """
        request = RetrieveRequest(
            query=query or _NO_QUERY,
            namespace=self.request.namespace,
            types=None if query else [MemoryType.PROSPECTIVE, MemoryType.WORKING],
            session_id=self.request.session_id,
            agent_id=self.scope.agent_id,
            budget=max(0, budget.allowed - thread_tokens - budget.parts.system),
            working_budget=budget.parts.system,
            tokenizer="o200k_base" if budget.tokenizer == "o200k_base" else "cl100k_base",
            floor=self.request.floor if query else 1.0,
            include_due=True,
        )
        redacted = await redact_query(self.services, self.scope.tenant, request)
        return await self.services.retriever.context(self.scope, redacted)


async def _none_if_gone(reading: Awaitable[_Read]) -> _Read | None:
    try:
        return await reading
    except NotFound:
        _log.debug("a thread was gone before it was read for an agent's context")
        return None


def _parts(
    memories: RetrieveAnswer, due_ids: set[str], threads: list[AgentThreadItem]
) -> AgentContextParts:
    """The parts of a context and their sizes in tokens. The headings of due tasks count to
    `memory`, not to `due`.
    """
    working = [item for item in memories.items if item.type is MemoryType.WORKING]
    due = [
        item
        for item in memories.items
        if item.id in due_ids and item.type is MemoryType.PROSPECTIVE
    ]
    memory = [item for item in memories.items if item not in working and item not in due]
    metadata = memories.metadata
    due_tokens = sum(item.tokens for item in due)
    memory_tokens = metadata.total_tokens - metadata.working_tokens - due_tokens
    return AgentContextParts(
        memory=MemoryPart(tokens=memory_tokens, items=memory),
        threads=ThreadsPart(tokens=sum(thread.tokens for thread in threads), items=threads),
        working=MemoryPart(tokens=metadata.working_tokens, items=working),
        due=MemoryPart(tokens=due_tokens, items=due),
    )

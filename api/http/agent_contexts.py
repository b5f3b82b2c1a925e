"""Builds an agent's whole context: working memory, due tasks, long-term memory and its threads, in one token budget.

The budget has the shares of an `Allocation`, which divides a model's context window. Working memory gets the share
`system`, long-term memory and due tasks get `memory`, threads get `history` and `files`. Tokens that one part does not
need go to the others.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from pydantic import Field

from api.http.shapes.threads import TurnPlace
from api.http.use_cases import redact_query, thread_part
from api.wiring.container import Services
from ingest.conversations.agent_threads import AgentThread, threads_of_agent
from ingest.working.intentions import DueRequest
from memtypes.live.thread_policy import AccessMode
from memtypes.live.workflows import JsonObject
from memtypes.llms.registry import Allocation, Tokens
from memtypes.model.errors import NotFound, Unavailable
from memtypes.model.memory import Model
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name, Scope
from memtypes.model.times import Instant
from memtypes.ports.encoders import Tokenizer
from memtypes.search.passage import bullet
from retrieval.answer import Answer, ContextItem, OmittedIfNone, RetrieveAnswer
from retrieval.context.model_count import BuiltContext, WindowBudget, within_model_budget
from retrieval.context.thread import OmittedParts
from retrieval.query.request import DEFAULT_FLOOR, Floor, Query, RetrieveRequest
from retrieval.receipts.build import Retrieval

MAX_WORDS = 2_000
"""Maximum characters of the newest turn that serve as the query if the request has none."""

_NO_QUERY = "what is due"
"""Query if the request has none and the agent's threads have no turns. Then only due tasks pass the floor."""

_Read = TypeVar("_Read")

_log = logging.getLogger(__name__)


class AgentContextPost(Model):
    """A request for an agent's context. query: by default the beginning of the newest turn of the agent's threads.

    variables: values for placeholders in the keys of these threads, such as {"project": "x"}. session.id and agent.id
    are added. model: the model that reads the context. budget: maximum tokens of the whole context; by default
    the content part of the model's window (60 %, or 80 % of a large one), or 8,000 if the window is unknown. floor: a
    memory whose relevance (0 to 1) is lower is left out.
    """

    namespace: Name
    query: Query | None = None
    session_id: Name | None = None
    variables: JsonObject = Field(default_factory=dict)
    model: Name | None = None
    budget: Tokens | None = None
    floor: Floor = DEFAULT_FLOOR


class AgentThreadItem(Answer):
    """A thread in an agent's context. tokens: size of its text. turns: the turns shown; empty if none fit."""

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
    """The parts of an agent's context. due: due tasks. memory: other memories, and headings of due tasks."""

    memory: MemoryPart
    threads: ThreadsPart
    working: MemoryPart
    due: MemoryPart


class AgentContextMetadata(Answer):
    """Size of an agent's context and the settings behind it.

    total_tokens: the tokenizer's count of the context, increased by the share `margin` (such as 0.1), because the model
    may count more. model_tokens: the count of the model's provider; left out if no provider counts for the model.
    allocation: tokens that each part was allotted. degraded: parts of the service that did not answer.
    """

    total_tokens: int
    budget: int
    tokenizer: str
    model: OmittedIfNone[str] = None
    margin: float
    model_tokens: OmittedIfNone[int] = None
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
    """An agent's context in one token budget. threads: each with its text. degraded: parts that could not be read."""

    retrieval: Retrieval
    threads: list[tuple[AgentThreadItem, str]]
    budget: WindowBudget
    degraded: list[str]

    @property
    def tokens(self) -> int:
        """Size of the whole context in tokens, as the budget's tokenizer counts."""
        return self.retrieval.answer.metadata.total_tokens + sum(item.tokens for item, _ in self.threads)

    @property
    def text(self) -> str:
        """The whole context as text: memories first, then the threads."""
        return "".join([str(self.retrieval.answer.context), *(text for _, text in self.threads)])


@dataclass(frozen=True, slots=True)
class AgentContextBuilder:
    """Builds the context that `asked` describes from working memory, tasks, long-term memory and the agent's threads.

    Due tasks in the context stay due: they are not marked as fired.
    """

    services: Services
    scope: Scope
    asked: AgentContextPost

    async def build(self) -> AgentContextAnswer:
        """The context, its parts and its size. If threads cannot be read, `degraded` lists "threads".

        Raises InvalidRequest, such as for a placeholder in a thread's key that `variables` has no value for, and
        Unavailable if memories cannot be read.
        """
        services, asked = self.services, self.asked
        model = None if asked.model is None else services.models().find(asked.model)

        async def build(margin: float) -> BuiltContext[_AgentContext]:
            built = await self._built(WindowBudget.of(asked.budget, model, margin))
            return BuiltContext(built, built.text, built.tokens, built.budget.total)

        margin = model.margin if model else 0.0
        counted = await within_model_budget(services.counter, asked.model, margin, build)
        built, budget = counted.value, counted.value.budget
        due = DueRequest(services.clock(), context=asked.query, session_id=self.scope.session_id)
        due_ids = {memory.id for memory in await services.intentions.due(self.scope, due)}
        memories = await services.retriever.record(built.retrieval)
        metadata = AgentContextMetadata(
            total_tokens=math.ceil(built.tokens * (1.0 + budget.margin) - 1e-9),
            budget=budget.total,
            tokenizer=budget.tokenizer,
            model=asked.model,
            margin=budget.margin,
            model_tokens=counted.model_tokens,
            allocation=budget.parts,
            as_of=memories.metadata.as_of,
            receipt_id=memories.receipt_id,
            degraded=[*built.degraded, *memories.metadata.degraded, *counted.degraded],
        )
        services.metrics.note_context("agent", metadata.total_tokens, metadata.degraded)
        parts = _parts(memories, due_ids, [item for item, _ in built.threads])
        return AgentContextAnswer(context=built.text, parts=parts, metadata=metadata)

    async def _built(self, budget: WindowBudget) -> _AgentContext:
        counter = self.services.tokenizers[budget.tokenizer]
        session = {} if self.asked.session_id is None else {"session": {"id": self.asked.session_id}}
        threads: list[AgentThread] | None = None
        try:
            variables = {**session, **self.asked.variables}
            threads = await threads_of_agent(self.services.threads, self.scope, variables)
            shown = await self._shown(threads, budget.parts.history + budget.parts.files, counter)
            query = self.asked.query or await self._last_words(threads)
            taken = sum(item.tokens for item, _ in shown)
            retrieval = await self._memories(query, budget, taken)
            free = budget.allowed - retrieval.answer.metadata.total_tokens
            if free > taken and any(item.omitted != OmittedParts() for item, _ in shown):
                shown = await self._shown(threads, free, counter)
        except Unavailable as error:
            if threads == []:  # it is the memories that cannot be read
                raise
            _log.warning("an agent's context has no threads: %s", error)
            return _AgentContext(await self._memories(self.asked.query, budget, 0), [], budget, ["threads"])
        return _AgentContext(retrieval, shown, budget, [])

    async def _shown(
        self, threads: Sequence[AgentThread], budget: int, counter: Tokenizer
    ) -> list[tuple[AgentThreadItem, str]]:
        """The threads and their texts in `budget` tokens. Each gets an equal share of what earlier ones left free."""
        shown: list[tuple[AgentThreadItem, str]] = []
        for place, thread in enumerate(threads):
            heading = f"## Thread {bullet(thread.resource)[2:]}"
            room = max(0, budget // (len(threads) - place) - counter.count(heading))
            context = await _if_still_there(thread_part(self.services, self.scope, thread.thread_id, room, counter))
            if context is None:
                continue
            text = heading + context.text if context.text else ""
            turns = [TurnPlace(thread_id=owner, index=index) for owner, index in context.turns]
            item = AgentThreadItem(**asdict(thread), tokens=counter.count(text), turns=turns, omitted=context.omitted)
            shown.append((item, text))
            budget -= item.tokens
        return shown

    async def _last_words(self, threads: Sequence[AgentThread]) -> str | None:
        """The beginning of the newest turn in any of the threads; None if they have no turns."""
        store = self.services.threads.store
        tails = [await _if_still_there(store.tail(self.scope, each.thread_id, 1)) for each in threads]
        turns = [turn for tail in tails if tail for turn in tail.turns if turn.content.strip()]
        return max(turns, key=lambda turn: turn.at).content.strip()[:MAX_WORDS] if turns else None

    async def _memories(self, query: str | None, budget: WindowBudget, taken: int) -> Retrieval:
        """Retrieve working memory, due tasks and long-term memories, in the part of the budget that threads do not use.

        query: if None, long-term memories are left out. taken: number of tokens that the threads use.
        """
        request = RetrieveRequest(
            query=query or _NO_QUERY,
            namespace=self.asked.namespace,
            types=None if query else [MemoryType.PROSPECTIVE, MemoryType.WORKING],
            session_id=self.asked.session_id,
            agent_id=self.scope.agent_id,
            budget=max(0, budget.allowed - taken - budget.parts.system),
            working_budget=budget.parts.system,
            tokenizer="o200k_base" if budget.tokenizer == "o200k_base" else "cl100k_base",
            floor=self.asked.floor if query else 1.0,
            include_due=True,
        )
        redacted = await redact_query(self.services, self.scope.tenant, request)
        return await self.services.retriever.context(self.scope, redacted)


async def _if_still_there(read: Awaitable[_Read]) -> _Read | None:
    try:
        return await read
    except NotFound:
        _log.debug("a thread was gone before it was read for an agent's context")
        return None


def _parts(memories: RetrieveAnswer, due_ids: set[str], threads: list[AgentThreadItem]) -> AgentContextParts:
    """The parts of a context and their sizes in tokens. The headings of due tasks count to `memory`, not to `due`."""
    working = [item for item in memories.items if item.type is MemoryType.WORKING]
    due = [item for item in memories.items if item.id in due_ids and item.type is MemoryType.PROSPECTIVE]
    memory = [item for item in memories.items if item not in working and item not in due]
    metadata, due_tokens = memories.metadata, sum(item.tokens for item in due)
    memory_tokens = metadata.total_tokens - metadata.working_tokens - due_tokens
    return AgentContextParts(
        memory=MemoryPart(tokens=memory_tokens, items=memory),
        threads=ThreadsPart(tokens=sum(thread.tokens for thread in threads), items=threads),
        working=MemoryPart(tokens=metadata.working_tokens, items=working),
        due=MemoryPart(tokens=due_tokens, items=due),
    )

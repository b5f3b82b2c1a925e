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
class _ShownThread:
    item: AgentThreadItem
    text: str


@dataclass(frozen=True, slots=True)
class _AgentContext:
    """An agent's context in one token budget. due: ids of due tasks. degraded: parts that could not be read."""

    retrieval: Retrieval
    due: set[str]
    threads: list[_ShownThread]
    budget: WindowBudget
    degraded: list[str]

    @property
    def tokens(self) -> int:
        """Size of the whole context in tokens, as the budget's tokenizer counts."""
        return self.retrieval.answer.metadata.total_tokens + sum(each.item.tokens for each in self.threads)

    @property
    def text(self) -> str:
        """The whole context as text: memories first, then the threads."""
        return "".join([str(self.retrieval.answer.context), *(each.text for each in self.threads)])


@dataclass(frozen=True, slots=True)
class AgentContexts:
    """Builds contexts for agents from working memory, tasks, long-term memory and the agents' threads."""

    services: Services

    async def build(self, scope: Scope, asked: AgentContextPost) -> AgentContextAnswer:
        """Build the context that `asked` describes. Due tasks in the context stay due: they are not marked as fired.

        Raises InvalidRequest, such as for a placeholder in a thread's key that `variables` has no value for, and
        Unavailable if memories cannot be read. If threads cannot be read, `degraded` lists "threads".
        """
        model = None if asked.model is None else self.services.models().find(asked.model)

        async def build(margin: float) -> BuiltContext[_AgentContext]:
            built = await self._built(scope, asked, WindowBudget.of(asked.budget, model, margin))
            return BuiltContext(built, built.text, built.tokens, built.budget.total)

        margin = model.margin if model else 0.0
        counted = await within_model_budget(self.services.counter, asked.model, margin, build)
        built, budget = counted.value, counted.value.budget
        memories = await self.services.retriever.record(built.retrieval)
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
        self.services.metrics.note_context("agent", metadata.total_tokens, metadata.degraded)
        parts = _parts(memories, built.due, built.threads)
        return AgentContextAnswer(context=built.text, parts=parts, metadata=metadata)

    async def _built(self, scope: Scope, asked: AgentContextPost, budget: WindowBudget) -> _AgentContext:
        counter = self.services.tokenizers[budget.tokenizer]
        threads, degraded = await self._threads(scope, asked)
        try:
            shown = await self._shown(scope, threads, budget.parts.history + budget.parts.files, counter)
            query = asked.query or await self._last_words(scope, threads)
            taken = sum(each.item.tokens for each in shown)
            retrieval = await self._memories(scope, asked, query, budget, taken)
            free = budget.allowed - retrieval.answer.metadata.total_tokens
            if free > taken and any(each.item.omitted != OmittedParts() for each in shown):
                shown = await self._shown(scope, threads, free, counter)
        except Unavailable:
            if not threads:
                raise
            shown, degraded = [], ["threads"]
            retrieval = await self._memories(scope, asked, asked.query, budget, 0)
        now = DueRequest(self.services.clock(), context=asked.query, session_id=scope.session_id)
        due = {memory.id for memory in await self.services.intentions.due(scope, now)}
        return _AgentContext(retrieval, due, shown, budget, degraded)

    async def _threads(self, scope: Scope, asked: AgentContextPost) -> tuple[list[AgentThread], list[str]]:
        """(the agent's threads, names of parts that did not respond: ["threads"] if threads cannot be read, or [])."""
        session = {} if asked.session_id is None else {"session": {"id": asked.session_id}}
        try:
            return await threads_of_agent(self.services.threads, scope, {**session, **asked.variables}), []
        except Unavailable as error:
            _log.warning("an agent's context has no threads: %s", error)
            return [], ["threads"]

    async def _shown(
        self, scope: Scope, threads: Sequence[AgentThread], budget: int, counter: Tokenizer
    ) -> list[_ShownThread]:
        """Render the threads in at most `budget` tokens. Each gets an equal share of what earlier ones left free."""
        shown: list[_ShownThread] = []
        for place, thread in enumerate(threads):
            heading = f"## Thread {bullet(thread.resource)[2:]}"
            room = budget // (len(threads) - place) - counter.count(heading)
            part = thread_part(self.services, scope, thread.thread_id, max(0, room), counter)
            context = await _if_still_there(part)
            if context is None:
                continue
            text = heading + context.text if context.text else ""
            turns = [TurnPlace(thread_id=owner, index=index) for owner, index in context.turns]
            item = AgentThreadItem(**asdict(thread), tokens=counter.count(text), turns=turns, omitted=context.omitted)
            shown.append(_ShownThread(item, text))
            budget -= item.tokens
        return shown

    async def _last_words(self, scope: Scope, threads: Sequence[AgentThread]) -> str | None:
        """The beginning of the newest turn in any of the threads; None if they have no turns."""
        store = self.services.threads.store
        tails = [await _if_still_there(store.tail(scope, each.thread_id, 1)) for each in threads]
        turns = [turn for tail in tails if tail for turn in tail.turns if turn.content.strip()]
        return max(turns, key=lambda turn: turn.at).content.strip()[:MAX_WORDS] if turns else None

    async def _memories(
        self, scope: Scope, asked: AgentContextPost, query: str | None, budget: WindowBudget, taken: int
    ) -> Retrieval:
        """Retrieve working memory, due tasks and long-term memories, in the part of the budget that threads do not use.

        query: if None, long-term memories are left out. taken: number of tokens that the threads use.
        """
        request = RetrieveRequest(
            query=query or _NO_QUERY,
            namespace=asked.namespace,
            types=None if query else [MemoryType.PROSPECTIVE, MemoryType.WORKING],
            session_id=asked.session_id,
            agent_id=scope.agent_id,
            budget=max(0, budget.allowed - taken - budget.parts.system),
            working_budget=budget.parts.system,
            tokenizer="o200k_base" if budget.tokenizer == "o200k_base" else "cl100k_base",
            floor=asked.floor if query else 1.0,
            include_due=True,
        )
        return await self.services.retriever.context(scope, await redact_query(self.services, scope.tenant, request))


async def _if_still_there(read: Awaitable[_Read]) -> _Read | None:
    try:
        return await read
    except NotFound:
        _log.debug("a thread was gone before it was read for an agent's context")
        return None


def _parts(memories: RetrieveAnswer, due_ids: set[str], shown: Sequence[_ShownThread]) -> AgentContextParts:
    """The parts of a context and their sizes in tokens. The headings of due tasks count to `memory`, not to `due`."""
    working = [item for item in memories.items if item.type is MemoryType.WORKING]
    due = [item for item in memories.items if item.id in due_ids and item.type is MemoryType.PROSPECTIVE]
    memory = [item for item in memories.items if item not in working and item not in due]
    metadata, due_tokens = memories.metadata, sum(item.tokens for item in due)
    memory_tokens = metadata.total_tokens - metadata.working_tokens - due_tokens
    threads = [each.item for each in shown]
    return AgentContextParts(
        memory=MemoryPart(tokens=memory_tokens, items=memory),
        threads=ThreadsPart(tokens=sum(each.tokens for each in threads), items=threads),
        working=MemoryPart(tokens=metadata.working_tokens, items=working),
        due=MemoryPart(tokens=due_tokens, items=due),
    )

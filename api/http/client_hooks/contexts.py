"""Builds the contexts that hooks add to sessions of AI clients, such as Claude Code.

A prompt gets memories that help with it; a session that begins gets open tasks and recent memories.
A client's history keeps what was added to earlier prompts, so a memory is shown only once in a
session. The working items of the session, such as its to-dos, are shown with every prompt, as they
change.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from api.http.client_hooks.events import HookAnswer, HookOutput, InjectingEvent
from api.http.use_cases import due_request, mark_due_tasks, redact_query
from api.wiring.container import Services
from ingest.screening.recall_guard import INTRODUCTION
from ingest.screening.sentences import sentences_in
from memtypes.model.errors import Unavailable
from memtypes.model.filters import MAX_LIST, Compare, Op, all_of, in_view, open_tasks
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.model.working import TodoStatus
from memtypes.ports.client_sessions import Shown
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.memory_store import Listing
from retrieval.answer import ContextItem
from retrieval.query.request import Budget, Encoding, RetrieveRequest, Signal, reduced, shortened
from retrieval.ranking.signals import DUE_SOON, LONG_OVERDUE
from retrieval.result import Retrieval

PROMPT_TOKENS = 1_500
START_TOKENS = 1_000
"""Maximum tokens, by the model's own count, of the context for a prompt and of the context at a
session's start.
"""

WORKING_TOKENS = 400
"""Maximum tokens of a prompt's context for the session's working items."""

MAX_CHARACTERS = 9_500
"""Maximum characters of a context. Of more than 10,000, Claude Code shows the model only a
preview.
"""

QUERY_CHARACTERS = 2_000
"""Maximum characters of a query. A longer prompt is reduced to its beginning and end, which saves
time.
"""

MAX_SHOWN = 9_000
"""Maximum memories that a session is shown until it is compacted. A filter could not exclude many
more ids.
"""

MARK_S = 0.5
"""Seconds for recording a built context and marking its due tasks, even if the time to answer the
event is up.
"""

_MODEL_CHARACTERS = 256
_SAFETY_FACTOR = 0.9
_JOINS = 8
"""Maximum number of tokens by which a frame with its context exceeds the sum of the two counts."""

_EDGES = re.compile(r"^[-*\u2022] |[.!]+$")
_ATTEMPTS = 5
_NEWEST = 40
_FOR_PROMPT = f"{INTRODUCTION} what was said or decided earlier and relates to this prompt."
_FOR_START = f"{INTRODUCTION} its open tasks, and what was said and decided last."
_START_QUERY = "What is left to do, and what was decided last?"
_START_WEIGHTS: dict[Signal, float] = {"recency": 0.7, "importance": 0.2, "due": 0.1}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The text around the context in the answer to a hook. limit: maximum tokens of both, as
    `tokenizer` counts.
    """

    event: InjectingEvent
    introduction: str
    tokenizer: Tokenizer
    encoding: Encoding
    limit: int

    def framed(self, context: str) -> str:
        """The text for the client: an introductory line and the context."""
        return f"{self.introduction}\n{context}"

    def size(self, text: str) -> int:
        """Tokens of `text` and of the tags that the client puts around it."""
        reminder = (
            f"<system-reminder>\n{self.event} hook additional context: {text}\n</system-reminder>"
        )
        return self.tokenizer.count(reminder)

    @property
    def budget(self) -> int:
        """Maximum tokens of the context, so that it and the text around it have at most `limit`
        tokens.
        """
        return max(0, self.limit - self.size(self.framed("")) - _JOINS)


@dataclass(frozen=True, slots=True)
class ClientContexts:
    """Builds contexts for the session of an AI client that `scope` names. model: name of the model
    that reads them.
    """

    services: Services
    scope: Scope
    model: str

    async def for_prompt(self, prompt: str, shown: Shown) -> HookAnswer:
        """Answer a prompt's hook with helpful memories that the session was not shown yet; empty if
        there are none.
        """
        frame = self._frame("UserPromptSubmit", _FOR_PROMPT, PROMPT_TOKENS)
        query = shortened(prompt, QUERY_CHARACTERS)
        todo_id = await self._todo_in_progress()

        async def request(shown: Shown) -> RetrieveRequest | None:
            if len(shown.ids) > MAX_SHOWN:
                return None
            return self._request(
                shown,
                frame,
                _excluding(sorted(shown.ids)),
                query=query,
                todo_id=todo_id,
                include_due=True,
            )

        return await self._answer(frame, request, shown)

    async def for_start(self, shown: Shown) -> HookAnswer:
        """Answer the hook of a session's start with open tasks and recent memories that it was not
        shown, if any.
        """
        frame = self._frame("SessionStart", _FOR_START, START_TOKENS)

        async def request(shown: Shown) -> RetrieveRequest | None:
            if ids := await self._pending_and_recent(shown):
                conditions = [{"id": {"any": ids}}]
                return self._request(
                    shown, frame, conditions, query=_START_QUERY, weights=_START_WEIGHTS, floor=0.0
                )
            return None

        return await self._answer(frame, request, shown)

    def _request(
        self, shown: Shown, frame: _Frame, conditions: Iterable[dict[str, Any]], **fields: Any
    ) -> RetrieveRequest:
        """A request for memories that meet `conditions`, except those of this session since its
        last compaction.

        The client's history still contains these. fields: further fields of the request.
        """
        of_session: dict[str, Any] = {"session_id": {"eq": self.scope.session_id}}
        if shown.since is not None:
            of_session["created_at"] = {"gte": rfc3339(shown.since)}
        return RetrieveRequest(
            namespace=self.scope.namespace,
            session_id=self.scope.session_id,
            filters={"and": [{"not": of_session}, *conditions]},
            working_budget=WORKING_TOKENS,
            tokenizer=frame.encoding,
            oversize="excerpt",
            **fields,
        )

    async def _answer(
        self,
        frame: _Frame,
        make_request: Callable[[Shown], Awaitable[RetrieveRequest | None]],
        shown: Shown,
    ) -> HookAnswer:
        """Answer a hook with a context. The answer is empty if there is nothing to show.

        make_request: makes the retrieval request from what the session was shown so far; None if no
        context is needed.
        """
        sessions = self.services.client_sessions
        for _ in range(_ATTEMPTS):
            request = await make_request(shown)
            built = None if request is None else await self._build(request, frame, shown)
            if request is None or built is None:
                break
            retrieval, ids, statements = built
            if await sessions.claim(self.scope, ids, statements):
                return await self._finish(frame, request, retrieval)
            # Another prompt of the session changed what it was shown
            shown = await sessions.begin(self.scope)
        return HookAnswer()

    def _frame(self, event: InjectingEvent, introduction: str, total: int) -> _Frame:
        model = self.services.models().find(self.model[:_MODEL_CHARACTERS])
        encoding: Encoding = "o200k_base" if model.tokenizer == "o200k_base" else "cl100k_base"
        return _Frame(
            event,
            introduction,
            self.services.tokenizers[encoding],
            encoding,
            reduced(total, model.margin),
        )

    async def _build(
        self, request: RetrieveRequest, frame: _Frame, shown: Shown
    ) -> tuple[Retrieval, list[str], frozenset[str]] | None:
        """Build a context within the token limit of `frame` that repeats nothing that the session
        was shown before.

        Returns also the ids of its memories and of memories that it leaves out because their texts
        repeat others, and hashes of its sentences that are new to the session. Returns None if no
        such context could be built. A due task may be repeated, because an earlier text that
        mentions the task does not say that it is due.
        """
        budget = frame.budget
        repeated_ids = list[str]()
        filters = request.filters or {}
        for _ in range(_ATTEMPTS):
            conditions = [*filters["and"], *_excluding(repeated_ids)]
            attempt = request.model_copy(
                update={"budget": Budget(total=budget), "filters": {"and": conditions}}
            )
            query = await redact_query(self.services, self.scope.tenant, attempt)
            retrieval = await self.services.retriever.context(self.scope, query)
            answer = retrieval.answer
            if not answer.items:
                break
            memories = [item for item in answer.items if item.type is not MemoryType.WORKING]
            repeats, statements = _repetitions(memories, shown.statements)
            due = await self.services.intentions.due_among(
                self.scope, repeats, due_request(self.services, attempt)
            )
            repeats = [memory_id for memory_id in repeats if memory_id not in due]
            repeated_ids += repeats
            text = frame.framed(answer.text)
            excess = max(frame.size(text) / max(1, frame.limit), len(text) / MAX_CHARACTERS)
            if excess <= 1.0 and not repeats:
                ids = [
                    *(item.id for item in memories),
                    *repeated_ids,
                    *answer.metadata.duplicates,
                ]
                return retrieval, ids, statements
            if excess > 1.0:  # long words or tables have many characters a token
                budget = int(budget / excess * _SAFETY_FACTOR)
        await self.services.client_sessions.note_shown(self.scope, repeated_ids)
        return None

    async def _finish(
        self, frame: _Frame, request: RetrieveRequest, retrieval: Retrieval
    ) -> HookAnswer:
        """Record `retrieval`, mark due tasks in its context as fired (not due again), and answer a
        hook with it.

        If marking fails or takes too long, the tasks stay due. The context is returned even then,
        because its memories are already recorded as shown to the session.
        """
        answer = retrieval.answer
        try:
            with anyio.fail_after(MARK_S, shield=True):
                answer = await self.services.retriever.record(retrieval)
                await mark_due_tasks(self.services, self.scope, request, answer)
        except (Unavailable, TimeoutError) as error:
            _log.warning(
                "due tasks in a context stay due: %s", str(error) or "marking them took too long"
            )
        self.services.metrics.count_context(
            "hook", answer.metadata.total_tokens, answer.metadata.degraded
        )
        output = HookOutput(hookEventName=frame.event, additionalContext=frame.framed(answer.text))
        return HookAnswer(hookSpecificOutput=output)

    async def _todo_in_progress(self) -> str | None:
        """The id of the to-do that the session works on, if the live store answers."""
        try:
            items = await self.services.working.live_items(self.scope, optional=True)
        except Unavailable:  # the retrieval notices it, too, and tells it
            return None
        return next(
            (
                item.memory.todo_id
                for item in items
                if item.memory.todo_status is TodoStatus.IN_PROGRESS
            ),
            None,
        )

    async def _pending_and_recent(self, shown: Shown) -> list[str]:
        """Ids of open tasks, those due about now and the newest, and of the newest memories of
        other types, that the session was not shown before.
        """
        now = self.services.clock()
        valid = in_view(now)
        is_open = open_tasks(now)
        tasks = (MemoryType.PROSPECTIVE,)
        due_about_now = all_of(
            is_open,
            valid,
            Compare("due_at", Op.GTE, now - LONG_OVERDUE),
            Compare("due_at", Op.LTE, now + DUE_SOON),
        )
        store = self.services.store
        # What is due this week may have been written long before the newest tasks
        due = await store.page(self.scope, Listing(tasks, due_about_now, _NEWEST))
        pending = await store.page(self.scope, Listing(tasks, all_of(is_open, valid), _NEWEST))
        other_types = tuple(kind for kind in LONG_TERM if kind is not MemoryType.PROSPECTIVE)
        recent = await store.page(self.scope, Listing(other_types, valid, _NEWEST))
        listed = (*due.memories, *pending.memories, *recent.memories)
        return list(dict.fromkeys(memory.id for memory in listed if memory.id not in shown.ids))


def _repetitions(
    items: Sequence[ContextItem], shown: Collection[str]
) -> tuple[list[str], frozenset[str]]:
    """The ids of the items that say nothing new, and the hashes of all sentences that the session
    was not shown before.

    An item says nothing new if each of its sentences was shown to the session before or occurs in a
    longer item of `items`. shown: hashes of the sentences that the session was shown before.
    """
    repeated: list[str] = []
    texts: list[str] = []
    statements = set(shown)
    for item in sorted(items, key=lambda item: (-len(item.content), item.rank)):
        sentences = _sentence_hashes(item.content)
        if sentences <= statements or any(item.content in text for text in texts):
            repeated.append(item.id)
        texts.append(item.content)
        statements |= sentences
    return repeated, frozenset(statements.difference(shown))


def _sentence_hashes(text: str) -> set[str]:
    """Hashes of the sentences in `text`. Bullets, final periods and differences in white space do
    not matter.
    """
    sentences = {_EDGES.sub("", " ".join(sentence.split())) for sentence in sentences_in(text)}
    return {hashlib.sha256(sentence.encode()).hexdigest()[:16] for sentence in sentences or {text}}


def _excluding(ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Filter conditions that exclude the memories `ids`. Each condition lists at most MAX_LIST
    ids.
    """
    for start in range(0, len(ids), MAX_LIST):
        yield {"not": {"id": {"any": ids[start : start + MAX_LIST]}}}

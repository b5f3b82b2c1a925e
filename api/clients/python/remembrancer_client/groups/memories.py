"""Calls on memories: write, recall, search, read, change and judge them."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from datetime import datetime
from types import NoneType
from typing import TYPE_CHECKING

from remembrancer_client.answers import (
    AgentContextAnswer,
    BatchAnswer,
    ClassifyAnswer,
    CountAnswer,
    DecisionsAnswer,
    DeletedAnswer,
    DueAnswer,
    HealthAnswer,
    HistoryAnswer,
    ListAnswer,
    Memory,
    MessagesAnswer,
    ModelsAnswer,
    ReceiptAnswer,
    ReceiptVerdict,
    ReplayAnswer,
    ResolvedModel,
    RetrieveAnswer,
    ReviewAnswer,
    SearchAnswer,
    StatsAnswer,
    UndoneAnswer,
    WriteAnswer,
)
from remembrancer_client.calls import Call, ConnectionT_co, Each, Group
from remembrancer_client.options import (
    AgentOptions,
    BatchOptions,
    DecisionOptions,
    DueOptions,
    EraseOptions,
    FeedbackOutcome,
    ListOptions,
    MemoryType,
    NewMemory,
    RecallOptions,
    RememberOptions,
    Scoped,
    SearchOptions,
    UpdateOptions,
)
from remembrancer_client.request import (
    Description,
    Pages,
    Request,
    Upload,
    UploadAnswer,
    by_cursor,
    encode,
    fresh_key,
    segment,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Memories(Group[ConnectionT_co]):
    """Base class of the clients, with the calls on memories, receipts, agents' contexts, and
    language models.
    """

    @Call
    def remember(self, content: str, **fields: Unpack[RememberOptions]) -> Description[WriteAnswer]:
        """Write a memory. The service stores it, merges it into a memory with the same content, or
        rejects it.
        """
        return self._post("/v1/memories", WriteAnswer, fields, content=content)

    @Call
    def batch(
        self, items: Iterable[NewMemory], **options: Unpack[BatchOptions]
    ) -> Description[BatchAnswer]:
        """Write at most 1,000 memories and return an outcome for each. If an item is invalid, none
        is stored.
        """
        key = options.get("idempotency_key") or fresh_key()
        body = encode({"namespace": self._scope(options), "items": list(items)})
        return Request("POST", "/v1/memories/batch", BatchAnswer, body=body, key=key)

    @Call
    def remember_all(
        self,
        items: Iterable[NewMemory | str | bytes] | AsyncIterable[NewMemory | str | bytes],
        **options: Unpack[Scoped],
    ) -> Description[UploadAnswer]:
        """Write any number of memories, in parts of 1,000. Returns how many were stored, merged,
        rejected or failed.

        items: memories as dictionaries or as JSON texts, such as the lines of a file. Each part has
        an idempotency key. Raises UploadFailed if a part is refused.
        """
        return Upload(items, "/v1/memories/batch", self._query(options), keyed=True)

    @Call
    def recall(self, query: str, **options: Unpack[RecallOptions]) -> Description[RetrieveAnswer]:
        """A context for a prompt: the memories that help with it, as text within the token
        budget.
        """
        return self._ask("/v1/retrieve", RetrieveAnswer, options, query=query)

    @Call
    def recall_messages(
        self, query: str, **options: Unpack[RecallOptions]
    ) -> Description[MessagesAnswer]:
        """The same context as from `recall`, as chat messages."""
        return self._ask(
            "/v1/retrieve",
            MessagesAnswer,
            options,
            query=query,
            format="messages",
        )

    @Call
    def search(self, query: str, **options: Unpack[SearchOptions]) -> Description[SearchAnswer]:
        """The best memories for a query, with their scores."""
        return self._ask("/v1/search", SearchAnswer, options, query=query)

    @Call
    def get(self, memory_id: str, **options: Unpack[Scoped]) -> Description[Memory]:
        """The memory with this id."""
        return self._get(_path(memory_id), Memory, options)

    @Call
    def update(self, memory_id: str, **changes: Unpack[UpdateOptions]) -> Description[Memory]:
        """Change fields of a memory, and return the changed memory."""
        return self._request("PATCH", _path(memory_id), Memory, changes)

    @Call
    def forget(self, memory_id: str, **options: Unpack[Scoped]) -> Description[None]:
        """Delete a memory."""
        return Request("DELETE", _path(memory_id), NoneType, query=self._query(options))

    @Call
    def forget_all(
        self, *, confirm: bool, **options: Unpack[EraseOptions]
    ) -> Description[DeletedAnswer]:
        """Delete all memories of the namespace, or of a type or session. Returns how many. confirm:
        must be True.
        """
        return Request(
            "DELETE", "/v1/memories", DeletedAnswer, query=self._query(options, confirm=confirm)
        )

    @Call
    def page(self, **options: Unpack[ListOptions]) -> Description[ListAnswer]:
        """A page of the memories that match the options, newest first."""
        return self._get("/v1/memories", ListAnswer, options)

    @Each
    def all(self, **options: Unpack[ListOptions]) -> Pages[Memory]:
        """All memories that match the options, newest first, read page by page."""
        first = self._get("/v1/memories", ListAnswer, options)
        return by_cursor(first, lambda page: page.memories)

    @Call
    def history(self, memory_id: str, **options: Unpack[Scoped]) -> Description[HistoryAnswer]:
        """The history of a memory, oldest first: its texts, what it replaced, and what replaced or
        contests it.
        """
        return self._get(_path(memory_id, "history"), HistoryAnswer, options)

    @Call
    def restore(self, memory_id: str, **options: Unpack[Scoped]) -> Description[Memory]:
        """Make a replaced or expired memory current again. It and a memory that replaced it then
        contest each other.
        """
        return Request("POST", _path(memory_id, "restore"), Memory, query=self._query(options))

    @Call
    def retract(
        self, memory_id: str, reason: str | None = None, **options: Unpack[Scoped]
    ) -> Description[Memory]:
        """Say that a memory never was true, and return it. What it had replaced is current
        again.
        """
        return self._request("POST", _path(memory_id, "retract"), Memory, options, reason=reason)

    @Call
    def undo(self, memory_id: str, **options: Unpack[Scoped]) -> Description[UndoneAnswer]:
        """Undo an automatic decision, such as a merge or a rejection. Returns the ids of the
        restored memories.
        """
        return Request("POST", _path(memory_id, "undo"), UndoneAnswer, query=self._query(options))

    @Call
    def feedback(
        self, memory_id: str, outcome: FeedbackOutcome, **options: Unpack[Scoped]
    ) -> Description[Memory]:
        """Report how useful a memory was (`outcome`), and return the updated memory."""
        return self._request("POST", _path(memory_id, "feedback"), Memory, options, outcome=outcome)

    @Call
    def due(self, **options: Unpack[DueOptions]) -> Description[DueAnswer]:
        """The intentions (such as tasks and reminders) that are due, the longest overdue first."""
        query = self._query(options)
        reads = not options.get("mark", False)
        return Request("GET", "/v1/prospective/due", DueAnswer, query=query, repeatable=reads)

    @Call
    def complete(self, memory_id: str, **options: Unpack[Scoped]) -> Description[Memory]:
        """Mark a task or reminder (a prospective memory) as completed, and return it."""
        return Request("POST", _path(memory_id, "complete"), Memory, query=self._query(options))

    @Call
    def cancel(self, memory_id: str, **options: Unpack[Scoped]) -> Description[Memory]:
        """Mark a task or reminder (a prospective memory) as cancelled, and return it."""
        return Request("POST", _path(memory_id, "cancel"), Memory, query=self._query(options))

    @Call
    def reopen(self, memory_id: str, **options: Unpack[Scoped]) -> Description[Memory]:
        """Open a task or reminder (a prospective memory) again that has ended, and return it."""
        return Request("POST", _path(memory_id, "reopen"), Memory, query=self._query(options))

    @Call
    def snooze(
        self, memory_id: str, until: datetime, **options: Unpack[Scoped]
    ) -> Description[Memory]:
        """Postpone a task or reminder (a prospective memory), so that it is due again at `until`,
        and return it.
        """
        return self._request("POST", _path(memory_id, "snooze"), Memory, options, until=until)

    @Call
    def stats(self, **options: Unpack[Scoped]) -> Description[StatsAnswer]:
        """Number of memories in the namespace, and of tokens in them, by memory type."""
        return self._get("/v1/stats", StatsAnswer, options)

    @Call
    def decisions(self, **options: Unpack[DecisionOptions]) -> Description[DecisionsAnswer]:
        """Decisions that the service made by itself, such as to merge two memories, with reasons,
        newest first.
        """
        return self._get("/v1/decisions", DecisionsAnswer, options)

    @Call
    def classify(self, content: str, context: str | None = None) -> Description[ClassifyAnswer]:
        """The memory type that the service chooses for a text. context: the text around it."""
        body = encode({"content": content, "context": context})
        return Request("POST", "/v1/classify", ClassifyAnswer, body=body, repeatable=True)

    @Call
    def review(
        self, content: str, type: MemoryType | None = None, **options: Unpack[Scoped]
    ) -> Description[ReviewAnswer]:
        """Let models (reviewers) vote whether a text is worth storing. Stores nothing."""
        return self._ask("/v1/review", ReviewAnswer, options, content=content, type=type)

    @Call
    def receipt(self, receipt_id: str, *, contents: bool = False) -> Description[ReceiptAnswer]:
        """The receipt of a retrieval: why each candidate is in the context or not. contents: also
        return the texts.
        """
        path = f"/v1/receipts/{segment(receipt_id)}"
        return Request("GET", path, ReceiptAnswer, query={"contents": contents}, repeatable=True)

    @Call
    def verify(self, receipt_id: str) -> Description[ReceiptVerdict]:
        """Check whether a receipt (the record of a retrieval) is consistent and unaltered. Returns
        every result.
        """
        return Request(
            "POST", f"/v1/receipts/{segment(receipt_id)}/verify", ReceiptVerdict, repeatable=True
        )

    @Call
    def replay(self, receipt_id: str) -> Description[ReplayAnswer]:
        """Repeat the retrieval that a receipt records. Returns whether the context is the same, and
        what changed.
        """
        return Request(
            "POST", f"/v1/receipts/{segment(receipt_id)}/replay", ReplayAnswer, repeatable=True
        )

    @Call
    def agent_context(
        self, agent_id: str, **options: Unpack[AgentOptions]
    ) -> Description[AgentContextAnswer]:
        """An agent's whole context: memories, its threads, working memory, and tasks that are
        due.
        """
        return self._ask(f"/v1/agents/{segment(agent_id)}/context", AgentContextAnswer, options)

    @Call
    def models(self, category: str | None = None) -> Description[ModelsAnswer]:
        """The language models that the service knows. category: such as "fast", "long" or "code";
        by default all models.
        """
        return Request(
            "GET", "/v1/models", ModelsAnswer, query={"category": category}, repeatable=True
        )

    @Call
    def resolve_model(
        self, task: str | None = None, *, name: str | None = None
    ) -> Description[ResolvedModel]:
        """Find a language model by name, or the best for a task or category of the registry, such
        as "code_review" or "fast", if `name` is None.

        The answer also says how many tokens of the model's context window each part of a call may
        take.
        """
        named = {"task": task} if name is None else {"name": name}
        return Request(
            "POST", "/v1/models/resolve", ResolvedModel, body=encode(named), repeatable=True
        )

    @Call
    def count_tokens(
        self,
        text: str | None = None,
        *,
        messages: Iterable[Mapping[str, str]] | None = None,
        model: str | None = None,
        tokenizer: str | None = None,
    ) -> Description[CountAnswer]:
        """How many tokens a text, or the messages of a chat (each a role and content), have for a
        language model or by a tokenizer.
        """
        chat = None if messages is None else [dict(message) for message in messages]
        counted = {"text": text, "messages": chat, "model": model, "tokenizer": tokenizer}
        body = {name: value for name, value in counted.items() if value is not None}
        return Request("POST", "/v1/tokens/count", CountAnswer, body=encode(body), repeatable=True)

    @Call
    def live(self) -> Description[HealthAnswer]:
        """Whether the service's process responds."""
        return Request("GET", "/health/live", HealthAnswer, repeatable=True)

    @Call
    def ready(self) -> Description[HealthAnswer]:
        """Whether every part of the service, such as the store, responds. checks: the result for
        each part.
        """
        return Request("GET", "/health/ready", HealthAnswer, repeatable=True, accepts=(503,))


def _path(memory_id: str, call: str = "") -> str:
    return f"/v1/memories/{segment(memory_id)}" + (f"/{call}" if call else "")

"""The functions behind the MCP tools, which answer with text. The scope comes from the connection,
not the model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.auth.keys import Caller, Role
from api.http.mcp import catalog, texts
from api.http.problems import validated
from api.http.shapes.memories import MemoryAnswer, MemoryPost
from api.http.use_cases import (
    read_memory,
    readable_receipts,
    remove_memory,
    run_retrieve,
    run_search,
    valid_id,
)
from api.wiring.container import Services
from ingest.writing.outcome import WriteStatus
from ingest.writing.versions import history_of
from memtypes.model.errors import InvalidRequest, NotFound
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Status
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from retrieval.query.request import DEFAULT_TOKENIZER, RetrieveRequest, SearchRequest
from retrieval.receipts.model import Receipt

SOURCE = "mcp"
"""Name of the caller in the `source` of memories that a model writes by MCP."""

MAX_DECISIONS = 30
"""Maximum number of decisions that memory_why lists, the newest first."""

CONNECTION = "remembrancer_connection"
"""Key in the ASGI scope under which the MCP server finds the call's McpConnection."""


@dataclass(frozen=True, slots=True)
class McpConnection:
    """What an MCP call's key and headers say: its caller, namespace, agent (None if not named) and
    set of tools.
    """

    caller: Caller
    namespace: str
    agent_id: str | None = None
    preset: catalog.ToolPreset = catalog.ToolPreset.DEFAULT

    @property
    def may_write(self) -> bool:
        """Whether the API key may change memories."""
        return self.caller.role.may(Role.WRITER)

    @property
    def agent(self) -> str | None:
        """The agent of the call, if any. Raises InvalidRequest if the key has several, AccessDenied
        for another.
        """
        return self.caller.required_agent(self.agent_id)

    @property
    def scope(self) -> Scope:
        """The scope (tenant, namespace and agents) that the call may read and write. Raises the
        errors of `agent`.
        """
        return self.caller.scope(self.namespace, None, self.agent)


async def recall(
    services: Services, connection: McpConnection, arguments: catalog.RecallArguments
) -> str:
    """Recall memories as text that ends with the receipt's id. All of it fits the budget by
    cl100k_base.
    """
    count = services.tokenizers[DEFAULT_TOKENIZER].count
    fields = {
        **_ranked(connection, arguments),
        "as_of": arguments.as_of,
        "types": arguments.types,
        "budget": max(0, arguments.budget - texts.footer_tokens(arguments.budget, count)),
        "include_working": False,
        "working_budget": 0,
    }
    answer = await run_retrieve(services, connection.scope, validated(RetrieveRequest, fields))
    return texts.recalled_text(answer, arguments.budget, count)


async def search(
    services: Services, connection: McpConnection, arguments: catalog.SearchArguments
) -> str:
    """Search for the best memories for a query. Returns one line of text for each memory."""
    request = validated(SearchRequest, {**_ranked(connection, arguments), "top_k": arguments.limit})
    return texts.hit_lines((await run_search(services, connection.scope, request)).hits)


def _ranked(
    connection: McpConnection, arguments: catalog.RecallArguments | catalog.SearchArguments
) -> dict[str, Any]:
    return {
        "query": arguments.query,
        "namespace": connection.namespace,
        "agent_id": connection.agent,
    }


async def remember(
    services: Services, connection: McpConnection, arguments: catalog.RememberArguments
) -> str:
    """Write a memory and return how it was stored. Raises InvalidInput, or InvalidRequest if it was
    rejected.
    """
    kind = arguments.type or (MemoryType.PROSPECTIVE if arguments.due else None)
    if arguments.due and kind != MemoryType.PROSPECTIVE:
        raise InvalidRequest("only a to-do, of type prospective, can be due", path="due")
    fields = {
        "namespace": connection.namespace,
        "agent_id": connection.agent,
        "source": SOURCE,
        "content": arguments.content,
        "type": kind,
        "due_at": arguments.due and rfc3339(arguments.due),
        "tags": arguments.tags,
        "importance": arguments.importance,
    }
    post = validated(
        MemoryPost, {name: value for name, value in fields.items() if value is not None}
    )
    outcome = await services.ingestor.write_one(connection.scope, post.root.submission())
    if outcome.status is WriteStatus.REJECTED:
        raise InvalidRequest(f"not stored: {outcome.reason}")
    return texts.written_text(outcome)


async def correct(
    services: Services, connection: McpConnection, arguments: catalog.CorrectArguments
) -> str:
    """Change a memory and return what changed. Raises NotFound, Conflict for equal content, or
    InvalidRequest.
    """
    scope = connection.scope
    before = await read_memory(services, scope, arguments.id)
    changes = arguments.model_dump(include={"content", "pinned"}, exclude_none=True)
    if not changes and arguments.done is None:
        raise InvalidRequest("say what to change: content, pinned or done")
    after = before
    if arguments.done is not None:
        if before.type is not MemoryType.PROSPECTIVE:
            raise InvalidRequest(
                f"only a to-do can be done or open; this memory is {before.type}", path="done"
            )
        if arguments.done:
            after = await services.intentions.end(scope, before.id, Status.COMPLETED)
        else:
            after = await services.ingestor.editor.revise(
                scope, before.id, {"status": Status.PENDING}
            )
    if changes:
        after = await services.ingestor.editor.revise(scope, before.id, changes)
    return texts.corrected_text(before, after)


async def forget(
    services: Services, connection: McpConnection, arguments: catalog.ForgetArguments
) -> str:
    """Delete a memory and return its id and first words. Raises NotFound for an unknown id."""
    memory = await read_memory(services, connection.scope, arguments.id)
    await remove_memory(services, connection.scope, memory.id)
    return f"deleted {memory.id}: {texts.first_words(memory.content)}"


async def why(
    services: Services, connection: McpConnection, arguments: catalog.WhyArguments
) -> str:
    """Explain a recall, a memory, or both; without either, what the service decided by itself.
    Raises NotFound.
    """
    if arguments.receipt_id is not None:
        receipt = Receipt.read(await receipt_json(services, connection, arguments.receipt_id))
        if arguments.id is not None:
            return texts.candidate_text(receipt, valid_id(arguments.id))
        memories = await services.receipts.memories(connection.scope, receipt)
        return texts.receipt_text(receipt, memories)
    if arguments.id is None:
        latest = await services.decisions.latest(connection.scope, None, MAX_DECISIONS)
        return texts.decision_lines(latest)
    memory = await read_memory(services, connection.scope, arguments.id)
    return texts.memory_text(
        memory, await history_of(services.store, connection.scope, memory, services.clock())
    )


async def undo(
    services: Services, connection: McpConnection, arguments: catalog.UndoArguments
) -> str:
    """Undo the latest decision about a memory or a text; return the first words of what came back.
    Raises NotFound, or Conflict if there is nothing to undo.
    """
    restored = await services.decisions.undo(connection.scope, valid_id(arguments.id))
    memories = await services.store.get(connection.scope, restored)
    return texts.restored_lines(memories[known] for known in restored if known in memories)


async def receipt_json(services: Services, connection: McpConnection, receipt_id: str) -> bytes:
    """The stored JSON of a receipt. Raises NotFound if the connection's namespace has no such
    receipt.
    """
    receipts = await readable_receipts(services, connection.caller, receipt_id)
    text = await receipts.text(connection.caller.tenant, receipt_id)
    if Receipt.read(text).request["namespace"] != connection.namespace:
        raise NotFound("this namespace has no such receipt")
    return text


async def memory_json(services: Services, connection: McpConnection, memory_id: str) -> str:
    """A memory as JSON, as GET /v1/memories/{id} answers it. Raises NotFound for an unknown id."""
    return MemoryAnswer(await read_memory(services, connection.scope, memory_id)).model_dump_json()


TOOL_CALLS: Mapping[str, Callable[[Services, McpConnection, Any], Awaitable[str]]] = {
    "memory_recall": recall,
    "memory_remember": remember,
    "memory_search": search,
    "memory_correct": correct,
    "memory_forget": forget,
    "memory_why": why,
    "memory_undo": undo,
}
"""The function that runs each tool of the catalog, by the tool's name."""

"""Functions that routes, MCP tools, hooks and inspector pages share: search, retrieval, receipts,
memories by id.

Secrets are redacted from queries, as they are from texts to be stored, because receipts store the
queries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread

from api.auth.keys import Caller
from api.wiring.container import Services
from ingest.screening.redaction.redactor import ID_FIELDS
from ingest.working.intentions import DueRequest
from memtypes.model.errors import AccessDenied, Conflict, NotFound
from memtypes.model.filters import parse_filter
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.working import Working
from memtypes.offload import offload
from memtypes.ports.encoders import Tokenizer
from retrieval.answer import RetrieveAnswer, SearchAnswer
from retrieval.context.thread import ThreadContext, thread_context
from retrieval.query.request import RankedRequest, RetrieveRequest, SearchRequest
from retrieval.receipts.service import Receipts

UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

_RequestT = TypeVar("_RequestT", bound=RankedRequest)


async def run_search(services: Services, scope: Scope, request: SearchRequest) -> SearchAnswer:
    """Search without the secrets in the query. Raises InvalidRequest (filter, or secret in an id)
    and Unavailable.
    """
    answer = await services.retriever.search(
        scope, await redact_query(services, scope.tenant, request)
    )
    services.metrics.count_context("search", 0, answer.degraded)
    return answer


async def run_retrieve(
    services: Services, scope: Scope, request: RetrieveRequest
) -> RetrieveAnswer:
    """Remove secrets from the query, and retrieve. Raises InvalidRequest for a bad filter or id,
    and Unavailable.
    """
    answer = await services.retriever.retrieve(
        scope, await redact_query(services, scope.tenant, request)
    )
    services.metrics.count_context(
        "retrieve", answer.metadata.total_tokens, answer.metadata.degraded
    )
    return answer


async def redact_query(services: Services, tenant: str, request: _RequestT) -> _RequestT:
    """A copy of `request` without the secrets in its query and filters, by the tenant's rules. Ids
    are not changed.

    Raises InvalidRequest for a malformed filter or a secret in an id, and Unavailable when
    redaction could not run.
    """
    if request.filters is not None:
        parse_filter(request.filters)  # first, because it limits how much text there is to redact
    redactor = services.examiner.redactor
    ids = {name: getattr(request, name, None) for name in ("session_id", "agent_id", "todo_id")}
    redactor.check_ids(tenant, ids | {"filters": list(_filtered_ids(request.filters))})

    def redact(text: str) -> str:
        return redactor.clean_query(tenant, text).value

    def redact_all() -> dict[str, Any]:
        return {
            "query": redact(request.query),
            "filters": _redacted_filter(request.filters, redact),
        }

    changes = await offload([request.query, str(request.filters)], redact_all)
    return request.model_copy(
        update={name: new for name, new in changes.items() if new != getattr(request, name)}
    )


def _redacted_filter(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {
            name: term if name in ID_FIELDS else _redacted_filter(term, redact)
            for name, term in value.items()
        }
    if isinstance(value, list):
        return [_redacted_filter(term, redact) for term in value]
    return redact(value) if isinstance(value, str) else value


def _filtered_ids(value: Any, *, inside: bool = False) -> Iterator[str]:
    """The texts that a filter compares with ids. inside: whether `value` is what it compares such a
    field with.
    """
    if isinstance(value, dict):
        for name, operand in value.items():
            yield from _filtered_ids(
                operand, inside=inside or name in ID_FIELDS or name.startswith("links.")
            )
    elif isinstance(value, list):
        for operand in value:
            yield from _filtered_ids(operand, inside=inside)
    elif inside and isinstance(value, str):
        yield value


async def mark_due_tasks(
    services: Services, scope: Scope, request: RetrieveRequest, answer: RetrieveAnswer
) -> None:
    """Mark tasks in the answer as fired (not due again) if their time has come or the query meets
    their condition.
    """
    task_ids = [item.id for item in answer.items if item.type is MemoryType.PROSPECTIVE]
    await services.intentions.fire(scope, due_request(services, request), task_ids)


def due_request(services: Services, request: RetrieveRequest) -> DueRequest:
    """A request to the task service for tasks whose time has come or whose condition the query of
    `request` meets.
    """
    return DueRequest(services.clock(), context=request.query, session_id=request.session_id)


async def readable_receipts(services: Services, caller: Caller, receipt_id: str) -> Receipts:
    """Check that `caller` may read the receipt `receipt_id`, and return the service that reads
    stored receipts.

    Only a caller whose API key is bound to agents is checked. Raises AccessDenied if another agent
    made the retrieval that the receipt records, NotFound if there is no such receipt, and
    Unavailable if receipts cannot be read.
    """
    if caller.agents:
        text = await services.receipts.text(caller.tenant, receipt_id)
        agent_id = json.loads(text)["request"].get("agent_id")
        if agent_id not in caller.agents:
            raise AccessDenied("this receipt is of a retrieval by another agent")
    return services.receipts


async def build_thread_context(
    services: Services,
    scope: Scope,
    thread_id: str,
    budget: int,
    counter: Tokenizer,
    *,
    files: bool = True,
) -> ThreadContext:
    """The context of a thread in at most `budget` tokens, as `counter` counts.

    The turns of this thread in the context are marked as used now, which delays their eviction
    under an LRU policy; turns of threads that it continues are not. files: whether to list the
    files and images that turns mention.
    """
    threads = services.threads
    policy = await threads.policy(scope, thread_id)
    tokens = budget
    while True:
        tails = await threads.tails(scope, thread_id, tokens)
        build = partial(thread_context, tails, budget, counter, policy.allocation, files=files)
        context = await anyio.to_thread.run_sync(build)
        if not context.needs_more:
            break
        tokens = 4 * max(tokens, 1)  # the stored counts are those of another tokenizer
    await threads.store.use(
        scope, thread_id, [index for owner, index in context.turns if owner == thread_id]
    )
    return replace(context, gap=len(tails) <= len(tails[-1].thread.ancestors))


async def read_memory(services: Services, scope: Scope, memory_id: str) -> Memory:
    """The memory with its current state, such as replaced, or the live working item with this id.
    Raises NotFound if this namespace has neither.
    """
    memory_id = valid_id(memory_id)
    memory = (await services.store.get(scope, [memory_id])).get(memory_id)
    item = await _live_item(services, scope, memory_id, memory)
    if item is not None:
        return item
    if memory is None:
        raise NotFound(f"no memory {memory_id} in namespace {scope.namespace!r}")
    return memory.at(services.clock())


async def revise_memory(
    services: Services, scope: Scope, memory_id: str, changes: dict[str, Any]
) -> Memory:
    """Change fields of a memory; return it as read back. Raises what `MemoryEditor.revise` raises,
    and Conflict for a live working item.
    """
    memory_id = valid_id(memory_id)
    await _refuse_live_item(services, scope, memory_id)
    return await services.ingestor.editor.revise(scope, memory_id, changes)


async def retract(services: Services, scope: Scope, memory_id: str, reason: str | None) -> Memory:
    """Mark a memory as wrong; return it as read back. Raises NotFound, and Conflict for a live
    working item.
    """
    memory_id = valid_id(memory_id)
    await _refuse_live_item(services, scope, memory_id)
    return await services.ingestor.editor.retract(scope, memory_id, reason)


async def _refuse_live_item(services: Services, scope: Scope, memory_id: str) -> None:
    memory = (await services.store.get(scope, [memory_id])).get(memory_id)
    if await _live_item(services, scope, memory_id, memory) is not None:
        raise Conflict(
            "this is a live item of working memory, which can't be changed; clear it with "
            "POST /v1/working/clear, and create another with POST /v1/working"
        )


async def _live_item(
    services: Services, scope: Scope, memory_id: str, memory: Memory | None
) -> Working | None:
    """The live working item with this id; None if there is none. memory: what the memory store has
    under the id.

    Of one id, the live store has the newer state: the memory is from an earlier life of the item.
    """
    if memory is not None and not isinstance(memory, Working):
        return None
    return await services.working.find(scope, memory_id)


async def remove_memory(services: Services, scope: Scope, memory_id: str) -> None:
    """Delete a memory, or a working item from the live store and the memory store. Raises NotFound
    for an unknown id.
    """
    memory_id = valid_id(memory_id)
    memory = (await services.store.get(scope, [memory_id])).get(memory_id)
    forgotten = 0
    if memory is None or isinstance(memory, Working):
        forgotten = await services.working.forget(scope, memory_id)
    removed = await services.ingestor.editor.remove(scope, [memory_id])
    if not forgotten and not removed:
        raise NotFound(f"no memory {memory_id} in namespace {scope.namespace!r}")


def valid_id(memory_id: str) -> str:
    """`memory_id` in lower case. Raises NotFound if it is not a UUID, since no memory can have such
    an id.
    """
    if not re.fullmatch(UUID, memory_id):
        raise NotFound("no memory of this id in this namespace")
    return memory_id.lower()

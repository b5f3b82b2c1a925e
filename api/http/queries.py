"""Search and retrieve as the HTTP API and the command line run them: redacted, scoped, and counted by a provider.

A query is kept in its receipt, so its secrets are removed like those of a text that is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from api.wiring.container import Services
from ingest.screening.redaction.redactor import ID_FIELDS
from memtypes.model.filters import parse_filter
from memtypes.model.scope import Scope
from memtypes.offload import offload
from retrieval.answer import RetrieveAnswer, SearchAnswer
from retrieval.query.request import RankedRequest, RetrieveRequest, SearchRequest

RequestT = TypeVar("RequestT", bound=RankedRequest)


async def search(services: Services, tenant: str, request: SearchRequest) -> SearchAnswer:
    """Hits, best first. Raises InvalidRequest or Unavailable."""
    redacted = await redact_query(services, tenant, request)
    return await services.retriever.search(_scope(tenant, redacted), redacted)


async def retrieve(services: Services, tenant: str, request: RetrieveRequest) -> RetrieveAnswer:
    """A context, its items and their cost. Raises InvalidRequest or Unavailable."""
    redacted = await redact_query(services, tenant, request)
    answer = await services.retriever.retrieve(_scope(tenant, redacted), redacted)
    return await count_by_provider(services, redacted.model, answer)


def _scope(tenant: str, request: RankedRequest) -> Scope:
    return Scope(tenant, request.namespace, request.session_id, request.agent_id)


async def redact_query(services: Services, tenant: str, request: RequestT) -> RequestT:
    """`request` with its query and filters redacted by the tenant's rules. Ids in filters stay, as they are addresses.

    Raises InvalidRequest for a filter that is malformed, and Unavailable when redaction could not run.
    """
    if request.filters is not None:
        parse_filter(request.filters)  # first, because it limits how much text there is to redact
    if services.examiner is None:
        return request
    redactor = services.examiner.redactor

    def redact(text: str) -> str:
        redacted: str = redactor.clean_query(tenant, text).value
        return redacted

    def redact_all() -> dict[str, Any]:
        return {"query": redact(request.query), "filters": _redacted_filter(request.filters, redact)}

    changes = await offload([request.query, str(request.filters)], redact_all)
    return request.model_copy(update={name: new for name, new in changes.items() if new != getattr(request, name)})


def _redacted_filter(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name: part if name in ID_FIELDS else _redacted_filter(part, redact) for name, part in value.items()}
    if isinstance(value, list):
        return [_redacted_filter(part, redact) for part in value]
    return redact(value) if isinstance(value, str) else value


async def count_by_provider(services: Services, model: str | None, answer: RetrieveAnswer) -> RetrieveAnswer:
    """`answer` with its tokens as counted by the model's provider.

    Unchanged where the registry names no endpoint for the model, or the provider does not answer.
    """
    if model is None or services.counter is None or services.models().endpoint(model) is None:
        return answer
    context = answer.context
    text = context if isinstance(context, str) else "\n".join(message.content for message in context)
    counted = await services.counter.count(text, model)
    if not counted.exact:
        return answer
    metadata = answer.metadata.model_copy(update={"model_tokens": counted.tokens})
    return answer.model_copy(update={"metadata": metadata})

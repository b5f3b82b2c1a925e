"""The two questions as they are asked over HTTP and on the command line: without their secrets, within their scope.

What is asked stands in receipts, so it is looked through as what is written is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from api.http.provider_counts import counted_by_provider
from api.wiring.container import Services
from ingest.screening.redaction.redactor import ID_FIELDS
from memtypes.model.filters import parse_filter
from memtypes.model.scope import Scope
from memtypes.offload import offload
from retrieval.answer import RetrieveAnswer, SearchAnswer
from retrieval.query.request import RankedRequest, RetrieveRequest, SearchRequest

AskedT = TypeVar("AskedT", bound=RankedRequest)


async def searched(services: Services, tenant: str, sent: SearchRequest) -> SearchAnswer:
    """Hits, best first. Raises Unavailable, as `without_secrets` does."""
    asked = await without_secrets(services, tenant, sent)
    return await services.retriever.search(_scope(tenant, asked), asked)


async def retrieved(services: Services, tenant: str, sent: RetrieveRequest) -> RetrieveAnswer:
    """A context, what is in it, and what it cost. Raises Unavailable, as `without_secrets` does."""
    asked = await without_secrets(services, tenant, sent)
    found = await services.retriever.retrieve(_scope(tenant, asked), asked)
    return await counted_by_provider(services, asked.model, found)


def _scope(tenant: str, asked: RankedRequest) -> Scope:
    return Scope(tenant, asked.namespace, asked.session_id, asked.agent_id)


async def without_secrets(services: Services, tenant: str, asked: AskedT) -> AskedT:
    """`asked`, its query and filters as the tenant's rules keep texts; ids in filters stay, as they are addresses.

    Raises InvalidRequest for what is no filter, and Unavailable when redaction could not run.
    """
    if asked.filters is not None:
        parse_filter(asked.filters)  # before it is looked through: it may be far too long
    if services.examiner is None:
        return asked
    redactor = services.examiner.redactor

    def clean(text: str) -> str:
        cleaned: str = redactor.clean_query(tenant, text).value
        return cleaned

    def cleaned() -> dict[str, Any]:
        return {"query": clean(asked.query), "filters": _cleaned(asked.filters, clean)}

    changes = await offload([asked.query, str(asked.filters)], cleaned)
    return asked.model_copy(update={name: new for name, new in changes.items() if new != getattr(asked, name)})


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """A filter with each text in it cleaned, except for ids."""
    if isinstance(value, dict):
        return {name: one if name in ID_FIELDS else _cleaned(one, clean) for name, one in value.items()}
    if isinstance(value, list):
        return [_cleaned(one, clean) for one in value]
    return clean(value) if isinstance(value, str) else value

"""Questions without their secrets: what is asked stands in receipts, so it is looked through as what is written is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from api.services import Services
from ingest.redaction.gate import IDS
from retrieval.request import RankedRequest

AskedT = TypeVar("AskedT", bound=RankedRequest)


def without_secrets(services: Services, tenant: str, asked: AskedT) -> AskedT:
    """`asked`, its query and filters as the tenant's rules keep texts; ids in filters stay, as they are addresses.

    Raises Unavailable when redaction could not run.
    """
    if services.examiner is None:
        return asked
    redactor = services.examiner.redactor

    def clean(text: str) -> str:
        cleaned: str = redactor.asked(tenant, text).value
        return cleaned

    changes = {"query": clean(asked.query), "filters": _cleaned(asked.filters, clean)}
    return asked.model_copy(update={name: new for name, new in changes.items() if new != getattr(asked, name)})


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """A filter with each text in it cleaned, except for ids."""
    if isinstance(value, dict):
        return {name: one if name in IDS else _cleaned(one, clean) for name, one in value.items()}
    if isinstance(value, list):
        return [_cleaned(one, clean) for one in value]
    return clean(value) if isinstance(value, str) else value

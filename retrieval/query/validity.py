"""Which memories a question is about: current at its time, and let through by the caller's filters."""

from __future__ import annotations

from datetime import datetime

from memtypes.model.filters import Absent, AnyOf, Compare, Filter, Not, Op, all_of, parse_filter
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Status
from retrieval.query.request import RankedRequest


def current_view(as_of: datetime) -> Filter:
    """Holds for what was valid at `as_of`: begun, not superseded yet, not expired yet."""
    return all_of(Compare("valid_from", Op.LTE, as_of), _open_at("valid_to", as_of), _open_at("expires_at", as_of))


def _open_at(field: str, as_of: datetime) -> Filter:
    return AnyOf((Absent(field), Compare(field, Op.GT, as_of)))


def asked_about(request: RankedRequest, as_of: datetime) -> Filter:
    """The current view at `as_of` and the caller's own filters. Raises InvalidRequest for a filter with a mistake."""
    return all_of(current_view(as_of), None if request.filters is None else parse_filter(request.filters))


def wanted_in_context(kind: MemoryType) -> Filter | None:
    """What a context leaves out on top: intentions that are over, working items that were cleared."""
    if kind is MemoryType.PROSPECTIVE:
        return Not(Compare("status", Op.ANY, (str(Status.COMPLETED), str(Status.CANCELLED))))
    if kind is MemoryType.WORKING:
        return Absent("cleared_at")
    return None


def names_status(request: RankedRequest) -> bool:
    """Whether the caller's filters speak of the status themselves."""
    return request.filters is not None and "'status':" in repr(request.filters)

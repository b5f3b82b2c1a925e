"""Store filters for the memories that a query may find: valid at the time it asks about, and
matching `filters`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from memtypes.model.filters import (
    Absent,
    All,
    AnyOf,
    Compare,
    Filter,
    Not,
    Op,
    all_of,
    ends_after,
    in_view,
    leaves,
    open_tasks,
    parse_filter,
    with_states,
)
from memtypes.model.memory import State
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.prospective import Status
from retrieval.query.intent import asks_for_former
from retrieval.query.named_times import QueryTimes
from retrieval.query.request import RankedRequest, RetrieveRequest

TypeFilters: TypeAlias = dict[MemoryType, Filter]


def search_filters(request: RankedRequest, times: QueryTimes) -> TypeFilters:
    """For each type that a search covers, a filter for its valid memories. Raises InvalidRequest
    for bad `filters`.
    """
    caller_filter = _caller_filter(request)
    former = _former(request, times, caller_filter) if _compares(caller_filter, "state") else None
    return dict.fromkeys(
        request.types or MemoryType, _valid_or_former(caller_filter, times.as_of, former)
    )


def context_filters(
    request: RetrieveRequest, times: QueryTimes, *, with_completed: bool = False
) -> TypeFilters:
    """For each memory type that a context may contain, the filter of its memories.

    Cancelled intentions, and completed or lapsed ones unless `with_completed`, are left out if the
    request does not filter by status. Working items that are not cleared are included if
    include_working is true and working_budget above 0. Replaced memories are included if the query
    asks for a former state ("What was the limit before?") or names a past time at which they were
    valid ("Which limit did we have in May?"). Raises InvalidRequest for a malformed filter.
    """
    caller_filter = _caller_filter(request)
    where = _valid_or_former(caller_filter, times.as_of, _former(request, times, caller_filter))
    filters = dict.fromkeys(_long_term_types(request), where)
    if MemoryType.PROSPECTIVE in filters and not _compares(caller_filter, "status"):
        cancelled = with_states(Compare("status", Op.EQ, str(Status.CANCELLED)), times.as_of)
        shown = Not(cancelled) if with_completed else open_tasks(times.as_of)
        filters[MemoryType.PROSPECTIVE] = all_of(where, shown)
    if request.include_working and request.working_budget > 0:
        filters[MemoryType.WORKING] = all_of(valid_at(times.as_of), Absent("cleared_at"))
    return filters


def ended_filters(request: RankedRequest, times: QueryTimes) -> TypeFilters:
    """For each long-term type, a filter for memories that had expired or been replaced by newer
    ones.

    It excludes the replaced memories that `context_filters` includes.
    """
    caller_filter = _caller_filter(request)
    as_of = times.as_of
    former = _former(request, times, caller_filter)
    replaced = all_of(
        Compare("valid_to", Op.LTE, as_of), Not(Compare("state_until", Op.LTE, as_of))
    )
    ended = AnyOf((Compare("expires_at", Op.LTE, as_of), all_of(replaced, former and Not(former))))
    return dict.fromkeys(
        _long_term_types(request),
        all_of(ended, caller_filter and with_states(caller_filter, as_of)),
    )


def valid_at(as_of: datetime) -> Filter:
    """Filter for memories valid at `as_of`: begun, not expired, and not replaced by newer ones (or
    restored since).
    """
    return all_of(Compare("valid_from", Op.LTE, as_of), in_view(as_of))


def _former(
    request: RankedRequest, times: QueryTimes, caller_filter: Filter | None
) -> Filter | None:
    """Filter for the replaced memories that a request asks for: all, or those valid at a past time;
    None for none. What never was true is found only by a filter on `state`.
    """
    unexpired: Filter = ends_after("expires_at", times.as_of)
    if _compares(caller_filter, "state"):
        return unexpired
    unexpired = all_of(unexpired, Not(Compare("state", Op.EQ, str(State.WRONG))))
    if asks_for_former(request.query):
        return unexpired
    valid_then = [
        All((Compare("valid_from", Op.LT, past.end), Compare("valid_to", Op.GT, past.start)))
        for past in times.past
    ]
    return (
        All((unexpired, Not(Absent("superseded_by")), AnyOf(tuple(valid_then))))
        if valid_then
        else None
    )


def _valid_or_former(
    caller_filter: Filter | None, as_of: datetime, former: Filter | None
) -> Filter:
    """Filter for memories that match the caller's filter and are valid at `as_of`, or match
    `former`.
    """
    asked_for = caller_filter and with_states(caller_filter, as_of)
    if former is None:
        return all_of(valid_at(as_of), asked_for)
    begun = Compare("valid_from", Op.LTE, as_of)
    shown = AnyOf((in_view(as_of), former))
    return all_of(begun, shown, asked_for)


def _compares(tree: Filter | None, field: str) -> bool:
    return tree is not None and any(leaf.field == field for leaf in leaves(tree))


def _caller_filter(request: RankedRequest) -> Filter | None:
    return None if request.filters is None else parse_filter(request.filters)


def _long_term_types(request: RankedRequest) -> list[MemoryType]:
    return [kind for kind in request.types or LONG_TERM if kind is not MemoryType.WORKING]

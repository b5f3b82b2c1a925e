"""Reads what a namespace has that concerns texts about to be written: memories by id, similar ones,
tasks with the same text, and what these link to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from memtypes.model.filters import Compare, Filter, Not, Op, all_of, in_view
from memtypes.model.memory import LinkType
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import Status
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import SimilarSearch
from memtypes.search.candidates import Candidates
from memtypes.search.columns import TERMS
from memtypes.search.vectors import SparseVector, heaviest, term_column
from memtypes.stores.operations.conditions import (
    EVERYTHING,
    Condition,
    equals,
    to_condition,
    within,
)
from memtypes.stores.operations.searching import TypedSearch, find_candidates
from memtypes.stores.operations.vector_engine import EngineOperations, Payload, Scroll

MAX_TASKS = 500
"""Maximum number of tasks with the same texts that are read."""

LINK_STEPS = 2
"""How many links after one another are followed: enough for a fact that is replaced by another,
which was contested by a third.
"""

_PUBLIC = equals("visibility", Visibility.NAMESPACE)
_ENDED = (Status.COMPLETED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class RelatedPayloads:
    """The payloads of the memories that were found, and the ids of links that lead to none.

    similar: for each search, the ids of its hits with their cosines, the nearest first; None as the
    cosine of a hit of a sparse search.
    """

    payloads: list[Payload]
    absent: list[str]
    similar: list[dict[str, float | None]]


async def read_related(
    engine: EngineOperations,
    *,
    scope: Scope,
    ids: dict[MemoryType, list[str]],
    searches: list[SimilarSearch],
    current: Condition,
    tasks: list[str],
) -> RelatedPayloads:
    """Read the memories with these ids, those that the searches find, the tasks with one of the
    content hashes `tasks`, and what these link to.

    current: condition for hits that are read in addition if past ones fill a search.
    """
    similar = await _nearest(engine, scope, searches)
    wanted = {kind: dict.fromkeys(ids_of_type) for kind, ids_of_type in ids.items()}
    for search, hits in zip(searches, similar, strict=True):
        wanted.setdefault(search.kind, {}).update(dict.fromkeys(hits))
    payloads = await _payloads(engine, scope, wanted)

    # Earlier values of a fact, or ended tasks, may have kept the current one out of the hits.
    crowded = [
        at
        for at, hits in enumerate(similar)
        if len(hits) >= searches[at].depth and any(_is_past(payloads.get(known)) for known in hits)
    ]
    if crowded:
        again = [searches[at] for at in crowded]
        more = await _nearest(engine, scope, again, current)
        wanted = {}
        for at, search, hits in zip(crowded, again, more, strict=True):
            similar[at] = {**similar[at], **hits}
            wanted.setdefault(search.kind, {}).update(dict.fromkeys(hits))
        payloads |= await _payloads(engine, scope, wanted, payloads)

    if tasks:
        has_text = to_condition(Compare("content_hash", Op.ANY, tuple(sorted(set(tasks)))))
        scroll = Scroll(within(scope, has_text), MAX_TASKS)
        payloads |= (await engine.scroll({MemoryType.PROSPECTIVE: scroll}))[MemoryType.PROSPECTIVE]

    absent: list[str] = []
    linking = list(payloads.values())
    for _ in range(LINK_STEPS):
        ends = {end for payload in linking for end in _ends(payload)}
        ends -= payloads.keys() | set(absent)
        if not ends:
            break
        everywhere = dict.fromkeys(MemoryType, dict.fromkeys(sorted(ends)))
        linked = await _payloads(engine, scope, everywhere)
        absent += sorted(ends - linked.keys())
        payloads |= linked
        linking = list(linked.values())
    return RelatedPayloads(list(payloads.values()), absent, similar)


def current_at(now: datetime) -> Filter:
    """Filter for memories that hold at `now`: not replaced, expired, completed or cancelled."""
    return all_of(in_view(now), Not(Compare("status", Op.ANY, _ENDED)))


async def _nearest(
    engine: EngineOperations,
    scope: Scope,
    searches: Sequence[SimilarSearch],
    condition: Condition = EVERYTHING,
) -> list[dict[str, float | None]]:
    typed: list[TypedSearch] = []
    for search in searches:
        wheres = {search.kind: within(scope, _PUBLIC, condition)}
        if isinstance(search.vector, SparseVector):
            typed.append(TypedSearch(wheres, None, search.vector, search.depth))
        else:
            typed.append(TypedSearch(wheres, search.vector, None, search.depth, columns=False))
    candidates = await find_candidates(engine, scope=scope, searches=typed) if typed else []
    return [_hits(search, found) for search, found in zip(searches, candidates, strict=True)]


def _hits(search: SimilarSearch, candidates: Candidates) -> dict[str, float | None]:
    if isinstance(search.vector, SparseVector):
        [terms] = term_column([heaviest(search.vector)])
        terms = terms[terms > 0]
        shared = np.isin(candidates.columns.column(TERMS), terms).sum(axis=1)
        enough = candidates.ids[shared >= search.minimum * len(terms)]
        return {found.decode(): None for found in sorted(enough.tolist())}
    if candidates.dense is None:
        return {}
    # NaN, which stands for no cosine, compares as false
    rows = np.flatnonzero(candidates.dense >= search.minimum)
    rows = rows[np.argsort(-candidates.dense[rows], kind="stable")]
    return {candidates.ids[row].decode(): float(candidates.dense[row]) for row in rows}


async def _payloads(
    engine: EngineOperations,
    scope: Scope,
    ids: dict[MemoryType, dict[str, None]],
    read: Iterable[str] = (),
) -> dict[str, Payload]:
    """The payloads of the memories with these ids that exist, by id, without those already read."""
    passed = set(read)
    missing: dict[MemoryType, list[str]] = {}
    for kind, of_type in ids.items():
        unread = [memory_id for memory_id in of_type if memory_id not in passed]
        if unread:
            missing[kind] = unread
    payloads = await engine.payloads(scope, missing) if missing else []
    return {payload["id"]: payload for payload in payloads}


def _is_past(payload: Payload | None) -> bool:
    return payload is not None and (
        payload.get("superseded_by") is not None or payload.get("status") in _ENDED
    )


def _ends(payload: Payload) -> list[str]:
    """The ids of the memories that decide about the state of a memory: those that it contradicts,
    and the one that took its place.
    """
    ends = [link["to"] for link in payload.get("links", ()) if link["type"] == LinkType.CONTRADICTS]
    upkeep = payload.get("upkeep") or {}
    ends += [end for end in (payload.get("superseded_by"), upkeep.get("into")) if end is not None]
    return ends

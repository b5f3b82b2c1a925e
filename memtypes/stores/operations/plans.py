"""How each question but searching is carried out, in steps that every engine knows.

Every condition but that of `namespaces` is made by `within`, so nothing here reaches beyond the scope; see `searching`
for candidates.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from memtypes.model.errors import Conflict
from memtypes.model.policy import MemoryType
from memtypes.search.passage import Passage, passage_in
from memtypes.stores.operations import messages
from memtypes.stores.operations.conditions import above, has_ids, negated, of_tenant, within
from memtypes.stores.operations.keys import Keys
from memtypes.stores.operations.paging import list_page
from memtypes.stores.operations.searching import find_candidates
from memtypes.stores.operations.steps import (
    Change,
    Count,
    DropFields,
    Facet,
    Glance,
    KeysOf,
    Plan,
    Put,
    Remove,
    Scroll,
    Seen,
    SetFields,
    Write,
)

TOKENS = "tokens.count"
NAMESPACE = "namespace"
FENCE = "fence"


def plan_for(ask: messages.AnyAsk) -> Plan[Any]:
    """The plan that answers `ask`."""
    return _PLANS[type(ask)](ask)


def upsert(ask: messages.Upsert) -> Plan[None]:
    """Nothing, once the points are kept. Raises Conflict when an id belongs to another scope."""
    ids = has_ids(point.id for point in ask.points)
    (foreign,) = yield [(ask.type, Count({"must": [ids, negated(within(ask))]}))]
    if foreign:
        raise Conflict(f"{foreign} of the ids can't be used here")
    # An insert that is conditional on the scope inserts what is missing and replaces only what is the scope's own,
    # even when another writer came between.
    yield [(ask.type, Write((Put(tuple(ask.points), within(ask)),)))]


def get(ask: messages.Get) -> Plan[list[dict[str, Any]]]:
    """The payloads of the ids that exist."""
    found = yield [(kind, Scroll(within(ask, has_ids(ids)), len(ids), None)) for kind, ids in ask.ids.items()]
    return [payload for pairs in found for _, payload in pairs]


def passages(ask: messages.Passages) -> Plan[list[Passage]]:
    """The passages of the ids that exist."""
    payloads = yield from get(messages.Get(tenant=ask.tenant, namespace=ask.namespace, ids=ask.ids))
    return [passage_in(payload) for payload in payloads]


def patch(ask: messages.Patch) -> Plan[int]:
    """How many a fence held back, once the fields of the others that exist are set and dropped."""
    existing = yield from _existing(ask, (one for change in ask.changes for one in change.ids))
    writes = {kind: _patches(ask, ids) for kind, ids in existing.items()}
    yield [(kind, Write(changes)) for kind, changes in writes.items() if changes]
    if ask.fence is None:
        return 0
    held = {kind: within(ask, has_ids(sorted(ids)), above(FENCE, ask.fence)) for kind, ids in existing.items() if ids}
    return sum((yield [(kind, Count(where)) for kind, where in held.items()]))


def _patches(ask: messages.Patch, existing: set[str]) -> tuple[Change, ...]:
    """The changes; under a fence each is conditional, and leaves the fence for those who come later."""
    changes: list[Change] = []
    open_to = {} if ask.fence is None else negated(above(FENCE, ask.fence))
    mark = {} if ask.fence is None else {FENCE: ask.fence}
    for change in ask.changes:
        ids = existing.intersection(change.ids)
        if ids and (change.fields or mark):
            changes.append(SetFields(within(ask, has_ids(sorted(ids)), open_to), {**change.fields, **mark}))
    if existing and ask.removed:
        changes.append(DropFields(within(ask, has_ids(sorted(existing)), open_to), tuple(ask.removed)))
    return tuple(changes)


def note_uses(ask: messages.NoteUses) -> Plan[None]:
    """Nothing, once the uses are added to the counts of the memories that exist in the scope."""
    ids = {kind: [one.id for one in uses] for kind, uses in ask.uses.items()}
    found = yield [(kind, Scroll(within(ask, has_ids(own)), len(own), ())) for kind, own in ids.items()]
    there = {kind: tuple(one for one, _ in pairs) for kind, pairs in zip(ids, found, strict=True)}
    keys: list[Keys] = yield [(kind, KeysOf(own)) for kind, own in there.items()]
    seen: list[Seen] = yield [(kind, Glance(own)) for kind, own in zip(there, keys, strict=True)]
    counts: dict[str, int] = {}
    for own, glance in zip(there.values(), seen, strict=True):
        read = glance.light.wholes("access_count", 0).tolist()
        counts |= zip(itertools.compress(own, glance.found), read, strict=True)
    writes = {kind: _counted(ask, uses, counts) for kind, uses in ask.uses.items()}
    yield [(kind, Write(changes)) for kind, changes in writes.items() if changes]


def _counted(ask: messages.NoteUses, uses: Iterable[messages.Used], counts: Mapping[str, int]) -> tuple[Change, ...]:
    """The changes, one for all memories that have come to the same count at the same time."""
    alike: dict[tuple[int, str], list[str]] = {}
    for one in uses:
        before = counts.get(one.id)
        if before is not None:
            alike.setdefault((before + one.times, one.at), []).append(one.id)
    return tuple(
        SetFields(within(ask, has_ids(ids)), {"access_count": count, "accessed_at": at})
        for (count, at), ids in alike.items()
    )


def delete(ask: messages.Delete) -> Plan[int]:
    """How many of the ids there were."""
    existing = {kind: ids for kind, ids in (yield from _existing(ask, ask.ids)).items() if ids}
    yield [(kind, Write((Remove(within(ask, has_ids(sorted(ids)))),))) for kind, ids in existing.items()]
    return sum(map(len, existing.values()))


def delete_where(ask: messages.DeleteWhere) -> Plan[int]:
    """How many matched."""
    where = within(ask, ask.where)
    counts: list[int] = yield [(kind, Count(where)) for kind in ask.types]
    hit = [kind for kind, count in zip(ask.types, counts, strict=True) if count]
    yield [(kind, Write((Remove(where),))) for kind in hit]
    return sum(counts)


def stats(ask: messages.Stats) -> Plan[dict[MemoryType, tuple[int, int]]]:
    """Count and tokens of each type; the tokens are summed from how often each count of tokens occurs."""
    where = within(ask)
    counts: list[int] = yield [(kind, Count(where)) for kind in MemoryType]
    count_of = dict(zip(MemoryType, counts, strict=True))
    filled = [kind for kind in MemoryType if count_of[kind]]
    facets = yield [(kind, Facet(TOKENS, where, count_of[kind])) for kind in filled]
    tokens = {kind: sum(value * often for value, often in hits) for kind, hits in zip(filled, facets, strict=True)}
    return {kind: (count_of[kind], tokens.get(kind, 0)) for kind in MemoryType}


def namespaces(ask: messages.Namespaces) -> Plan[list[str]]:
    """The names in order."""
    where = of_tenant(ask.tenant)
    counts: list[int] = yield [(kind, Count(where)) for kind in MemoryType]
    facets = yield [(kind, Facet(NAMESPACE, where, n)) for kind, n in zip(MemoryType, counts, strict=True) if n]
    return sorted({name for hits in facets for name, _ in hits})


def _existing(ask: messages.Patch | messages.Delete, ids: Iterable[str]) -> Plan[dict[MemoryType, set[str]]]:
    """The ids that exist in the scope, by type."""
    wanted = list(dict.fromkeys(ids))
    scroll = Scroll(within(ask, has_ids(wanted)), len(wanted), ())
    found = yield [(kind, scroll) for kind in MemoryType]
    return {kind: {one for one, _ in pairs} for kind, pairs in zip(MemoryType, found, strict=True)}


_PLANS: Mapping[type[messages.Ask], Callable[[Any], Plan[Any]]] = MappingProxyType(
    {
        messages.Upsert: upsert,
        messages.Get: get,
        messages.Passages: passages,
        messages.Patch: patch,
        messages.NoteUses: note_uses,
        messages.Delete: delete,
        messages.DeleteWhere: delete_where,
        messages.List: list_page,
        messages.Candidates: find_candidates,
        messages.Stats: stats,
        messages.Namespaces: namespaces,
    }
)

"""Functions that write memories. The condition of each write contains the namespace (see
`within`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from memtypes.model.errors import Conflict, InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.memory_store import Record, Use
from memtypes.stores.operations.conditions import Condition, has_ids, negated, within
from memtypes.stores.operations.vector_engine import (
    Change,
    EngineOperations,
    Payload,
    PutPoints,
    RemovePoints,
    Scroll,
    SetFields,
)

MAX_RECORDS = 64
MAX_CHARACTERS = 1_000_000
"""Maximum number of characters of content in one write. The engine answers queries only between two
writes.
"""

_INTEGERS = range(-(2**63), 2**64)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """New values of payload fields, the same for all memories with these `ids`."""

    ids: list[str]
    fields: Payload


async def write(
    engine: EngineOperations, *, scope: Scope, points: list[Record], changes: list[FieldChange]
) -> None:
    """Store memories, replacing earlier ones; then set fields of others that exist. Raises Conflict
    if an id belongs to another namespace.
    """
    typed: dict[MemoryType, list[Record]] = {}
    for point in points:
        typed.setdefault(point.type, []).append(point)
    other_scopes = {
        kind: {"must": [has_ids(point.id for point in batch), negated(within(scope))]}
        for kind, batch in typed.items()
    }
    foreign = sum((await engine.count(other_scopes)).values()) if typed else 0
    if foreign:
        raise Conflict(f"{foreign} of the ids can't be used in this namespace; use other ids")
    # With this condition, memories that another scope has stored since the count are not replaced.
    await engine.write({kind: [PutPoints(batch, within(scope))] for kind, batch in typed.items()})
    if changes:
        await patch(engine, scope=scope, changes=changes)


async def patch(engine: EngineOperations, *, scope: Scope, changes: list[FieldChange]) -> None:
    """Set payload fields of the memories that exist."""
    existing = await _existing(
        engine, scope, (memory_id for change in changes for memory_id in change.ids)
    )
    typed_changes: dict[MemoryType, list[Change]] = {}
    for kind, ids in existing.items():
        for change in changes:
            if (ids_to_change := ids.intersection(change.ids)) and change.fields:
                where = within(scope, has_ids(sorted(ids_to_change)))
                typed_changes.setdefault(kind, []).append(SetFields(where, change.fields))
    await engine.write(typed_changes)


async def note_uses(
    engine: EngineOperations, *, scope: Scope, kind: MemoryType, uses: list[Use]
) -> None:
    """Add uses to the memories' access counts, and set the time of the last use. Unknown ids are
    ignored.
    """
    by_id = {use.id: use for use in uses}
    counts = Scroll(within(scope, has_ids(by_id)), len(by_id), ("access_count",))
    payloads = (await engine.scroll({kind: counts}))[kind]
    ids_by_use: dict[tuple[int, datetime], list[str]] = {}
    for memory_id, payload in payloads.items():
        count = payload.get("access_count", 0) + by_id[memory_id].times
        ids_by_use.setdefault((count, by_id[memory_id].at), []).append(memory_id)
    changes = [
        SetFields(within(scope, has_ids(ids)), {"access_count": count, "accessed_at": rfc3339(at)})
        for (count, at), ids in ids_by_use.items()
    ]
    await engine.write({kind: changes})


async def delete(engine: EngineOperations, *, scope: Scope, ids: list[str]) -> int:
    """Remove the memories with these ids that exist in the scope. Returns how many there were."""
    existing = await _existing(engine, scope, ids)
    wheres = {
        kind: within(scope, has_ids(sorted(ids_of_type))) for kind, ids_of_type in existing.items()
    }
    await engine.write({kind: [RemovePoints(where)] for kind, where in wheres.items()})
    return sum(map(len, existing.values()))


async def delete_where(
    engine: EngineOperations, *, scope: Scope, types: list[MemoryType], where: Condition
) -> int:
    """Remove from the scope the memories of `types` that meet a condition. Returns how many there
    were.
    """
    where = within(scope, where)
    counts = await engine.count(dict.fromkeys(types, where))
    await engine.write({kind: [RemovePoints(where)] for kind, count in counts.items() if count})
    return sum(counts.values())


async def _existing(
    engine: EngineOperations, scope: Scope, ids: Iterable[str]
) -> dict[MemoryType, set[str]]:
    unique = list(dict.fromkeys(ids))
    payloads = await engine.scroll(
        dict.fromkeys(MemoryType, Scroll(within(scope, has_ids(unique)), len(unique), ()))
    )
    return {kind: set(by_id) for kind, by_id in payloads.items() if by_id}


def fits_one_write(records: Collection[Record]) -> bool:
    """Whether `records` are few and short enough for one write."""
    length = sum(len(record.payload["content"]) for record in records)
    return len(records) <= MAX_RECORDS and length <= MAX_CHARACTERS


def batches(records: Collection[Record]) -> Iterator[list[Record]]:
    """Split `records` into batches of one memory type, of at most MAX_RECORDS records and about
    MAX_CHARACTERS.
    """
    for kind in MemoryType:
        batch: list[Record] = []
        size = 0
        for record in (record for record in records if record.type is kind):
            length = len(record.payload["content"])
            if batch and (len(batch) == MAX_RECORDS or size + length > MAX_CHARACTERS):
                yield batch
                batch = []
                size = 0
            batch.append(record)
            size += length
        if batch:
            yield batch


def check_integers(value: object, path: str) -> None:
    """Raise InvalidRequest if a JSON value contains an integer beyond 64 bits. path: names the
    value in the error.
    """
    if isinstance(value, dict):
        for key, member in value.items():
            check_integers(member, f"{path}.{key}")
    elif isinstance(value, list):
        for member in value:
            check_integers(member, path)
    elif isinstance(value, int) and value not in _INTEGERS:
        raise InvalidRequest(
            "an integer beyond 64 bits can't be stored exactly; send it as text", path=path
        )


def group_changes(changes: Mapping[str, Mapping[str, Any]]) -> list[FieldChange]:
    """Convert changes by memory id to FieldChanges, one for all ids with the same new fields."""
    groups: dict[str, FieldChange] = {}
    for memory_id, fields in changes.items():
        payload = dict(fields)
        check_integers(payload, memory_id)
        groups.setdefault(json.dumps(payload, sort_keys=True), FieldChange([], payload)).ids.append(
            memory_id
        )
    return list(groups.values())

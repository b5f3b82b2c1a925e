"""Requests that write memories of a namespace.

Every condition is made by `within`, so no write changes memories of another namespace.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from memtypes.model.errors import Conflict, InvalidRequest
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.model.types import from_payload
from memtypes.ports.memory_store import Record, Use
from memtypes.search.columns import TERMS
from memtypes.stores.operations.conditions import Condition, above, has_ids, negated, within
from memtypes.stores.operations.engine import (
    Change,
    DropFields,
    EngineOperations,
    Payload,
    PutPoints,
    RemovePoints,
    Scroll,
    SetFields,
)
from memtypes.stores.operations.messages import EngineRequest

MAX_RECORDS = 64
MAX_CHARACTERS = 1_000_000
"""Maximum numbers of records and of characters of content in one write; queries are answered between writes."""

FENCE = "fence"

_INTEGERS = range(-(2**63), 2**64)


class Upsert(EngineRequest[None], frozen=True, kw_only=True, tag=True):
    """Insert points of one type, replacing points with the same id."""

    scope: Scope
    type: MemoryType
    points: list[Record]

    async def run(self, engine: EngineOperations) -> None:
        """Store the points, replacing older ones. Raises Conflict if an id belongs to a memory of another namespace."""
        ids = has_ids(point.id for point in self.points)
        foreign = await engine.count({self.type: {"must": [ids, negated(within(self.scope))]}})
        if foreign[self.type]:
            raise Conflict(f"{foreign[self.type]} of the ids can't be used here")
        # Conditional on the scope: inserts what is missing and replaces only the scope's memories, even when another
        # writer came in between.
        await engine.write({self.type: [PutPoints(self.points, within(self.scope))]})


class FieldChange(msgspec.Struct, frozen=True, array_like=True):
    """New values of payload fields, the same for several memory ids."""

    ids: list[str]
    fields: Payload


class Patch(EngineRequest[int], frozen=True, kw_only=True, tag=True):
    """Set payload fields of those memories that exist, and remove the fields `removed` from all of them."""

    scope: Scope
    changes: list[FieldChange]
    removed: list[str]
    fence: int | None = None

    async def run(self, engine: EngineOperations) -> int:
        """Apply the changes. Returns how many memories stayed unchanged, as they were patched under a higher fence."""
        existing = await _existing(engine, self.scope, (one for change in self.changes for one in change.ids))
        changes = {kind: self._changes(ids) for kind, ids in existing.items()}
        await engine.write({kind: changed for kind, changed in changes.items() if changed})
        if self.fence is None:
            return 0
        newer = {
            kind: within(self.scope, has_ids(sorted(ids)), above(FENCE, self.fence)) for kind, ids in existing.items()
        }
        return sum((await engine.count(newer)).values())

    def _changes(self, existing: set[str]) -> list[Change]:
        """The engine's changes for the `existing` ids; with a fence, not for memories patched under a higher one."""
        changes: list[Change] = []
        unfenced = {} if self.fence is None else negated(above(FENCE, self.fence))
        mark = {} if self.fence is None else {FENCE: self.fence}
        for change in self.changes:
            ids = existing.intersection(change.ids)
            if ids and (change.fields or mark):
                where = within(self.scope, has_ids(sorted(ids)), unfenced)
                changes.append(SetFields(where, {**change.fields, **mark}))
        if self.removed:
            where = within(self.scope, has_ids(sorted(existing)), unfenced)
            changes.append(DropFields(where, tuple(self.removed)))
        return changes


class NoteUses(EngineRequest[None], frozen=True, kw_only=True, tag=True):
    """Add uses to the access counts, and set the access times, of those memories of one type that exist."""

    repeatable = False

    scope: Scope
    type: MemoryType
    uses: list[Use]

    async def run(self, engine: EngineOperations) -> None:
        """Write the new access counts and times; memories with the same count and time are changed together."""
        uses = {use.id: use for use in self.uses}
        counts = Scroll(within(self.scope, has_ids(uses)), len(uses), ("access_count",))
        payloads = (await engine.scroll({self.type: counts}))[self.type]
        alike: dict[tuple[int, datetime], list[str]] = {}
        for memory_id, payload in payloads.items():
            count = payload.get("access_count", 0) + uses[memory_id].times
            alike.setdefault((count, uses[memory_id].at), []).append(memory_id)
        changes = [
            SetFields(within(self.scope, has_ids(ids)), {"access_count": count, "accessed_at": rfc3339(at)})
            for (count, at), ids in alike.items()
        ]
        await engine.write({self.type: changes})


class Delete(EngineRequest[int], frozen=True, kw_only=True, tag=True):
    """Remove the memories with these ids from the scope."""

    repeatable = False

    scope: Scope
    ids: list[str]

    async def run(self, engine: EngineOperations) -> int:
        """Remove those of the memories that exist in the scope. Returns how many there were."""
        existing = await _existing(engine, self.scope, self.ids)
        wheres = {kind: within(self.scope, has_ids(sorted(ids))) for kind, ids in existing.items()}
        await engine.write({kind: [RemovePoints(where)] for kind, where in wheres.items()})
        return sum(map(len, existing.values()))


class DeleteWhere(EngineRequest[int], frozen=True, kw_only=True, tag=True):
    """Remove from the scope the memories of `types` that meet a condition."""

    repeatable = False

    scope: Scope
    types: list[MemoryType]
    where: Condition

    async def run(self, engine: EngineOperations) -> int:
        """Remove the memories that meet the condition. Returns how many there were."""
        where = within(self.scope, self.where)
        counts = await engine.count(dict.fromkeys(self.types, where))
        await engine.write({kind: [RemovePoints(where)] for kind, count in counts.items() if count})
        return sum(counts.values())


async def _existing(engine: EngineOperations, scope: Scope, ids: Iterable[str]) -> dict[MemoryType, set[str]]:
    """Those of `ids` that exist in the scope, by memory type; types without any are left out."""
    wanted = list(dict.fromkeys(ids))
    payloads = await engine.scroll(dict.fromkeys(MemoryType, Scroll(within(scope, has_ids(wanted)), len(wanted), ())))
    return {kind: set(by_id) for kind, by_id in payloads.items() if by_id}


def batches(records: Collection[Record]) -> Iterator[list[Record]]:
    """`records` in batches of one memory type, of at most MAX_RECORDS records and about MAX_CHARACTERS."""
    for kind in MemoryType:
        batch: list[Record] = []
        size = 0
        for record in (record for record in records if record.type is kind):
            length = len(record.payload["content"])
            if batch and (len(batch) == MAX_RECORDS or size + length > MAX_CHARACTERS):
                yield batch
                batch, size = [], 0
            batch.append(record)
            size += length
        if batch:
            yield batch


def memory_of(payload: Payload) -> Memory:
    """The memory in a point's payload."""
    return from_payload({name: value for name, value in payload.items() if name != TERMS})


def check_integers(value: object, path: str) -> None:
    """Raise InvalidRequest where `value`, plain JSON, contains an integer beyond 64 bits."""
    if isinstance(value, dict):
        for key, member in value.items():
            check_integers(member, f"{path}.{key}")
    elif isinstance(value, list):
        for member in value:
            check_integers(member, path)
    elif isinstance(value, int) and value not in _INTEGERS:
        raise InvalidRequest("an integer beyond 64 bits can't be stored exactly; send it as text", path=path)


def group_changes(changes: Mapping[str, Mapping[str, Any]]) -> list[FieldChange]:
    """Group changes, given by memory id: all ids with the same new fields become one FieldChange."""
    groups: dict[str, FieldChange] = {}
    for memory_id, fields in changes.items():
        payload = dict(fields)
        check_integers(payload, memory_id)
        groups.setdefault(json.dumps(payload, sort_keys=True), FieldChange([], payload)).ids.append(memory_id)
    return list(groups.values())

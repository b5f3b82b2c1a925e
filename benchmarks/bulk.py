"""Fills a store with made-up memories straight through the store's port.

Texts, token counts and word weights are real. Vectors are random unit vectors: to embed 100,000 texts would
take twenty minutes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.opened import Opened
from benchmarks.synthetic import Turn, turns
from ingest.prepare import Arrival, Prepared, Preparer
from memtypes.policy import POLICIES, MemoryType, Visibility
from memtypes.ports import Record
from memtypes.scope import Scope
from memtypes.types import DRAFT, AnyDraft
from memtypes.vectors import Vectors

TENANT = "default"
DIMENSIONS = 384
_AT_ONCE = 500


def namespace_of(index: int) -> str:
    """The name of a namespace."""
    return f"namespace-{index}"


async def fill(opened: Opened, count: int, namespaces: int, *, seed: int = 3) -> None:
    """Write `count` memories, spread evenly over the types and over `namespaces`; each namespace has all types."""
    rng = np.random.default_rng([seed, 2])
    waiting: dict[Scope, list[Record]] = {}
    for scope, prepared in _memories(opened.preparer, count, namespaces, seed):
        waiting.setdefault(scope, []).append(_record(prepared, rng))
        if len(waiting[scope]) == _AT_ONCE:
            await opened.store.upsert(scope, waiting.pop(scope))
    for scope, records in waiting.items():
        await opened.store.upsert(scope, records)


def _memories(preparer: Preparer, count: int, namespaces: int, seed: int) -> Iterator[tuple[Scope, Prepared]]:
    kinds = tuple(MemoryType)
    for index, turn in enumerate(turns(count, seed=seed)):
        place, kind = divmod(index, len(kinds))
        scope = Scope(TENANT, namespace_of(place % namespaces))
        yield scope, preparer.prepare(_draft(turn, kinds[kind]), Arrival(scope, turn.at, index))


def _draft(turn: Turn, kind: MemoryType) -> AnyDraft:
    fields: dict[str, object] = {"type": kind.value, "content": turn.text, "created_at": turn.at}
    if kind is MemoryType.EPISODIC:
        fields["speaker"] = turn.speaker
    if POLICIES[kind].visibility is Visibility.SESSION:
        fields["visibility"] = Visibility.NAMESPACE.value
    return DRAFT.validate_python(fields)


def _record(prepared: Prepared, rng: np.random.Generator) -> Record:
    vector = rng.standard_normal(DIMENSIONS).astype(np.float32)
    return Record(prepared.memory, Vectors(vector / np.float32(np.linalg.norm(vector)), prepared.sparse))

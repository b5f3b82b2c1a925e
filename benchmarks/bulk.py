"""Fills a store with made-up memories straight through the store's port.

Texts, token counts and word weights are real. Vectors, those of tokens too, are random and of unit length: to embed
100,000 texts would take twenty minutes.
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
from memtypes.vectors import TokenVectors, Vectors

TENANT = "default"
DIMENSIONS = 384
TOKEN_DIMENSIONS = 128
_AT_ONCE = 500
_POOL = 8_192


def namespace_of(index: int) -> str:
    """The name of a namespace."""
    return f"namespace-{index}"


async def fill(opened: Opened, count: int, namespaces: int, *, seed: int = 3) -> None:
    """Write `count` memories, spread evenly over the types and over `namespaces`; each namespace has all types."""
    rng = np.random.default_rng([seed, 2])
    pool = _token_pool(rng)
    waiting: dict[Scope, list[Record]] = {}
    for scope, prepared in _memories(opened.preparer, count, namespaces, seed):
        waiting.setdefault(scope, []).append(_record(prepared, rng, pool))
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


def _record(prepared: Prepared, rng: np.random.Generator, pool: TokenVectors) -> Record:
    vector = rng.standard_normal(DIMENSIONS).astype(np.float32)
    start = int(rng.integers(len(pool)))
    tokens = pool[start : start + prepared.memory.tokens.count]  # about as many as the encoder's word pieces
    return Record(prepared.memory, Vectors(vector / np.float32(np.linalg.norm(vector)), prepared.sparse, tokens))


def _token_pool(rng: np.random.Generator) -> TokenVectors:
    """Random token vectors of about unit length; each memory has some rows of them, from a place of its own on."""
    scaled = rng.standard_normal((_POOL, TOKEN_DIMENSIONS)) * (127.0 / np.sqrt(TOKEN_DIMENSIONS))
    pool: TokenVectors = np.clip(scaled, -127, 127).astype(np.int8)
    return pool

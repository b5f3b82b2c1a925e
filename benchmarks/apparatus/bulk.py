"""Fills a store with made-up memories straight through the store's port.

Texts, token counts and word weights are real. Vectors, those of tokens too, are random and of unit length: to embed
100,000 texts would take twenty minutes. Namespaces have the same texts, each as memories of its own.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from api.settings import Settings
from benchmarks.apparatus.opened import Opened, open_parts
from benchmarks.apparatus.synthetic import Turn, turns
from ingest.writing.drafts import PendingWrite, Preparer
from memtypes.model.ids import memory_id
from memtypes.model.policy import POLICIES, MemoryType, Visibility
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT, AnyDraft
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import TokenVectors, Vectors

TENANT = "default"
DIMENSIONS = 384
TOKEN_DIMENSIONS = 128
_AT_ONCE = 320
_PORTION = 50_000
_ENDLESS = 1 << 40
_POOL = 8_192


def namespace_of(index: int) -> str:
    """The name of a namespace."""
    return f"namespace-{index}"


async def filled(settings: Settings, count: int, namespaces: int) -> float:
    """The seconds that it took to fill the store of `settings`; 0 when it had been filled like this before.

    One that was interrupted is gone on with.
    """
    marker = settings.data_dir / "filled.json"
    done = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else {}
    start = done["memories"] if done.get("namespaces") == namespaces and done["memories"] <= count else 0
    if start == count:
        return 0.0
    began = time.perf_counter()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with open_parts(settings) as opened:
        while start < count:
            end = min(start + _PORTION, count)
            await fill(opened, end, namespaces, start=start)
            marker.write_text(json.dumps({"memories": end, "namespaces": namespaces}), encoding="utf-8")
            start = end
    return time.perf_counter() - began


async def fill(opened: Opened, count: int, namespaces: int, *, seed: int = 3, start: int = 0) -> None:
    """Write `count` memories, spread evenly over the types and over `namespaces`; each namespace has all types.

    start: how many of them are there already.
    """
    rng = np.random.default_rng([seed, 2, start])
    pool = _token_pool(rng)
    waiting: dict[Scope, list[Record]] = {}
    for scope, prepared in itertools.islice(_memories(opened.preparer, namespaces, seed), start, count):
        waiting.setdefault(scope, []).append(_record(prepared, rng, pool))
        if len(waiting[scope]) == _AT_ONCE:
            await opened.store.upsert(scope, waiting.pop(scope))
    for scope, records in waiting.items():
        await opened.store.upsert(scope, records)


def _memories(preparer: Preparer, namespaces: int, seed: int) -> Iterator[tuple[Scope, PendingWrite]]:
    """Memories without end: a text of each type to every namespace, then the next texts."""
    scopes = [Scope(TENANT, namespace_of(index)) for index in range(namespaces)]
    texts = enumerate(turns(_ENDLESS, seed=seed))
    while True:
        prepared = [_prepared(preparer, scopes[0], kind, *next(texts)) for kind in MemoryType]
        for scope in scopes:
            yield from ((scope, _moved(one, scope)) for one in prepared)


def _prepared(preparer: Preparer, scope: Scope, kind: MemoryType, index: int, turn: Turn) -> PendingWrite:
    return preparer.prepare(_draft(turn, kind), scope, turn.at, index)


def _moved(prepared: PendingWrite, scope: Scope) -> PendingWrite:
    """The same text in another namespace, where it is another memory."""
    memory = prepared.memory
    one = memory_id(scope, memory.type, memory.identity())
    return replace(prepared, memory=memory.model_copy(update={"id": one, "namespace": scope.namespace}))


def _draft(turn: Turn, kind: MemoryType) -> AnyDraft:
    fields: dict[str, object] = {"type": kind.value, "content": turn.text, "created_at": turn.at}
    if kind is MemoryType.EPISODIC:
        fields["speaker"] = turn.speaker
    if POLICIES[kind].visibility is Visibility.SESSION:
        fields["visibility"] = Visibility.NAMESPACE.value
    return DRAFT.validate_python(fields)


def _record(prepared: PendingWrite, rng: np.random.Generator, pool: TokenVectors) -> Record:
    vector = rng.standard_normal(DIMENSIONS).astype(np.float32)
    start = int(rng.integers(len(pool)))
    tokens = pool[start : start + prepared.memory.tokens.count]  # about as many as the encoder's word pieces
    return Record(prepared.memory, Vectors(vector / np.float32(np.linalg.norm(vector)), prepared.sparse, tokens))


def _token_pool(rng: np.random.Generator) -> TokenVectors:
    """Random token vectors of about unit length; each memory has some rows of them, from a place of its own on."""
    scaled = rng.standard_normal((_POOL, TOKEN_DIMENSIONS)) * (127.0 / np.sqrt(TOKEN_DIMENSIONS))
    pool: TokenVectors = np.clip(scaled, -127, 127).astype(np.int8)
    return pool

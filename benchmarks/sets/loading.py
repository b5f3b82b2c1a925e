"""Loads evaluation sets into a store through the ingestion pipeline, and verifies a store from an
earlier run.

Such a store has a manifest file for each set: memory ids by corpus entry, and a hash of the drafts
(texts to store) and of the stored memories with their use counts. The store is used again if the
hash is unchanged. The store itself checks that its vectors come from the same encoder.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.sets.data import EvaluationSet, to_draft
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore

TENANT = "benchmarks"
_BATCH = 1_000


class NotLoaded(Exception):
    """The store does not have the memories of the set's corpus; the message says what differs."""


class Loaded(msgspec.Struct, frozen=True):
    """Result of loading a set. ids: memory id by corpus entry id. merged: number of entries merged
    into others.
    """

    ids: dict[str, str]
    sha256: str
    merged: int
    seconds: float


def scope_of(set_name: str, conversation: str) -> Scope:
    """The scope of a conversation of the set: each conversation is stored in its own namespace."""
    return Scope(TENANT, f"{set_name}/{conversation}")


def manifest_path(directory: Path, set_name: str) -> Path:
    """Path of the set's manifest (a `Loaded` as JSON) in the data folder `directory`."""
    return directory / "benchmarks" / f"{set_name}.json"


async def load_or_verify(
    ingestor: Ingestor, store: MemoryStore, dataset: EvaluationSet, folder: Path
) -> Loaded:
    """Load the set, or verify the store if `folder` has the set's manifest from an earlier run.
    Raises NotLoaded.
    """
    path = manifest_path(folder, dataset.name)
    if path.is_file():
        loaded = msgspec.json.decode(path.read_bytes(), type=Loaded)
        await verify(store, dataset, loaded)
        return msgspec.structs.replace(loaded, seconds=0.0)
    loaded = await load(ingestor, store, dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(loaded))
    return loaded


async def load(ingestor: Ingestor, store: MemoryStore, dataset: EvaluationSet) -> Loaded:
    """Store the corpus of `dataset` through `ingestor`. Raises NotLoaded if an entry was neither
    stored nor merged.
    """
    began = time.perf_counter()
    ids: dict[str, str] = {}
    merged = 0
    for conversation, corpus in dataset.corpus.items():
        scope = scope_of(dataset.name, conversation)
        for start in range(0, len(corpus), _BATCH):
            batch = corpus[start : start + _BATCH]
            outcomes = await ingestor.write(scope, [to_draft(entry) for entry in batch])
            for entry, outcome in zip(batch, outcomes, strict=True):
                if outcome.id is None or outcome.status not in (
                    WriteStatus.STORED,
                    WriteStatus.MERGED,
                ):
                    raise NotLoaded(
                        f"{dataset.name}: {entry.id} ended as {outcome.status}: {outcome.reason}"
                    )
                ids[entry.id] = outcome.id
                merged += outcome.status is WriteStatus.MERGED
    seconds = time.perf_counter() - began
    return Loaded(ids, await _sha256(store, dataset, ids), merged, seconds)


async def verify(store: MemoryStore, dataset: EvaluationSet, loaded: Loaded) -> None:
    """Raise NotLoaded if the set's drafts or the stored memories have changed since the load
    described by `loaded`.
    """
    if loaded.sha256 != await _sha256(store, dataset, loaded.ids):
        raise NotLoaded(
            f"{dataset.name}: drafts, embedding texts or accesses changed since it was loaded"
        )


async def _sha256(store: MemoryStore, dataset: EvaluationSet, ids: Mapping[str, str]) -> str:
    """Hash of the set's drafts and stored memories, to detect changes. Raises NotLoaded if a memory
    is missing.
    """
    digest = hashlib.sha256()
    for conversation, corpus in dataset.corpus.items():
        memory_ids = sorted({ids[entry.id] for entry in corpus if entry.id in ids})
        stored = await store.get(scope_of(dataset.name, conversation), memory_ids)
        for entry in corpus:
            memory = stored.get(ids.get(entry.id, ""))
            if memory is None:
                raise NotLoaded(f"{dataset.name}: {entry.id} is not in the store")
            draft = to_draft(entry).model_dump_json()
            state = (
                entry.id,
                draft,
                memory.content_hash,
                memory.embedding_text(),
                memory.access_count,
            )
            digest.update(repr(state).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()

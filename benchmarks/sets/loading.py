"""Loads evaluation sets into a store through the ingestion pipeline, and verifies a store that was kept.

A kept store has a manifest for each set: the memory of each corpus entry, and hashes of the drafts and embedding texts.
It is used again if the corpus gives the same drafts, every memory has its content and embedding text, and no access was
recorded since. The store itself checks that its vectors come from the same encoder.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.sets.data import Conversation, EvaluationSet, to_draft
from ingest.identity.duplicates import wording
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.model.ids import content_hash
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore

TENANT = "benchmarks"
_BATCH = 1_000


class NotLoaded(Exception):
    """The store does not hold the set as its corpus says; the message has the difference."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """ids: memory id by conversation and corpus id; several corpus ids may share one. seconds: 0 for a kept store."""

    set_name: str
    ids: dict[str, dict[str, str]]
    drafts_sha256: str
    texts_sha256: str
    seconds: float = 0.0
    merged: int = 0


def scope_of(set_name: str, conversation: str) -> Scope:
    """The namespace of a conversation."""
    return Scope(TENANT, f"{set_name}/{conversation}")


async def kept_or_loaded(ingestor: Ingestor, store: MemoryStore, whole: EvaluationSet, folder: Path | None) -> Loaded:
    """`whole` in the store: verified if `folder` has its manifest, else loaded now. Raises NotLoaded."""
    path = None if folder is None else manifest_path(folder, whole.name)
    if path is not None and path.is_file():
        loaded = read_manifest(path)
        await verify(store, whole, loaded)
        return loaded
    loaded = await load(ingestor, store, whole)
    if path is not None:
        write_manifest(path, loaded)
    return loaded


async def load(ingestor: Ingestor, store: MemoryStore, whole: EvaluationSet) -> Loaded:
    """`whole` written through `ingestor`. Raises NotLoaded if an entry was not stored."""
    began = time.perf_counter()
    ids, merged = {}, 0
    for conversation in whole.conversations:
        ids[conversation.name], count = await _load_conversation(ingestor, whole.name, conversation)
        merged += count
    seconds = time.perf_counter() - began
    texts = await _texts_sha256(store, whole, ids)
    return Loaded(whole.name, ids, drafts_sha256(whole), texts, seconds, merged)


async def verify(store: MemoryStore, whole: EvaluationSet, loaded: Loaded) -> None:
    """Compare the store with the corpus of `whole`. Raises NotLoaded."""
    if loaded.drafts_sha256 != drafts_sha256(whole):
        raise NotLoaded(f"{whole.name}: the corpus or its drafts changed since it was loaded")
    if loaded.texts_sha256 != await _texts_sha256(store, whole, loaded.ids):
        raise NotLoaded(f"{whole.name}: the embedding texts changed since it was loaded")


def manifest_path(directory: Path, set_name: str) -> Path:
    """The manifest of a set in a store's folder."""
    return directory / "benchmarks" / f"{set_name}.json"


def read_manifest(path: Path) -> Loaded:
    """The manifest in `path`, with seconds 0."""
    return Loaded(**{**json.loads(path.read_text(encoding="utf-8")), "seconds": 0.0})


def write_manifest(path: Path, loaded: Loaded) -> None:
    """Write the manifest to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(loaded)), encoding="utf-8")


def drafts_sha256(whole: EvaluationSet) -> str:
    """Hash of all drafts with their corpus ids, in order."""
    return _sha256(
        f"{conversation.name}\n{entry.id}\n{to_draft(entry).model_dump_json()}"
        for conversation in whole.conversations
        for entry in conversation.corpus
    )


async def _load_conversation(
    ingestor: Ingestor, set_name: str, conversation: Conversation
) -> tuple[dict[str, str], int]:
    """Memory id by corpus id, and the number of entries merged into another."""
    scope = scope_of(set_name, conversation.name)
    ids: dict[str, str] = {}
    merged = 0
    for start in range(0, len(conversation.corpus), _BATCH):
        batch = conversation.corpus[start : start + _BATCH]
        outcomes = await ingestor.write(scope, [to_draft(entry) for entry in batch])
        for entry, outcome in zip(batch, outcomes, strict=True):
            if outcome.id is None or outcome.status not in (WriteStatus.STORED, WriteStatus.MERGED):
                raise NotLoaded(f"{set_name}: {entry.id} ended as {outcome.status}: {outcome.reason}")
            ids[entry.id] = outcome.merged_into or outcome.id
            merged += outcome.status is WriteStatus.MERGED
    return ids, merged


async def _texts_sha256(store: MemoryStore, whole: EvaluationSet, ids: dict[str, dict[str, str]]) -> str:
    """Hash of the embedding texts of all memories, read from the store and compared with the corpus."""
    texts: list[str] = []
    for conversation in whole.conversations:
        known = ids.get(conversation.name, {})
        stored = await store.get(scope_of(whole.name, conversation.name), sorted(set(known.values())))
        for entry in conversation.corpus:
            memory = stored.get(known.get(entry.id, ""))
            _check_content(memory, entry.id, entry.text)
            texts.append(memory.embedding_text() if memory else "")
    return _sha256(texts)


def _check_content(memory: Memory | None, corpus_id: str, text: str) -> None:
    """Raise NotLoaded unless `memory` has the words of `text`."""
    if memory is None:
        raise NotLoaded(f"{corpus_id} is not in the store")
    intact = memory.content_hash == content_hash(memory.content)
    if not intact or wording(memory.content) != wording(text):
        raise NotLoaded(f"{corpus_id} has another content in the store than in the corpus")
    if memory.access_count:
        raise NotLoaded(f"{corpus_id} was accessed since it was loaded, which changes its rank")


def _sha256(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()

"""Brings evaluation sets into a store through the real pipeline, and finds out whether a kept store still holds them.

A kept store has a manifest a set: which memory each line of the corpus became, and hashes of what was written and of
what was embedded. It is used again only when the corpus as read now gives the same drafts, every memory is read back
with the content that the corpus has, the texts to embed are the same, and nothing was counted as accessed since. That
the vectors come from the same encoder is the store's own check.
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
_PORTION = 1_000
"""Drafts handed over at once, as one batch over HTTP has at most."""


class NotLoaded(Exception):
    """A set did not get into the store as its corpus says, or is no longer there; the text says what differs."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """ids: each corpus id's memory id, by conversation; several corpus ids may share one. seconds: 0 when reused."""

    set_name: str
    ids: dict[str, dict[str, str]]
    drafts_sha256: str
    texts_sha256: str
    seconds: float = 0.0
    merged: int = 0


def scope_of(set_name: str, conversation: str) -> Scope:
    """The namespace of its own that a conversation has."""
    return Scope(TENANT, f"{set_name}/{conversation}")


async def kept_or_loaded(ingestor: Ingestor, store: MemoryStore, wanted: EvaluationSet, kept: Path | None) -> Loaded:
    """`wanted` in the store: loaded now, or found in what `kept` keeps and verified. Raises NotLoaded."""
    path = None if kept is None else manifest_path(kept, wanted.name)
    if path is not None and path.is_file():
        loaded = read_manifest(path)
        await verify(store, wanted, loaded)
        return loaded
    loaded = await load(ingestor, store, wanted)
    if path is not None:
        write_manifest(path, loaded)
    return loaded


async def load(ingestor: Ingestor, store: MemoryStore, wanted: EvaluationSet) -> Loaded:
    """`wanted` written through `ingestor`. Raises NotLoaded when an item was not stored."""
    began = time.perf_counter()
    ids, merged = {}, 0
    for conversation in wanted.conversations:
        ids[conversation.name], count = await _load_conversation(ingestor, wanted.name, conversation)
        merged += count
    seconds = time.perf_counter() - began
    texts = await _texts_sha256(store, wanted, ids)
    return Loaded(wanted.name, ids, drafts_sha256(wanted), texts, seconds, merged)


async def verify(store: MemoryStore, wanted: EvaluationSet, loaded: Loaded) -> None:
    """Return when the store holds what the corpus of `wanted` says; raise NotLoaded when it doesn't."""
    if loaded.drafts_sha256 != drafts_sha256(wanted):
        raise NotLoaded(f"{wanted.name}: the corpus, or how it is written, is not what was loaded")
    if loaded.texts_sha256 != await _texts_sha256(store, wanted, loaded.ids):
        raise NotLoaded(f"{wanted.name}: the texts to embed are made in another way than when it was loaded")


def manifest_path(directory: Path, set_name: str) -> Path:
    """Where the manifest of a set is kept in a store's folder."""
    return directory / "benchmarks" / f"{set_name}.json"


def read_manifest(path: Path) -> Loaded:
    """What `write_manifest` wrote, with seconds 0: it took none this time."""
    return Loaded(**{**json.loads(path.read_text(encoding="utf-8")), "seconds": 0.0})


def write_manifest(path: Path, loaded: Loaded) -> None:
    """Keep `loaded` for the next run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(loaded)), encoding="utf-8")


def drafts_sha256(wanted: EvaluationSet) -> str:
    """The hash of every draft of `wanted`, in order, with its corpus id."""
    return _sha256(
        f"{conversation.name}\n{entry.id}\n{to_draft(entry).model_dump_json()}"
        for conversation in wanted.conversations
        for entry in conversation.written
    )


async def _load_conversation(
    ingestor: Ingestor, set_name: str, conversation: Conversation
) -> tuple[dict[str, str], int]:
    """Each corpus id's memory id, and how many merged into another."""
    scope = scope_of(set_name, conversation.name)
    ids: dict[str, str] = {}
    merged = 0
    for start in range(0, len(conversation.written), _PORTION):
        portion = conversation.written[start : start + _PORTION]
        outcomes = await ingestor.write(scope, [to_draft(entry) for entry in portion])
        for entry, outcome in zip(portion, outcomes, strict=True):
            if outcome.id is None or outcome.status not in (WriteStatus.STORED, WriteStatus.MERGED):
                raise NotLoaded(f"{set_name}: {entry.id} ended as {outcome.status}: {outcome.reason}")
            ids[entry.id] = outcome.merged_into or outcome.id
            merged += outcome.status is WriteStatus.MERGED
    return ids, merged


async def _texts_sha256(store: MemoryStore, wanted: EvaluationSet, ids: dict[str, dict[str, str]]) -> str:
    """The hash of the embedding texts of all memories, read back from the store and compared with the corpus."""
    texts: list[str] = []
    for conversation in wanted.conversations:
        known = ids.get(conversation.name, {})
        kept = await store.get(scope_of(wanted.name, conversation.name), sorted(set(known.values())))
        for entry in conversation.written:
            memory = kept.get(known.get(entry.id, ""))
            _check_kept(memory, entry.id, entry.text)
            texts.append(memory.embedding_text() if memory else "")
    return _sha256(texts)


def _check_kept(memory: Memory | None, corpus_id: str, text: str) -> None:
    """Raise NotLoaded unless `memory` says `text`: its words at least, as repetitions merge."""
    if memory is None:
        raise NotLoaded(f"{corpus_id} is not in the store")
    whole = memory.content_hash == content_hash(memory.content)
    if not whole or wording(memory.content) != wording(text):
        raise NotLoaded(f"{corpus_id} has another content in the store than in the corpus")
    if memory.access_count:
        raise NotLoaded(f"{corpus_id} was accessed since it was loaded, which its ranking would show")


def _sha256(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()

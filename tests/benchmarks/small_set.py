"""A small evaluation set, and fakes of the parts that load the set and ask its questions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.quality.evaluation import Evaluation
from ingest.writing.pipeline import Ingestor
from memtypes.model.times import system_clock
from retrieval.dependencies import RetrieverParts
from retrieval.retriever import Retriever
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore

CORPUS: tuple[dict[str, Any], ...] = (
    {
        "id": "c1:1",
        "conversation": "c1",
        "session": "s1",
        "timestamp": "2024-01-02T10:00:00Z",
        "speaker": "Ada",
        "text": "The harbour crane was painted yellow",
        "memory_type": "episodic",
    },
    {
        "id": "c1:2",
        "conversation": "c1",
        "session": "s1",
        "timestamp": "2024-01-02T10:00:20Z",
        "speaker": "Ada",
        "text": "Our violin teacher moved to Lisbon",
        "memory_type": "episodic",
    },
    {
        "id": "c1:3",
        "conversation": "c1",
        "session": "s2",
        "timestamp": "2024-01-02T19:00:00Z",
        "speaker": "Ada",
        "text": "The harbour  crane was painted yellow",
        "memory_type": "episodic",
    },
    {
        "id": "c2:1",
        "conversation": "c2",
        "session": None,
        "timestamp": None,
        "speaker": "document",
        "text": "Copper conducts heat well",
        "memory_type": "semantic",
    },
)
QUERIES: tuple[dict[str, Any], ...] = (
    {
        "id": "q1",
        "conversation": "c1",
        "text": "Which colour has the harbour crane?",
        "category": "colour",
        "evidence": ["c1:3"],
        "answerable": True,
        "asked_at": "2024-02-01T00:00:00Z",
    },
    {
        "id": "q2",
        "conversation": "c1",
        "text": "Where did the violin teacher go?",
        "category": "place",
        "evidence": ["c1:2"],
        "answerable": True,
        "asked_at": "2024-02-01T00:00:00Z",
    },
    {
        "id": "q3",
        "conversation": "c2",
        "text": "What does copper conduct?",
        "evidence": ["c2:1"],
        "answerable": True,
    },
)


def write_set(
    folder: Path, corpus: Sequence[Mapping[str, Any]], queries: Sequence[Mapping[str, Any]]
) -> Path:
    """Write an evaluation set, the files corpus.jsonl and queries.jsonl, to a new folder, and
    return the folder.
    """
    folder.mkdir(parents=True)
    for name, rows in (("corpus.jsonl", corpus), ("queries.jsonl", queries)):
        (folder / name).write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
    return folder


@dataclass(frozen=True, slots=True)
class FakeParts:
    """An ingestor and an evaluation that share one in-memory store and use a fake encoder."""

    store: InMemoryStore = field(default_factory=InMemoryStore)

    @property
    def ingestor(self) -> Ingestor:
        """An ingestor that writes to the in-memory store."""
        return plain_ingestor(self.store, system_clock)

    @property
    def evaluation(self) -> Evaluation:
        """An evaluation whose retriever searches the in-memory store."""
        tokenizer = FakeTokenizer()
        parts = RetrieverParts(
            self.store, FakeEmbedder(), FakeSparse(), {tokenizer.name: tokenizer}, system_clock
        )
        return Evaluation(Retriever(parts), tokenizer.count)

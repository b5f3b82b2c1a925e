"""Ranks of current and stale statements."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.quality.updates import score_updates
from benchmarks.sets.data import read_set
from benchmarks.sets.loading import load
from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.model.times import system_clock
from memtypes.stores.memory import InMemoryStore
from retrieval.retriever import Retriever, RetrieverParts
from tests.benchmarks.small_set import write_set
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer

pytestmark = pytest.mark.anyio


def turn(number: int, text: str) -> dict[str, str]:
    """A corpus line: what Ada said at minute `number`."""
    return {
        "id": f"c:{number}",
        "conversation": "c",
        "session": "s",
        "timestamp": f"2024-01-02T10:{number:02}:00Z",
        "speaker": "Ada",
        "text": text,
        "memory_type": "episodic",
    }


async def test_a_current_statement_ranks_above_the_stale_one(tmp_path: Path) -> None:
    """Only a question with current and stale evidence is a pair."""
    corpus = [
        turn(1, "My budget for sneakers is 600"),
        turn(2, "Tea is green"),
        turn(3, "My budget for sneakers is 650"),
    ]
    asked = {"conversation": "c", "answerable": True, "category": "k", "asked_at": "2024-01-03T00:00:00Z"}
    queries = [
        {
            **asked,
            "id": "1",
            "text": "What is my budget for sneakers?",
            "evidence": ["c:1", "c:3"],
            "current_evidence": ["c:3"],
        },
        {**asked, "id": "2", "text": "Is tea green?", "evidence": ["c:2"]},
    ]
    write_set(tmp_path / "small", corpus, queries)
    store, counted = InMemoryStore(), FakeTokenizer()
    parts = RetrieverParts(store, FakeEmbedder(), FakeSparse(), {counted.name: counted}, system_clock)
    ingestor = Ingestor(IngestorParts(store, FakeEmbedder(), FakeSparse(), counted, system_clock))
    whole = read_set(tmp_path / "small")
    loaded = await load(ingestor, store, whole)
    scores = await score_updates(Retriever(parts), whole, loaded)
    assert scores.ranks == (("1", 1, 2),)
    assert scores.row() == ("small", 1, 1, 1.0)

"""Loading evaluation sets into a store, and using a store again that a former run has filled."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.sets.data import EvaluationSet, read_set
from benchmarks.sets.loading import NotLoaded, load, load_or_verify, manifest_path, scope_of, verify
from memtypes.model.policy import MemoryType
from tests.benchmarks.small_set import CORPUS, QUERIES, FakeParts, write_set

pytestmark = pytest.mark.anyio


@pytest.fixture
def small(tmp_path: Path) -> EvaluationSet:
    """The evaluation set of `CORPUS` and `QUERIES`, written to files and read back."""
    return read_set(write_set(tmp_path / "small", CORPUS, QUERIES))


async def test_every_corpus_entry_has_a_memory(small: EvaluationSet) -> None:
    """Every corpus entry is loaded as a memory, each conversation into its own namespace.

    Equal texts share a memory.
    """
    parts = FakeParts()
    loaded = await load(parts.ingestor, parts.store, small)
    assert loaded.merged == 1
    assert loaded.ids["c1:1"] == loaded.ids["c1:3"] != loaded.ids["c1:2"]
    stats = await parts.store.stats(scope_of("small", "c1"))
    assert stats[MemoryType.EPISODIC].count == 2
    assert (await parts.store.stats(scope_of("small", "c2")))[MemoryType.SEMANTIC].count == 1


async def test_a_kept_store_is_verified(small: EvaluationSet, tmp_path: Path) -> None:
    """A store that was kept from an earlier run is used again if its manifest and memories match
    the corpus.
    """
    parts = FakeParts()
    loaded = await load_or_verify(parts.ingestor, parts.store, small, tmp_path)
    assert manifest_path(tmp_path, "small").is_file()
    assert await load_or_verify(parts.ingestor, parts.store, small, tmp_path) == replace(
        loaded, seconds=0.0
    )


async def test_a_kept_store_of_another_corpus_is_refused(
    small: EvaluationSet, tmp_path: Path
) -> None:
    parts = FakeParts()
    loaded = await load(parts.ingestor, parts.store, small)
    changed = write_set(
        tmp_path / "other" / "small", [{**CORPUS[0], "text": "Another text"}, *CORPUS[1:]], QUERIES
    )
    with pytest.raises(NotLoaded, match="changed since it was loaded"):
        await verify(parts.store, read_set(changed), loaded)


async def test_a_kept_store_that_lost_a_memory_is_refused(small: EvaluationSet) -> None:
    """If a memory is missing in a store that was kept from an earlier run, the error names its
    corpus entry.
    """
    parts = FakeParts()
    loaded = await load(parts.ingestor, parts.store, small)
    await parts.store.delete(scope_of("small", "c1"), [loaded.ids["c1:2"]])
    with pytest.raises(NotLoaded, match="c1:2 is not in the store"):
        await verify(parts.store, small, loaded)


@pytest.mark.parametrize(
    "change", [{"content_hash": "0" * 64}, {"access_count": 2}, {"speaker": "Eve"}]
)
async def test_a_kept_store_whose_memories_changed_is_refused(
    small: EvaluationSet, change: dict[str, object]
) -> None:
    """A store kept from an earlier run is refused if a memory's content, access count or embedded
    text changed.
    """
    parts = FakeParts()
    loaded = await load(parts.ingestor, parts.store, small)
    await parts.store.patch(scope_of("small", "c1"), {loaded.ids["c1:2"]: change})
    with pytest.raises(NotLoaded, match="drafts, embedding texts or accesses changed"):
        await verify(parts.store, small, loaded)

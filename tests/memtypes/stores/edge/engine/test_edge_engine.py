"""The embedded engine's cache of ranking values: filled by a warm-up after the start, updated by
writes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.search.candidates import Candidates
from memtypes.search.columns import LINKS, TERMS, ColumnKind, ColumnKinds
from memtypes.stores.edge.engine.edge_engine import WARM_UP_STEP, EdgeEngine
from memtypes.stores.operations.searching import TypedSearch, find_candidates
from memtypes.stores.operations.writes import FieldChange, patch, write
from retrieval.columns import COLUMNS
from tests.builders import DIMENSIONS, SCOPE, make_memory, make_record
from tests.candidates import rows_of

pytestmark = pytest.mark.anyio

KIND = MemoryType.SEMANTIC
MEMORIES = [
    make_memory(KIND, f"number {n}", importance=1 + n % 10) for n in range(WARM_UP_STEP + 20)
]
POINTS = [make_record(memory) for memory in MEMORIES]


def opened(path: Path, columns: ColumnKinds = COLUMNS) -> EdgeEngine:
    """Open an engine over the shards in the directory `path`."""
    return EdgeEngine.open({kind: path / kind for kind in MemoryType}, DIMENSIONS, columns)


async def filled(path: Path) -> EdgeEngine:
    """An engine to which all of MEMORIES were written."""
    engine = opened(path)
    await write(engine, scope=SCOPE, points=POINTS, changes=[])
    return engine


async def test_candidates_have_the_columns_for_which_the_engine_was_opened(tmp_path: Path) -> None:
    (await filled(tmp_path)).close()
    engine = opened(tmp_path, {"importance": ColumnKind.WHOLE})
    candidates = await search(engine)
    # Those of links and terms are the store's own; links have no values here.
    assert candidates.columns.kinds.keys() == {"importance", LINKS, TERMS}
    assert candidates.columns.columns.keys() == {"importance", TERMS}
    engine.close()


async def search(engine: EdgeEngine) -> Candidates:
    """Search without a filter, so that every memory is a candidate; return the candidates."""
    everything = TypedSearch({KIND: {}}, POINTS[0].vectors.dense, POINTS[0].vectors.sparse, 200)
    (candidates,) = await find_candidates(engine, scope=SCOPE, searches=[everything])
    return candidates


def importance(memories: list[Memory]) -> dict[str, int]:
    """The importance of each memory, by id."""
    return {memory.id: memory.importance for memory in memories}


async def test_a_search_after_the_warm_up_gives_current_values(tmp_path: Path) -> None:
    (await filled(tmp_path)).close()
    engine = opened(tmp_path)
    assert sum(1 for _ in engine.warm()) >= 2  # a slow machine takes smaller steps
    assert not list(engine.warm())  # nothing is read again
    change = FieldChange([MEMORIES[0].id], {"importance": 9})
    await patch(engine, scope=SCOPE, changes=[change])
    candidates = await search(engine)
    engine.close()
    assert {row.id: row.payload["importance"] for row in rows_of(candidates)} == {
        **importance(MEMORIES),
        MEMORIES[0].id: 9,
    }

"""The stores on which the contract of MemoryStore is tested, and a new scope for every test.

Tests on a real Qdrant server are skipped unless QDRANT_TEST_URL is set. QDRANT_TEST_API_KEY is the
server's key.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient

from memtypes.model.scope import Scope
from memtypes.ports.items import ItemStore
from memtypes.ports.memory_store import MemoryStore
from memtypes.stores.edge import EdgeSettings, EdgeStore
from memtypes.stores.operations.engine_store import EngineStore
from memtypes.stores.operations.item_store import EngineItems
from memtypes.stores.operations.schema import COLLECTIONS
from memtypes.stores.qdrant.store import LOCAL, QdrantSettings, QdrantStore
from retrieval.columns import COLUMNS
from tests.builders import DIMENSIONS
from tests.fakes_memories import InMemoryStore

FINGERPRINT = "test-embedder"


@dataclass(frozen=True, slots=True)
class Bench:
    """A MemoryStore under test, with the name of its implementation."""

    name: str
    store: EngineStore


STORES = ("edge", "qdrant-local", "qdrant-server", "memory")


# Not for the session: its event loop would be in the way of other packages' tests that run one of
# their own.
@pytest.fixture(scope="package", params=STORES)
async def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    """A fixture for each implementation of MemoryStore.

    The store is opened once for all tests, so that it also contains the memories of other tests.
    """
    async with bench_of(request.param, tmp_path_factory.mktemp("edge")) as opened:
        yield opened


@asynccontextmanager
async def bench_of(name: str, directory: Path) -> AsyncIterator[Bench]:
    """An empty MemoryStore of the implementation `name`.

    When the context ends, the store is closed and its data is deleted.
    """
    url = os.environ.get("QDRANT_TEST_URL")
    if name == "qdrant-server" and not url:
        pytest.skip("no Qdrant server: start one and set QDRANT_TEST_URL")
    prefix = f"test{uuid.uuid4().hex[:12]}"
    store = await _open(name, url or LOCAL, prefix, directory)
    yield Bench(name, store)
    await store.aclose()
    if name == "qdrant-server" and url:
        await _drop(url, prefix)


@pytest.fixture
def store(bench: Bench) -> MemoryStore:
    """The MemoryStore under test: a test runs once on each implementation."""
    return bench.store


@pytest.fixture
def items(bench: Bench) -> ItemStore:
    """An ItemStore, for keyed items, over each MemoryStore implementation in turn."""
    return EngineItems(bench.store)


@pytest.fixture
def scope() -> Scope:
    """A scope whose namespace no other test uses."""
    return Scope("acme", f"ns-{uuid.uuid4()}")


async def _open(name: str, url: str, prefix: str, directory: Path) -> EngineStore:
    if name == "memory":
        return InMemoryStore(DIMENSIONS)
    if name == "edge":
        return await EdgeStore.open(
            EdgeSettings(directory / "memories", FINGERPRINT, DIMENSIONS, COLUMNS)
        )
    key = os.environ.get("QDRANT_TEST_API_KEY") if name == "qdrant-server" else None
    return await QdrantStore.open(
        QdrantSettings(
            LOCAL if name == "qdrant-local" else url,
            FINGERPRINT,
            DIMENSIONS,
            COLUMNS,
            api_key=key,
            prefix=prefix,
        )
    )


async def _drop(url: str, prefix: str) -> None:
    client = AsyncQdrantClient(
        url, api_key=os.environ.get("QDRANT_TEST_API_KEY"), check_compatibility=False
    )
    for kind in COLLECTIONS:
        await client.delete_collection(f"{prefix}_{kind}_v1")
    await client.close()

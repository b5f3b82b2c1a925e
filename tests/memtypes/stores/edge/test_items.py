"""Keyed items (JSON values with a key) in an embedded store: upgrade, re-embedding, erasure and
killed engines.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import msgspec
import numpy as np
import pytest

from memtypes.items.item import Item, ItemAddress, ItemSearch, PathListing
from memtypes.search.vectors import InContext, Vectors
from memtypes.stores.edge import EdgeFiles, EdgeStore
from memtypes.stores.edge.layout import Layout
from memtypes.stores.edge.rebuild import rebuild
from memtypes.stores.operations.item_store import EngineItems
from memtypes.stores.operations.schema import ITEMS
from tests.builders import DIMENSIONS, SCOPE, make_dense, make_sparse
from tests.memtypes.stores.engines import kill_worker, settings_for

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


async def put(store: EdgeStore, key: str, text: str) -> None:
    """Put an item whose title is `text`, with a made-up vector."""
    item = Item(ItemAddress(path=("p",), key=key), {"title": text}, NOW, NOW, index=("title",))
    await EngineItems(store).put(SCOPE, item, np.stack([make_dense(3, DIMENSIONS)]))


async def titles(store: EdgeStore) -> set[str]:
    """The titles of all items."""
    return {item.value["title"] async for item in EngineItems(store).every(SCOPE, NOW)}


async def test_a_store_of_a_version_without_items_accepts_items(tmp_path: Path) -> None:
    """A store whose store.json names no collection of items, as older versions wrote it, opens and
    stores items.
    """
    await (await EdgeStore.open(settings_for(tmp_path))).aclose()
    layout = Layout(tmp_path)
    manifest = layout.require_manifest()
    old = {kind: version for kind, version in manifest.current.items() if kind != ITEMS}
    layout.write_manifest(msgspec.structs.replace(manifest, current=old))
    store = await EdgeStore.open(settings_for(tmp_path))
    await put(store, "k", "tea")
    await EngineItems(store).delete_all(SCOPE)
    await put(store, "k", "coffee")
    await EdgeFiles(store).erase(SCOPE, None)
    await store.aclose()
    assert layout.require_manifest().current == {**old, "items": "v2"}
    store = await EdgeStore.open(settings_for(tmp_path))
    assert await titles(store) == {"coffee"}
    await store.aclose()


async def test_items_are_embedded_again_by_their_index_paths(tmp_path: Path) -> None:
    """After re-embedding, an item is found by the new vector of its indexed text. Its value and
    times are unchanged.
    """
    store = await EdgeStore.open(settings_for(tmp_path))
    for number in range(70):
        await put(store, f"{number}", f"title {number}")
    unindexed = Item(ItemAddress(path=("p",), key="none"), {"title": "none"}, NOW, NOW, index=())
    await EngineItems(store).put(SCOPE, unindexed, np.empty((0, DIMENSIONS), np.float32))
    before = [item async for item in EngineItems(store).every(SCOPE, NOW)]
    await store.aclose()

    async def wider(texts: Sequence[InContext]) -> list[Vectors]:
        return [
            Vectors(make_dense(crc32(text.text.encode()), 12), make_sparse([1])) for text in texts
        ]

    settings = settings_for(tmp_path, fingerprint="wider", dimensions=12)
    assert (await rebuild(settings, wider))[ITEMS] == 71
    store = await EdgeStore.open(settings)
    assert [item async for item in EngineItems(store).every(SCOPE, NOW)] == before
    search = ItemSearch(vector=make_dense(crc32(b"title 7"), 12), limit=1)
    (hit,) = await EngineItems(store).search(SCOPE, search, NOW)
    assert hit.value == {"title": "title 7"}
    assert hit.score == pytest.approx(1.0)
    await store.aclose()


async def test_an_erasure_removes_the_bytes_of_items(tmp_path: Path) -> None:
    """After an erasure neither deleted nor replaced values of items are left in the files."""
    store = await EdgeStore.open(settings_for(tmp_path))
    await put(store, "k", "wiped first")
    await put(store, "k", "wiped second")
    await EngineItems(store).delete(SCOPE, ItemAddress(path=("p",), key="k"))
    await put(store, "k", "kept")
    assert await EdgeFiles(store).erase(SCOPE, None) == 1
    files = [path for path in (tmp_path / "items").rglob("*") if path.is_file()]
    assert not [path for path in files if b"wiped" in path.read_bytes()]
    assert await titles(store) == {"kept"}
    await store.aclose()


async def test_acknowledged_puts_survive_the_death_of_the_engine(tmp_path: Path) -> None:
    """After the engine was killed, all items and their index are there; replaced and deleted values
    are not.
    """
    store = await EdgeStore.open(settings_for(tmp_path))
    for number in range(200):
        await put(store, f"{number % 150}", f"title {number}")
    await EngineItems(store).delete(SCOPE, ItemAddress(path=("p",), key="149"))
    await kill_worker(tmp_path)
    assert await titles(store) == {f"title {number}" for number in range(50, 200) if number != 149}
    assert await EngineItems(store).paths(SCOPE, PathListing(), NOW) == [("p",)]
    assert len(await EngineItems(store).search(SCOPE, ItemSearch(("p",), limit=500), NOW)) == 149
    await store.aclose()

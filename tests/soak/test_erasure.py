"""Erasing a namespace of a full store while other namespaces are read."""

from __future__ import annotations

import asyncio
import mmap
import time
from pathlib import Path

import pytest

from api.settings import Settings
from benchmarks.harness.metrics import percentile
from benchmarks.harness.stores import TENANT, filled, namespace_of, open_parts
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.stores.edge import EdgeFiles, EdgeStore
from tests.soak.service import Sizes

pytestmark = [pytest.mark.soak, pytest.mark.anyio]

MARK = "the marked text of a soak test"
_PAUSE_S = 0.01
_LIMIT_S = 600.0
_LONGEST_READ_S = 10.0


async def test_erased_text_is_in_no_file(settings: Settings, sizes: Sizes) -> None:
    """After an erasure no file of the store contains the erased text. Reads in other namespaces
    continue meanwhile.
    """
    await filled(settings, sizes.pick(1_000, 100_000), 50)
    scope = Scope(TENANT, "to-erase")
    async with open_parts(settings) as opened:
        store = opened.store
        assert isinstance(store, EdgeStore)
        drafts = [
            DRAFT.validate_python({"type": kind, "content": f"{MARK} {kind}"})
            for kind in MemoryType
        ]
        await opened.ingestor.write(scope, drafts)
        assert _files_with(settings.store_path, MARK) > 0
        done = asyncio.Event()
        reads = asyncio.create_task(_read_others(store, done))
        await store.delete_where(scope, (), None)
        files = EdgeFiles(store, _LIMIT_S)
        await files.erase(scope, None)
        remaining = await files.remaining(scope, None)
        done.set()
        seconds = await reads
        assert remaining == 0
        assert _files_with(settings.store_path, MARK) == 0
        assert percentile(seconds, 0.99) < _LONGEST_READ_S, seconds


async def _read_others(store: EdgeStore, done: asyncio.Event) -> list[float]:
    """Read another namespace's stats again and again until `done` is set; return the seconds of
    each read.
    """
    seconds = []
    while not done.is_set():
        began = time.perf_counter()
        await store.stats(Scope(TENANT, namespace_of(0)))
        seconds.append(time.perf_counter() - began)
        await asyncio.sleep(_PAUSE_S)
    return seconds


def _files_with(folder: Path, text: str) -> int:
    return sum(
        _holds(path, text.encode())
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_size
    )


def _holds(path: Path, text: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
        return content.find(text) >= 0

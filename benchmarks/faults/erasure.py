"""`erasure`: one namespace of many is erased with its bytes; how long that takes, and what others wait meanwhile.

A marked text of that namespace is looked for in every file before and after.
"""

from __future__ import annotations

import asyncio
import mmap
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.apparatus.bulk import TENANT, filled, namespace_of
from benchmarks.apparatus.metrics import percentile
from benchmarks.apparatus.opened import Opened, open_parts, settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.report import Report, Table
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.stores.edge import EdgeStore
from memtypes.stores.edge.maintenance.erasure import EdgeFiles

MARK = "the marked text of a benchmark"
_PAUSE_S = 0.01
_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """size: memories. namespaces: they are in; one of them is erased. store: keep the filled store here."""

    command: str
    size: int = 100_000
    namespaces: int = 50
    store: Path | None = None


async def measure_erasure(request: ErasureRequest) -> Report:
    """The report: seconds, what others waited, and the files that hold the marked text before and after."""
    with data_directory(request.store) as directory:
        settings = settings_in(directory)
        await filled(settings, request.size, request.namespaces)
        async with open_parts(settings) as opened:
            figures = await _erased(opened, settings.store_path)
    table = Table("A namespace is erased", tuple(figures), (tuple(figures.values()),))
    return Report(request.command, (table,), ("others: one fetch of a memory after the other",), figures)


async def _erased(opened: Opened, folder: Path) -> dict[str, float]:
    store, scope = opened.store, Scope(TENANT, "to-erase")
    if not isinstance(store, EdgeStore):
        raise TypeError("only the embedded store has files of its own")
    drafts = [DRAFT.validate_python({"type": kind, "content": f"{MARK} {kind}"}) for kind in MemoryType]
    await opened.ingestor.write(scope, drafts)
    before = _files_with(folder, MARK)
    done = asyncio.Event()
    waiting = asyncio.create_task(_waits(store, done))
    began = time.perf_counter()
    await store.delete_where(scope, (), None)
    files = EdgeFiles(store, _LIMIT_S)
    renewed = await files.erase(scope, None)
    seconds = time.perf_counter() - began
    done.set()
    waits = await waiting
    return {
        "seconds": seconds,
        "types_written_anew": renewed,
        "types_left": await files.remaining(scope, None),
        "others_p50_ms": percentile(waits, 0.5),
        "others_p99_ms": percentile(waits, 0.99),
        "others_longest_ms": max(waits),
        "files_with_the_text_before": before,
        "files_with_the_text_after": _files_with(folder, MARK),
    }


async def _waits(store: EdgeStore, done: asyncio.Event) -> list[float]:
    """Milliseconds that each of a row of small questions took."""
    took = []
    other = Scope(TENANT, namespace_of(0))
    while not done.is_set():
        began = time.perf_counter()
        await store.stats(other)
        took.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(_PAUSE_S)
    return took


def _files_with(folder: Path, text: str) -> int:
    """How many files hold `text`."""
    return sum(_holds(path, text.encode()) for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def _holds(path: Path, text: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
        return content.find(text) >= 0

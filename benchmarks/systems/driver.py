"""Runs a memory system on a job: loads the memories, times the searches, writes the answer.

A job is a folder with memories and queries (job.json) and with vectors, so that no system waits for
an encoder. This file runs in the system's virtual environment, so it imports nothing but numpy and
the standard library.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

TIMED_DEPTH = 10
RANKED_DEPTH = 100
_PORTION = 64
_WARM_UP = 5

Array: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Item:
    """A memory to store: its namespace, its session, and the text that every system gets."""

    id: str
    namespace: str
    session: str
    text: str


class VectorFile:
    """The precomputed vectors of all memories and queries, looked up by text. Raises KeyError for
    an unknown text.
    """

    def __init__(self, texts: Sequence[str], vectors: Array) -> None:
        self._rows = {text: row for row, text in enumerate(texts)}
        self._vectors = vectors

    def __contains__(self, text: str) -> bool:
        return text in self._rows

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return int(self._vectors.shape[1])

    def all_of(self, texts: Sequence[str]) -> Array:
        """The vectors of `texts` as rows of a matrix."""
        return self._vectors[[self._rows[text] for text in texts]]

    def lists(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of `texts` as lists of floats."""
        rows: list[list[float]] = self.all_of(texts).tolist()
        return rows


class System(ABC):
    """A memory system to measure. package: Python package whose version is reported. notes: remarks
    on its set-up.
    """

    package: ClassVar[str]
    notes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def add(self, items: Sequence[Item]) -> None:
        """Store `items`, which all belong to one namespace."""

    @abstractmethod
    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids of at most `depth` memories of `namespace` for `query`, best first."""


def drive(name: str, folder: Path, open_system: Callable[[Path, VectorFile], System]) -> None:
    """Run the system `name` on the job in `folder`, and write its results to NAME.answer.json in
    that folder.
    """
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    home = folder / name
    home.mkdir()
    system = open_system(home, VectorFile(job["texts"], np.load(folder / "vectors.npy")))
    seconds = _load(system, [Item(**item) for item in job["items"]])
    ms, ranked = _ask(system, job["queries"])
    answer = {
        "version": version(system.package),
        "seconds": seconds,
        "ms": ms,
        "ranked": ranked,
        "notes": system.notes,
    }
    (folder / f"{name}.answer.json").write_text(json.dumps(answer), encoding="utf-8")


def _load(system: System, items: Sequence[Item]) -> float:
    began = time.perf_counter()
    for _, group in groupby(items, key=lambda item: item.namespace):
        portion = list(group)
        for start in range(0, len(portion), _PORTION):
            system.add(portion[start : start + _PORTION])
    return time.perf_counter() - began


def _ask(
    system: System, queries: Sequence[dict[str, str]]
) -> tuple[list[float], dict[str, list[str]]]:
    """Time a search by each query, then search deeper to rank. Returns milliseconds, and ranked ids
    by query id.
    """
    for query in queries[:_WARM_UP]:
        system.search(query["namespace"], query["text"], TIMED_DEPTH)
    ms: list[float] = []
    ranked: dict[str, list[str]] = {}
    for query in queries:
        began = time.perf_counter()
        system.search(query["namespace"], query["text"], TIMED_DEPTH)
        ms.append((time.perf_counter() - began) * 1e3)
        ranked[query["id"]] = system.search(query["namespace"], query["text"], RANKED_DEPTH)
    return ms, ranked

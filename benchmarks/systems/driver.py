"""The part that all drivers share: load the memories, time the questions, write the answer.

A driver runs in the virtual environment of its system, so this file imports numpy and nothing else of the project.
Vectors come from a file, so that no system waits for an encoder.
"""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

TIMED_DEPTH = 10
RANKED_DEPTH = 100
_PORTION = 64
_WARM_UP = 5

Array: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Item:
    """One memory with its namespace, its session and the text that every system gets."""

    id: str
    namespace: str
    session: str
    text: str


class VectorFile:
    """The vectors of all memories and queries, by text."""

    def __init__(self, texts: Sequence[str], vectors: Array) -> None:
        self._places = {text: place for place, text in enumerate(texts)}
        self._vectors = vectors

    @property
    def dimensions(self) -> int:
        """Number of dimensions."""
        return int(self._vectors.shape[1])

    def of(self, text: str) -> Array:
        """The vector of `text`. Raises KeyError for an unknown text."""
        vector: Array = self._vectors[self._places[text]]
        return vector

    def all_of(self, texts: Sequence[str]) -> Array:
        """A matrix with a row for each text."""
        return self._vectors[[self._places[text] for text in texts]]

    def lists(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of `texts` as lists."""
        rows: list[list[float]] = self.all_of(texts).tolist()
        return rows


class System(ABC):
    """A memory system under test."""

    notes: tuple[str, ...] = ()
    """Differences from the system as it is shipped."""

    @abstractmethod
    def add(self, items: Sequence[Item]) -> None:
        """Store `items`, which have one namespace."""

    @abstractmethod
    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids of at most `depth` memories of the namespace, best first."""


Open: TypeAlias = Callable[[Path, VectorFile], System]
"""Opens a system in an empty folder with the vectors."""


def drive(package: str, open_system: Open) -> None:
    """Run the job file that the command line names and write the answer."""
    job_path = Path(sys.argv[1])
    job: dict[str, Any] = json.loads(job_path.read_text(encoding="utf-8"))
    vectors = VectorFile(job["texts"], np.load(job_path.with_name("vectors.npy")))
    home = Path(job["home"])
    home.mkdir(parents=True)
    system = open_system(home, vectors)
    seconds = _load(system, [Item(**item) for item in job["items"]])
    ms, ranked = _ask(system, job["queries"])
    answer = {"version": version(package), "seconds": seconds, "ms": ms, "ranked": ranked, "notes": system.notes}
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")


def _load(system: System, items: Sequence[Item]) -> float:
    """Seconds of the loading."""
    began = time.perf_counter()
    start = 0
    while start < len(items):
        end = start
        while end < min(start + _PORTION, len(items)) and items[end].namespace == items[start].namespace:
            end += 1
        system.add(items[start:end])
        start = end
    return time.perf_counter() - began


def _ask(system: System, queries: Sequence[dict[str, str]]) -> tuple[list[float], dict[str, list[str]]]:
    """Milliseconds of each search for ten, and the rankings of a deeper search."""
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

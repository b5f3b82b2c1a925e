"""What every driver does, whatever system it drives: load the memories, time the questions, write what came back.

A driver runs in a process of its own, in the virtual environment of its system: this file needs numpy alone and knows
nothing else of the project. Vectors come from a file, so that no system waits for an encoder.
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
    """One memory: whose it is, which session it is from, and the text that every system gets."""

    id: str
    namespace: str
    session: str
    text: str


class VectorFile:
    """The vectors of all texts that occur, by text."""

    def __init__(self, texts: Sequence[str], vectors: Array) -> None:
        self._places = {text: place for place, text in enumerate(texts)}
        self._vectors = vectors

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._vectors.shape[1])

    def of(self, text: str) -> Array:
        """The vector of `text`. Raises KeyError for a text that is neither a memory nor a question."""
        vector: Array = self._vectors[self._places[text]]
        return vector

    def all_of(self, texts: Sequence[str]) -> Array:
        """One row a text."""
        return self._vectors[[self._places[text] for text in texts]]

    def lists(self, texts: Sequence[str]) -> list[list[float]]:
        """As plain lists."""
        rows: list[list[float]] = self.all_of(texts).tolist()
        return rows


class System(ABC):
    """What a driver asks of the system that it drives."""

    notes: tuple[str, ...] = ()
    """What differs from the system as its makers ship it."""

    @abstractmethod
    def add(self, items: Sequence[Item]) -> None:
        """Keep `items`, all of one namespace."""

    @abstractmethod
    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """The ids of at most `depth` memories of the namespace, best first."""


Open: TypeAlias = Callable[[Path, VectorFile], System]
"""Given an empty folder and the vectors, opens a system."""


def drive(package: str, open_system: Open) -> None:
    """Do the job that the command line names, and write what came of it beside it."""
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
    """Seconds that loading took."""
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
    """Milliseconds of each question, and its ranking, asked again for more."""
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

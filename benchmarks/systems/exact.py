"""Driver of exact search: cosines by one numpy product over the namespace's vectors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.systems.driver import Array, Item, System, VectorFile, drive


class Exact(System):
    """A matrix of vectors for each namespace."""

    def __init__(self, vectors: VectorFile) -> None:
        self._vectors = vectors
        self._ids: dict[str, list[str]] = defaultdict(list)
        self._rows: dict[str, Array] = defaultdict(lambda: np.zeros((0, vectors.dimensions), dtype=np.float32))

    def add(self, items: Sequence[Item]) -> None:
        """Append rows."""
        namespace = items[0].namespace
        self._ids[namespace] += [item.id for item in items]
        self._rows[namespace] = np.vstack([self._rows[namespace], self._vectors.all_of([item.text for item in items])])

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids by cosine."""
        order = np.argsort(-(self._rows[namespace] @ self._vectors.of(query)), kind="stable")
        return [self._ids[namespace][place] for place in order[:depth]]


def open_exact(home: Path, vectors: VectorFile) -> System:
    """An empty system in memory."""
    del home
    return Exact(vectors)


if __name__ == "__main__":
    drive("numpy", open_exact)

"""Drives txtai: hybrid search, an index a namespace, as its filters come after the candidates are chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from txtai import Embeddings

from benchmarks.contenders.driver import Array, Item, System, VectorFile, drive


class Txtai(System):
    """Dense vectors by a function of ours, its own keyword index, its own mix of both."""

    notes = ("one index a namespace",)

    def __init__(self, vectors: VectorFile) -> None:
        def embedded(texts: Sequence[str]) -> Array:  # a plain function: it passes itself to what is a method
            return vectors.all_of(texts)

        self._indexes: dict[str, Embeddings] = defaultdict(
            lambda: Embeddings(method="external", transform=embedded, hybrid=True)
        )

    def add(self, items: Sequence[Item]) -> None:
        """One upsert."""
        self._indexes[items[0].namespace].upsert([(item.id, item.text, None) for item in items])

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """By its hybrid score."""
        return [found for found, _ in self._indexes[namespace].search(query, depth)]


def open_txtai(home: Path, vectors: VectorFile) -> System:
    """Indexes in memory."""
    del home
    return Txtai(vectors)


if __name__ == "__main__":
    drive("txtai", open_txtai)

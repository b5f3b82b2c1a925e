"""Driver of txtai: hybrid search with an index for each namespace, since it filters after choosing candidates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from txtai import Embeddings

from benchmarks.systems.driver import Array, Item, System, VectorFile, drive


class Txtai(System):
    """Hybrid indexes with given dense vectors."""

    notes = ("one index a namespace",)

    def __init__(self, vectors: VectorFile) -> None:
        def embedded(texts: Sequence[str]) -> Array:  # txtai passes itself to a bound method
            return vectors.all_of(texts)

        self._indexes: dict[str, Embeddings] = defaultdict(
            lambda: Embeddings(method="external", transform=embedded, hybrid=True)
        )

    def add(self, items: Sequence[Item]) -> None:
        """Upsert all items."""
        self._indexes[items[0].namespace].upsert([(item.id, item.text, None) for item in items])

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids by hybrid score."""
        return [name for name, _ in self._indexes[namespace].search(query, depth)]


def open_txtai(home: Path, vectors: VectorFile) -> System:
    """Indexes in memory."""
    del home
    return Txtai(vectors)


if __name__ == "__main__":
    drive("txtai", open_txtai)

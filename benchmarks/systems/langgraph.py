"""Driver of LangGraph's InMemoryStore with a vector index, its long-term memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from langgraph.store.base import PutOp
from langgraph.store.memory import InMemoryStore

from benchmarks.systems.driver import Item, System, VectorFile, drive


class LangGraph(System):
    """An InMemoryStore with a namespace tuple for each namespace."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def add(self, items: Sequence[Item]) -> None:
        """Put all items in one batch."""
        self._store.batch([PutOp((item.namespace,), item.id, {"text": item.text}) for item in items])

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids by cosine."""
        return [hit.key for hit in self._store.search((namespace,), query=query, limit=depth)]


def open_langgraph(home: Path, vectors: VectorFile) -> System:
    """A store in memory."""
    del home
    return LangGraph(InMemoryStore(index={"dims": vectors.dimensions, "embed": vectors.lists, "fields": ["text"]}))


if __name__ == "__main__":
    drive("langgraph", open_langgraph)

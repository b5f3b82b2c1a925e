"""Drives LangGraph's InMemoryStore with an index, as its long-term memory is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from langgraph.store.base import PutOp
from langgraph.store.memory import InMemoryStore

from benchmarks.contenders.driver import Item, System, VectorFile, drive


class LangGraph(System):
    """A namespace each; the store embeds through the function that it was given."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def add(self, items: Sequence[Item]) -> None:
        """One batch."""
        self._store.batch([PutOp((item.namespace,), item.id, {"text": item.text}) for item in items])

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """By cosine."""
        return [found.key for found in self._store.search((namespace,), query=query, limit=depth)]


def open_langgraph(home: Path, vectors: VectorFile) -> System:
    """A store in memory."""
    del home
    return LangGraph(InMemoryStore(index={"dims": vectors.dimensions, "embed": vectors.lists, "fields": ["text"]}))


if __name__ == "__main__":
    drive("langgraph", open_langgraph)

"""Driver of Chroma: one collection on disk; queries filter by the namespace in the metadata."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import chromadb
from chromadb.config import Settings

from benchmarks.systems.driver import Item, System, VectorFile, drive


class Chroma(System):
    """A Chroma collection with given vectors."""

    def __init__(self, collection: chromadb.Collection, vectors: VectorFile) -> None:
        self._collection = collection
        self._vectors = vectors

    def add(self, items: Sequence[Item]) -> None:
        """Add all items in one call."""
        texts = [item.text for item in items]
        self._collection.add(
            ids=[item.id for item in items],
            documents=texts,
            embeddings=self._vectors.lists(texts),
            metadatas=[{"namespace": item.namespace} for item in items],
        )

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids by cosine."""
        answer = self._collection.query(
            query_embeddings=self._vectors.lists([query]), n_results=depth, where={"namespace": namespace}
        )
        return list(answer["ids"][0])


def open_chroma(home: Path, vectors: VectorFile) -> System:
    """A persistent client without telemetry."""
    client = chromadb.PersistentClient(str(home), settings=Settings(anonymized_telemetry=False))
    collection = client.create_collection("memories", metadata={"hnsw:space": "cosine"}, embedding_function=None)
    return Chroma(collection, vectors)


if __name__ == "__main__":
    drive("chromadb", open_chroma)

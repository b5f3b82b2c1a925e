"""Drives mem0: Qdrant on disk, hybrid search, nothing inferred by an LLM."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders.driver import Item, System, VectorFile, drive

NO_KEY = "no LLM is asked"


class Mem0(System):
    """Adds texts as they are, each under its user."""

    notes = ("no spaCy model: no lemmas, no entities", "stop words from a package of that name")

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    def add(self, items: Sequence[Item]) -> None:
        """One call a text: it has none for several."""
        for item in items:
            self._memory.add(item.text, user_id=item.namespace, metadata={"item": item.id}, infer=False)

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """By its hybrid score, however low."""
        found = self._memory.search(query, filters={"user_id": namespace}, top_k=depth, threshold=0.0)
        return [one["metadata"]["item"] for one in found["results"]]


def open_mem0(home: Path, vectors: VectorFile) -> System:
    """A memory whose embedder reads the file, and whose BM25 encoder needs no download."""
    os.environ |= {"MEM0_DIR": str(home), "MEM0_TELEMETRY": "False"}
    from fastembed import SparseTextEmbedding  # noqa: PLC0415 - both read the environment when they are imported
    from mem0 import Memory  # noqa: PLC0415
    from mem0.embeddings.base import EmbeddingBase  # noqa: PLC0415
    from stop_words import get_stop_words  # noqa: PLC0415

    class FromFile(EmbeddingBase):  # type: ignore[misc]  # its base has no types here
        def embed(self, text: str, memory_action: str | None = None) -> list[float]:
            del memory_action
            return vectors.lists([text])[0]

    store = {"path": str(home / "qdrant"), "on_disk": True, "embedding_model_dims": vectors.dimensions}
    memory = Memory.from_config(
        {
            "vector_store": {"provider": "qdrant", "config": store},
            "llm": {"provider": "openai", "config": {"api_key": NO_KEY}},
            "embedder": {"provider": "openai", "config": {"api_key": NO_KEY, "embedding_dims": vectors.dimensions}},
            "history_db_path": str(home / "history.db"),
        }
    )
    memory.embedding_model = FromFile()
    lists = home / "bm25"
    lists.mkdir()
    encoder = SparseTextEmbedding("Qdrant/bm25", specific_model_path=str(lists), stopwords=set(get_stop_words("en")))
    memory.vector_store._bm25_encoder = encoder  # noqa: SLF001 - it has no setting for an encoder on the disk
    return Mem0(memory)


if __name__ == "__main__":
    drive("mem0ai", open_mem0)

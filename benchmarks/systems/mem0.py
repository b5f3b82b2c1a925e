"""Driver of mem0: Qdrant on disk, hybrid search, no LLM inference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.systems.driver import Item, System, VectorFile, drive

NO_KEY = "no LLM is asked"


class Mem0(System):
    """A mem0 memory whose users are the namespaces."""

    notes = ("no spaCy model: no lemmas, no entities", "stop words from a package of that name")

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    def add(self, items: Sequence[Item]) -> None:
        """Add each text in a call; there is no call for several."""
        for item in items:
            self._memory.add(item.text, user_id=item.namespace, metadata={"item": item.id}, infer=False)

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids by hybrid score, without a threshold."""
        answer = self._memory.search(query, filters={"user_id": namespace}, top_k=depth, threshold=0.0)
        return [hit["metadata"]["item"] for hit in answer["results"]]


def open_mem0(home: Path, vectors: VectorFile) -> System:
    """A memory that embeds from the file and whose BM25 encoder needs no download."""
    os.environ |= {"MEM0_DIR": str(home), "MEM0_TELEMETRY": "False"}
    from fastembed import SparseTextEmbedding  # noqa: PLC0415 - both read the environment on import
    from mem0 import Memory  # noqa: PLC0415
    from mem0.embeddings.base import EmbeddingBase  # noqa: PLC0415
    from stop_words import get_stop_words  # noqa: PLC0415

    class FromFile(EmbeddingBase):  # type: ignore[misc]  # the base class has no types
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
    memory.vector_store._bm25_encoder = encoder  # noqa: SLF001 - there is no setting for a local encoder
    return Mem0(memory)


if __name__ == "__main__":
    drive("mem0ai", open_mem0)

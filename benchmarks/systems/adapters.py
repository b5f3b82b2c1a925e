"""Adapters for other memory systems. `python -m benchmarks.systems.adapters NAME FOLDER` runs the
job in FOLDER.

A job is the memories, queries and vectors for a system. A system's packages are imported when the
system is opened, because only its own virtual environment has them.
"""
# ruff: noqa: PLC0415 - a system is imported where it is opened

from __future__ import annotations

import json
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.systems.driver import Array, Item, System, VectorFile, drive

NO_KEY = "no LLM is asked"


class Exact(System):
    """Exact search, the baseline: one numpy product gives the cosines of a query with all vectors
    of a namespace.
    """

    package = "numpy"

    def __init__(self, _home: Path, vectors: VectorFile) -> None:
        self._vectors = vectors
        self._ids: dict[str, list[str]] = defaultdict(list)
        self._rows: dict[str, Array] = defaultdict(
            lambda: np.zeros((0, vectors.dimensions), dtype=np.float32)
        )

    def add(self, items: Sequence[Item]) -> None:
        """Append the vectors of the items to the matrix of their namespace."""
        namespace = items[0].namespace
        self._ids[namespace] += [item.id for item in items]
        self._rows[namespace] = np.vstack(
            [self._rows[namespace], self._vectors.all_of([item.text for item in items])]
        )

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids of at most `depth` memories of the namespace, by cosine similarity to the query, best
        first.
        """
        order = np.argsort(
            -(self._rows[namespace] @ self._vectors.all_of([query])[0]), kind="stable"
        )
        return [self._ids[namespace][row] for row in order[:depth]]


class Chroma(System):
    """A Chroma collection on disk, without telemetry. Searches filter by the namespace, which is in
    the metadata.
    """

    package = "chromadb"

    def __init__(self, home: Path, vectors: VectorFile) -> None:
        import chromadb
        from chromadb.config import Settings

        client = chromadb.PersistentClient(str(home), settings=Settings(anonymized_telemetry=False))
        space = {"hnsw:space": "cosine"}
        self._collection = client.create_collection(
            "memories", metadata=space, embedding_function=None
        )
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
        """Ids of at most `depth` memories of the namespace, by cosine similarity to the query, best
        first.
        """
        answer = self._collection.query(
            query_embeddings=self._vectors.lists([query]),
            n_results=depth,
            where={"namespace": namespace},
        )
        return list(answer["ids"][0])


class LangGraph(System):
    """LangGraph's long-term memory: an InMemoryStore with a vector index."""

    package = "langgraph"

    def __init__(self, _home: Path, vectors: VectorFile) -> None:
        from langgraph.store.memory import InMemoryStore

        self._store = InMemoryStore(
            index={"dims": vectors.dimensions, "embed": vectors.lists, "fields": ["text"]}
        )

    def add(self, items: Sequence[Item]) -> None:
        """Put all items in one batch."""
        from langgraph.store.base import PutOp

        self._store.batch(
            [PutOp((item.namespace,), item.id, {"text": item.text}) for item in items]
        )

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids of at most `depth` memories of the namespace, by cosine similarity to the query, best
        first.
        """
        return [hit.key for hit in self._store.search((namespace,), query=query, limit=depth)]


class Txtai(System):
    """txtai with hybrid search. Each namespace has its own index, because txtai filters only after
    searching.
    """

    package = "txtai"
    notes = ("one index a namespace",)

    def __init__(self, _home: Path, vectors: VectorFile) -> None:
        from txtai import Embeddings

        def embedded(texts: Sequence[str]) -> Array:  # txtai passes itself to a bound method
            return vectors.all_of(texts)

        self._indexes: dict[str, Embeddings] = defaultdict(
            lambda: Embeddings(method="external", transform=embedded, hybrid=True)
        )

    def add(self, items: Sequence[Item]) -> None:
        """Upsert all items into the index of their namespace."""
        self._indexes[items[0].namespace].upsert([(item.id, item.text, None) for item in items])

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids of at most `depth` memories of the namespace, by hybrid score, best first."""
        return [name for name, _ in self._indexes[namespace].search(query, depth)]


class Mem0(System):
    """mem0 with Qdrant on disk and hybrid search; each namespace is a user. No LLM is asked."""

    package = "mem0ai"
    notes = ("no spaCy model: no lemmas, no entities", "stop words from a package of that name")

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    def add(self, items: Sequence[Item]) -> None:
        """Add each item in a separate call; mem0 has no call for several items."""
        for item in items:
            self._memory.add(
                item.text, user_id=item.namespace, metadata={"item": item.id}, infer=False
            )

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids of at most `depth` memories of the namespace, by hybrid score, best first. Low scores
        are not cut off.
        """
        answer = self._memory.search(
            query, filters={"user_id": namespace}, top_k=depth, threshold=0.0
        )
        return [hit["metadata"]["item"] for hit in answer["results"]]


def open_mem0(home: Path, vectors: VectorFile) -> System:
    """Open mem0 in the folder `home`, with dense vectors from `vectors` and a BM25 encoder that
    needs no download.
    """
    os.environ |= {"MEM0_DIR": str(home), "MEM0_TELEMETRY": "False"}  # read on import
    from fastembed import SparseTextEmbedding
    from mem0 import Memory
    from mem0.embeddings.base import EmbeddingBase
    from stop_words import get_stop_words

    class FromFile(EmbeddingBase):  # type: ignore[misc]  # the base class has no types
        # Mem0's name
        def embed(self, text: str, memory_action: str | None = None) -> list[float]:  # noqa: ARG002
            return vectors.lists([text])[0]

    store = {
        "path": str(home / "qdrant"),
        "on_disk": True,
        "embedding_model_dims": vectors.dimensions,
    }
    memory = Memory.from_config(
        {
            "vector_store": {"provider": "qdrant", "config": store},
            "llm": {"provider": "openai", "config": {"api_key": NO_KEY}},
            "embedder": {
                "provider": "openai",
                "config": {"api_key": NO_KEY, "embedding_dims": vectors.dimensions},
            },
            "history_db_path": str(home / "history.db"),
        }
    )
    memory.embedding_model = FromFile()
    lists = home / "bm25"
    lists.mkdir()
    encoder = SparseTextEmbedding(
        "Qdrant/bm25", specific_model_path=str(lists), stopwords=set(get_stop_words("en"))
    )
    # There is no setting for a local encoder
    memory.vector_store._bm25_encoder = encoder  # noqa: SLF001
    return Mem0(memory)


class MemPalace(System):
    """MemPalace with its default search. Each text is a drawer and each namespace a wing, as
    MemPalace calls them.
    """

    package = "mempalace"
    notes = ("vectors over a loopback endpoint",)

    def __init__(self, palace: str, collection: Any, search: Any) -> None:
        self._palace = palace
        self._collection = collection
        self._search = search

    def add(self, items: Sequence[Item]) -> None:
        """Upsert all items in one call."""
        self._collection.upsert(
            ids=[item.id for item in items],
            documents=[item.text for item in items],
            metadatas=[
                {
                    "wing": item.namespace,
                    "room": item.session,
                    "source_file": item.id,
                    "chunk_index": 0,
                }
                for item in items
            ],
        )

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """At most `depth` ids of the namespace, in MemPalace's order. Raises RuntimeError if its
        answer is an error.
        """
        answer = self._search(query, self._palace, wing=namespace, n_results=depth)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return [hit["source_path"] for hit in answer["results"]]


def open_mempalace(home: Path, vectors: VectorFile) -> System:
    """Open MemPalace in the folder `home`. It fetches the precomputed vectors from an HTTP endpoint
    of this process.
    """
    os.environ |= {  # read on import
        "HOME": str(home),
        "MEMPALACE_EMBEDDING_MODEL": "openai-compat",
        "MEMPALACE_EMBEDDING_API_URL": serve(vectors),
        "MEMPALACE_EMBEDDING_API_MODEL": "minilm",
    }
    from mempalace.palace import get_collection
    from mempalace.searcher import search_memories

    palace = str(home / "palace")
    return MemPalace(palace, get_collection(palace, create=True), search_memories)


def serve(vectors: VectorFile) -> str:
    """Serve `vectors` as an OpenAI-compatible embeddings endpoint until the process ends. Returns
    its URL.
    """
    unit = [1.0] + [0.0] * (vectors.dimensions - 1)  # for the system's probe texts

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            texts_or_text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))[
                "input"
            ]
            texts = [texts_or_text] if isinstance(texts_or_text, str) else texts_or_text
            rows = [vectors.lists([text])[0] if text in vectors else unit for text in texts]
            embeddings = [{"index": index, "embedding": row} for index, row in enumerate(rows)]
            body = json.dumps({"object": "list", "model": "minilm", "data": embeddings}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        # The library's name
        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Suppress the HTTP server's log line for a request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


SYSTEMS: Mapping[str, Callable[[Path, VectorFile], System]] = {
    "exact": Exact,
    "chroma": Chroma,
    "langgraph": LangGraph,
    "txtai": Txtai,
    "mempalace": open_mempalace,
    "mem0": open_mem0,
}
"""Function that opens a system in an empty folder, by the system's name."""


if __name__ == "__main__":
    name, folder = sys.argv[1:]
    drive(name, Path(folder), SYSTEMS[name])

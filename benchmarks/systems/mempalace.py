"""Driver of MemPalace: a wing for each namespace, default search, vectors from an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.systems.driver import Item, System, VectorFile, drive


class MemPalace(System):
    """A palace whose drawers are the texts."""

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
                {"wing": item.namespace, "room": item.session, "source_file": item.id, "chunk_index": 0}
                for item in items
            ],
        )

    def search(self, namespace: str, query: str, depth: int) -> list[str]:
        """Ids in the order of the answer. Raises RuntimeError if the answer is an error."""
        answer = self._search(query, self._palace, wing=namespace, n_results=depth)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return [hit["source_path"] for hit in answer["results"]]


def serve(vectors: VectorFile) -> str:
    """Start an embeddings endpoint that answers from the file until the process ends; its URL."""

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
            texts = [asked] if isinstance(asked, str) else asked
            data = [{"index": index, "embedding": _known(vectors, text)} for index, text in enumerate(texts)]
            body = json.dumps({"object": "list", "model": "minilm", "data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the library's name
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def _known(vectors: VectorFile, text: str) -> list[float]:
    """The vector of `text`; for the system's probe texts a unit vector."""
    try:
        return vectors.lists([text])[0]
    except KeyError:
        return [1.0] + [0.0] * (vectors.dimensions - 1)


def open_mempalace(home: Path, vectors: VectorFile) -> System:
    """A palace in the folder `home`."""
    os.environ |= {
        "HOME": str(home),
        "MEMPALACE_EMBEDDING_MODEL": "openai-compat",
        "MEMPALACE_EMBEDDING_API_URL": serve(vectors),
        "MEMPALACE_EMBEDDING_API_MODEL": "minilm",
    }
    from mempalace.palace import get_collection  # noqa: PLC0415 - reads the environment on import
    from mempalace.searcher import search_memories  # noqa: PLC0415

    palace = str(home / "palace")
    return MemPalace(palace, get_collection(palace, create=True), search_memories)


if __name__ == "__main__":
    drive("mempalace", open_mempalace)

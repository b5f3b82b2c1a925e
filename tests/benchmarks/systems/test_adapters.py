"""Adapters for other memory systems, run against stand-ins: which calls they make, and how they
read the answers.
"""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from benchmarks.systems.adapters import Mem0, MemPalace, serve
from benchmarks.systems.driver import Item, VectorFile

VECTORS = VectorFile(["north", "east"], np.array([[0, 1], [1, 0]], dtype=np.float32))
ITEMS = [Item("a", "n", "s", "north"), Item("b", "n", "s", "east")]


class Recorded:
    """A callable that stands in for a system's methods, records its calls and returns a fixed
    answer.
    """

    def __init__(self, answer: Any = None) -> None:
        self.calls: list[tuple[Any, dict[str, Any]]] = []
        self.answer = answer

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Record the call and return the answer."""
        self.calls.append((arguments, named))
        return self.answer

    add = search = upsert = __call__


def test_precomputed_vectors_are_looked_up_by_text() -> None:
    """The precomputed vectors of given texts are returned in the order of the texts.

    An unknown text raises KeyError.
    """
    assert VECTORS.dimensions == 2
    assert VECTORS.all_of(["east"]).tolist() == [[1, 0]]
    assert VECTORS.lists(["east", "north"]) == [[1, 0], [0, 1]]
    with pytest.raises(KeyError):
        VECTORS.all_of(["up"])


def test_mem0_adds_each_text_under_its_user() -> None:
    """Texts are added to mem0 without its LLM inference, each under its user.

    Hits are identified by ids in their metadata.
    """
    memory = Recorded({"results": [{"metadata": {"item": "b"}}, {"metadata": {"item": "a"}}]})
    system = Mem0(memory)
    system.add(ITEMS)
    assert memory.calls[0] == (
        ("north",),
        {"user_id": "n", "metadata": {"item": "a"}, "infer": False},
    )
    assert system.search("n", "which way?", 7) == ["b", "a"]
    assert memory.calls[-1][1] == {"filters": {"user_id": "n"}, "top_k": 7, "threshold": 0.0}


def test_mempalace_stores_each_namespace_as_a_wing() -> None:
    """The adapter of MemPalace stores each namespace as a wing and searches in it. A hit's id is
    its source path.
    """
    collection = Recorded()
    search = Recorded({"results": [{"source_path": "b"}]})
    system = MemPalace("palace", collection, search)
    system.add(ITEMS)
    ((_, filed),) = collection.calls
    assert filed["ids"] == ["a", "b"]
    assert [one["wing"] for one in filed["metadatas"]] == ["n", "n"]
    assert system.search("n", "which way?", 7) == ["b"]
    assert search.calls == [(("which way?", "palace"), {"wing": "n", "n_results": 7})]


def test_an_error_of_mempalace_is_raised() -> None:
    """An error in MemPalace's answer raises an exception and does not count as an empty answer."""
    with pytest.raises(RuntimeError, match="index is broken"):
        MemPalace("palace", Recorded(), Recorded({"error": "index is broken"})).search("n", "?", 1)


def test_vectors_are_served_on_loopback() -> None:
    """A local server answers POST /v1/embeddings with precomputed vectors, for one text or several.

    A text without a precomputed vector gets a unit vector.
    """
    url = serve(VECTORS)
    assert url.startswith("http://127.0.0.1:")
    with httpx.Client(base_url=url, timeout=10) as client:
        several = client.post(
            "/v1/embeddings", json={"model": "m", "input": ["east", "a probe"]}
        ).json()
        single = client.post("/v1/embeddings", json={"model": "m", "input": "north"}).json()
    assert [row["embedding"] for row in several["data"]] == [[1, 0], [1, 0]]
    assert [(row["index"], row["embedding"]) for row in single["data"]] == [(0, [0, 1])]

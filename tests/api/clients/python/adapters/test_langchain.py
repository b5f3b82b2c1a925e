"""The LangChain retriever: LangChain's own test suite, and the content of the documents that the
retriever returns.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from remembrancer_client import AsyncRemembrancer, Remembrancer
from remembrancer_client.langchain import RemembrancerRetriever

FACTS = [
    "The express to Vienna leaves at nine",
    "The night train to Zurich has a sleeping car",
    "Bake the bread for forty minutes",
    "The cat sleeps on the sofa",
]


@pytest.fixture
def filled(memory: Remembrancer) -> Remembrancer:
    """A client of a new namespace in which the four FACTS are stored."""
    memory.batch(
        [
            {"type": "semantic", "content": fact, "metadata": {"n": n}}
            for n, fact in enumerate(FACTS)
        ]
    )
    return memory


class TestRemembrancerRetriever(RetrieversIntegrationTests):
    """LangChain's test suite for retrievers, applied to Remembrancer's retriever."""

    @pytest.fixture(autouse=True)
    def _memory(self, filled: Remembrancer) -> None:
        self.memory = filled

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        """The class under test."""
        return RemembrancerRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        """The arguments for the retriever's constructor."""
        return {"memory": self.memory}

    @property
    def retriever_query_example(self) -> str:
        """The query with which LangChain's test suite calls the retriever."""
        return "trains"


def test_documents_have_the_memory_and_its_score(filled: Remembrancer) -> None:
    """The document of the best-matching memory comes first. It has the memory's text, id, metadata
    and score.

    The field `options` of the retriever is passed to the search.
    """
    documents = RemembrancerRetriever(memory=filled, k=2).invoke(
        "when does the train to Vienna leave?"
    )
    assert documents[0].page_content == FACTS[0]
    assert documents[0].metadata["n"] == 0
    assert documents[0].metadata["type"] == "semantic"
    assert documents[0].metadata["score"] >= documents[1].metadata["score"]
    assert filled.get(documents[0].id or "").content == FACTS[0]
    assert (
        RemembrancerRetriever(memory=filled, options={"types": ["episodic"]}).invoke("train") == []
    )


async def test_an_async_client_is_awaited(url: str) -> None:
    """`ainvoke` works with an async client; `invoke` raises an error that says which client it
    needs.
    """
    async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
        await memory.remember(FACTS[0], type="semantic")
        retriever = RemembrancerRetriever(memory=memory)
        assert [
            document.page_content for document in await retriever.ainvoke("train", k=1)
        ] == FACTS[:1]
        with pytest.raises(TypeError, match="Remembrancer"):
            retriever.invoke("train")

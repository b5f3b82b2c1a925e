"""A retriever for LangChain: `RemembrancerRetriever`. Needs the package's extra `langchain`."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field

from remembrancer_client.answers import SearchAnswer
from remembrancer_client.client import AsyncRemembrancer, Remembrancer
from remembrancer_client.conversations import query_of


class RemembrancerRetriever(BaseRetriever):
    """The best memories for a query, as documents with their score and type.

    memory: with an `AsyncRemembrancer`, only the async methods work. k: maximum number of
    documents. options: keyword arguments for the client's `search`, such as types, filters or
    session_id.
    """

    memory: Remembrancer | AsyncRemembrancer = Field(exclude=True)
    k: int = 4
    options: dict[str, Any] = Field(default_factory=dict)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        if not isinstance(self.memory, Remembrancer):
            raise TypeError("the sync methods of the retriever need a Remembrancer")
        query = query_of(query)
        return (
            _documents(self.memory.search(query, **{"top_k": k or self.k, **self.options}))
            if query
            else []
        )

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        if isinstance(self.memory, AsyncRemembrancer):
            query = query_of(query)
            return (
                _documents(
                    await self.memory.search(query, **{"top_k": k or self.k, **self.options})
                )
                if query
                else []
            )
        options = {} if k is None else {"k": k}
        return await super()._aget_relevant_documents(query, run_manager=run_manager, **options)


def _documents(answer: SearchAnswer) -> list[Document]:
    return [
        Document(
            id=hit.id,
            page_content=hit.memory.content,
            metadata={
                **hit.memory.metadata,
                "type": hit.type,
                "score": hit.score,
                "tags": hit.memory.tags,
                "created_at": hit.memory.created_at.isoformat(),
            },
        )
        for hit in answer.hits
    ]

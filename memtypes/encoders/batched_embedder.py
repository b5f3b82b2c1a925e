"""An embedder over two lanes. Knows no engine: what embeds is handed to its lanes."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from memtypes.encoders.batching import Lane
from memtypes.model.errors import Overloaded, Unavailable
from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import Embedding, InContext


class TwoLanesEmbedder(Embedder):
    """Queries have a lane of their own, so that one never waits behind documents that wait.

    ping_s: how long a ping waits for a query to come through.
    """

    ping_s = 5.0

    def __init__(self, queries: Lane[str, Embedding], documents: Lane[InContext, Embedding]) -> None:
        self._queries = queries
        self._documents = documents

    async def embed_query(self, text: str) -> Embedding:
        """The embedding of one query, ahead of any documents that wait. Raises Overloaded when the queue is full."""
        return (await self._queries.run([text]))[0]

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """One embedding a text, in order. Raises Overloaded when the queue is full."""
        return await self.embed_in_context([InContext(text) for text in texts])

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """One embedding a text, in order. Raises Overloaded when the queue is full."""
        return await self._documents.run(texts)

    async def ping(self) -> None:
        """Return when a query comes through; raise Unavailable when none does within `ping_s`."""
        try:
            with anyio.fail_after(self.ping_s):
                await self.embed_query("ping")
        except (TimeoutError, Overloaded) as error:
            raise Unavailable(f"the encoder did not answer in {self.ping_s:g} s") from error

    async def aclose(self) -> None:
        """Stop the workers after what is under way."""
        await self._queries.aclose()
        await self._documents.aclose()

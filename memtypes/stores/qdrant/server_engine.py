"""The engine operations on a Qdrant server: a collection for each memory type and one for items,
asked concurrently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from qdrant_client import AsyncQdrantClient, models

from memtypes.model.policy import MemoryType
from memtypes.search.columns import ColumnKinds, Columns, payload_fields
from memtypes.search.vectors import TokenMaxima, TokenVectors
from memtypes.stores.operations.conditions import Condition
from memtypes.stores.operations.schema import ITEMS, Collection, Kind
from memtypes.stores.operations.uuids import Ids, strings_of
from memtypes.stores.operations.vector_engine import (
    Change,
    EngineOperations,
    ExistingColumns,
    FacetCounts,
    Keys,
    Payload,
    QueryHits,
    Scroll,
    ScrollOrder,
    VectorQuery,
)
from memtypes.stores.qdrant import translate

Query = TypeVar("Query")
QueryAnswer = TypeVar("QueryAnswer")

_NEWEST_FIRST = models.OrderBy(key="created_at", direction=models.Direction.DESC)


async def _ask_concurrently(
    requests: Mapping[Kind, Query], ask: Callable[[Kind, Query], Awaitable[QueryAnswer]]
) -> dict[Kind, QueryAnswer]:
    answers = await asyncio.gather(*(ask(kind, request) for kind, request in requests.items()))
    return dict(zip(requests, answers, strict=True))


class QdrantEngine(EngineOperations):
    """The engine operations on a Qdrant server. aliases: the names of the collections. local: True
    without a server.
    """

    def __init__(
        self,
        client: AsyncQdrantClient,
        aliases: Mapping[Collection, str],
        column_kinds: ColumnKinds,
        *,
        local: bool,
    ) -> None:
        super().__init__(column_kinds)
        self._client = client
        self._aliases = aliases
        self._local = local

    async def count(self, wheres: Mapping[Kind, Condition]) -> dict[Kind, int]:
        """For each collection in `wheres`, the exact number of points that meet its condition."""

        async def ask(kind: Kind, where: Condition) -> int:
            return (
                await self._client.count(
                    self._aliases[kind], translate.to_filter(where), exact=True
                )
            ).count

        return await _ask_concurrently(wheres, ask)

    async def facet(
        self, field: str, wheres: Mapping[Kind, Condition], limit: int
    ) -> dict[Kind, FacetCounts]:
        """By collection, up to `limit` values of a payload field, each with the number of points
        that have it.
        """

        async def ask(kind: Kind, where: Condition) -> FacetCounts:
            answer = await self._client.facet(
                self._aliases[kind],
                field,
                facet_filter=translate.to_filter(where),
                limit=limit,
                exact=True,
            )
            return [(hit.value, hit.count) for hit in answer.hits]

        return await _ask_concurrently(wheres, ask)

    async def scroll(self, scrolls: Mapping[Kind, Scroll]) -> dict[Kind, dict[str, Payload]]:
        """Read points by each `Scroll`'s condition, in its order. Returns payloads by collection,
        then by point id.
        """

        async def ask(kind: Kind, scroll: Scroll) -> dict[str, Payload]:
            records, _ = await self._client.scroll(
                self._aliases[kind],
                scroll_filter=translate.to_filter(scroll.where),
                limit=scroll.limit,
                offset=scroll.start_id,
                # Without an order a server scrolls by id.
                order_by=_NEWEST_FIRST if scroll.order is ScrollOrder.NEWEST_FIRST else None,
                with_payload=True if scroll.fields is None else list(scroll.fields) or False,
            )
            return {str(record.id): record.payload or {} for record in records}

        return await _ask_concurrently(scrolls, ask)

    async def search(
        self, queries: Mapping[Kind, Sequence[VectorQuery]]
    ) -> dict[Kind, list[QueryHits]]:
        """Run the vector queries of each collection. Returns, by collection, the hits of each
        query, in query order.
        """

        async def ask(kind: Kind, batch: Sequence[VectorQuery]) -> list[QueryHits]:
            requests = [
                translate.to_query(query, local=self._local, texts=kind is ITEMS) for query in batch
            ]
            answers = await self._client.query_batch_points(self._aliases[kind], requests)
            return [translate.to_hits(answer.points) for answer in answers]

        return await _ask_concurrently(queries, ask)

    async def columns(self, keys: Mapping[MemoryType, Keys]) -> ExistingColumns:
        """Return which memories in `keys` exist, and the columns of those that exist."""
        fields = list(payload_fields(self.column_kinds))

        async def ask(kind: MemoryType, ids: Keys) -> tuple[list[bool], list[Payload]]:
            texts = strings_of(ids)
            records = await self._client.retrieve(
                self._aliases[kind], list(texts), with_payload=fields
            )
            payloads = {str(record.id): record.payload or {} for record in records}
            flags = [memory_id in payloads for memory_id in texts]
            return flags, [payloads[memory_id] for memory_id in texts if memory_id in payloads]

        answers = (await _ask_concurrently(keys, ask)).values()
        exists = np.array([flag for flags, _ in answers for flag in flags], dtype=np.bool_)
        payloads = [payload for _, existing in answers for payload in existing]
        return ExistingColumns(exists, Columns.from_payloads(payloads, self.column_kinds))

    async def token_maxima(
        self, query: TokenVectors, keys: Mapping[MemoryType, Keys]
    ) -> TokenMaxima:
        """The best cosine of each query token (a column) with any token of each memory (a row); NaN
        without tokens.
        """

        async def ask(kind: MemoryType, ids: Keys) -> TokenMaxima:
            answers = await self._client.query_batch_points(
                self._aliases[kind], translate.to_token_queries(query, ids)
            )
            return translate.to_token_maxima(ids, answers)

        return np.concatenate(list((await _ask_concurrently(keys, ask)).values()))

    async def ids(self, keys: Mapping[Kind, Keys]) -> Ids:
        """The UUIDs of the points with these `keys`: the keys themselves, as this engine identifies
        points by UUIDs.
        """
        return np.concatenate(list(keys.values()))

    async def write(self, changes: Mapping[Kind, Sequence[Change]]) -> None:
        """Apply the changes of each collection in order, and wait until the server has applied
        them.
        """

        async def ask(kind: Kind, collection_changes: Sequence[Change]) -> None:
            operations = [translate.to_operation(change) for change in collection_changes]
            await self._client.batch_update_points(self._aliases[kind], operations, wait=True)

        await _ask_concurrently(changes, ask)

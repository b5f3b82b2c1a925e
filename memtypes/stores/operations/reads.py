"""Requests that read memories of a namespace: by id, in pages, counted."""

from __future__ import annotations

import msgspec

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import TypeStats
from memtypes.search.passage import Passage
from memtypes.stores.operations.conditions import Condition, of_tenant, within
from memtypes.stores.operations.engine import EngineOperations, FacetCounts, Payload
from memtypes.stores.operations.messages import EngineRequest
from memtypes.stores.operations.paging import Position, list_page

TOKENS = "tokens.count"
NAMESPACE = "namespace"


class GetPayloads(EngineRequest[list[Payload]], frozen=True, kw_only=True, tag=True):
    """The payloads of those ids that exist, each looked up among the types that it is listed under."""

    scope: Scope
    ids: dict[MemoryType, list[str]]

    async def run(self, engine: EngineOperations) -> list[Payload]:
        """The payloads, in no particular order."""
        return await engine.payloads(self.scope, self.ids)


class GetPassages(EngineRequest[list[Passage]], frozen=True, kw_only=True, tag=True):
    """The passages of those ids that exist, each looked up in its type."""

    scope: Scope
    ids: dict[MemoryType, list[str]]

    async def run(self, engine: EngineOperations) -> list[Passage]:
        """The passages, in no particular order."""
        return await engine.passages(self.scope, self.ids)


class PayloadPage(msgspec.Struct, frozen=True, array_like=True):
    """The payloads of a page, whether another page follows, and how many memories match in all."""

    payloads: list[Payload]
    more: bool
    total: int


class ListPage(EngineRequest[PayloadPage], frozen=True, kw_only=True, tag=True):
    """One page, newest first. after: created_at and id of the last memory of the page before."""

    scope: Scope
    types: list[MemoryType]
    where: Condition
    limit: int
    after: tuple[str, str] | None

    async def run(self, engine: EngineOperations) -> PayloadPage:
        """The page."""
        where = within(self.scope, self.where)
        total = sum((await engine.count(dict.fromkeys(self.types, where))).values())
        positions = await list_page(engine, where, self.types, self.limit + 1, self.after)  # one more: is there a next?
        payloads = await self._payloads(engine, positions[: self.limit])
        return PayloadPage(payloads, len(positions) > self.limit, total)

    async def _payloads(self, engine: EngineOperations, positions: list[Position]) -> list[Payload]:
        """The payloads at these positions, without those that were removed meanwhile."""
        ids: dict[MemoryType, list[str]] = {}
        for position in positions:
            ids.setdefault(position.type, []).append(position.id)
        payloads = await engine.payloads(self.scope, ids)
        by_id = {payload["id"]: payload for payload in payloads}
        return [by_id[position.id] for position in positions if position.id in by_id]


class CountTokens(EngineRequest[dict[MemoryType, TypeStats]], frozen=True, kw_only=True, tag=True):
    """The number of memories and tokens of each type."""

    scope: Scope

    async def run(self, engine: EngineOperations) -> dict[MemoryType, TypeStats]:
        """Tokens are summed from how often each number of tokens occurs."""
        counts, facets = await _facets(engine, TOKENS, within(self.scope))
        return {
            kind: TypeStats(count, sum(int(tokens) * often for tokens, often in facets.get(kind, ())))
            for kind, count in counts.items()
        }


class ListNamespaces(EngineRequest[list[str]], frozen=True, kw_only=True, tag=True):
    """The tenant's namespaces, in order."""

    tenant: str

    async def run(self, engine: EngineOperations) -> list[str]:
        """Every namespace with at least one memory."""
        _, facets = await _facets(engine, NAMESPACE, of_tenant(self.tenant))
        return sorted({str(name) for values in facets.values() for name, _ in values})


async def _facets(
    engine: EngineOperations, field: str, where: Condition
) -> tuple[dict[MemoryType, int], dict[MemoryType, FacetCounts]]:
    """The number of memories of each type, and of those that have any, how often each value of `field` occurs."""
    counts = await engine.count(dict.fromkeys(MemoryType, where))
    filled = dict.fromkeys((kind for kind, count in counts.items() if count), where)
    return counts, await engine.facet(field, filled, max(counts.values())) if filled else {}

"""Searches of one shard, each query by the way that takes less: the engine's, or a look at the terms of all in a scope.

A word query is answered without the engine where its scope is small and it is known which memories may be found: those
that it is asked among, or all that a vector query beside it names, which asks for as many as there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from memtypes.search.vectors import SparseVector
from memtypes.stores.edge.sidecar.namespace_cache import Scopes
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.edge.sidecar.sparse_index import TermFile
from memtypes.stores.operations.conditions import Condition
from memtypes.stores.operations.engine import QueryHits, VectorQuery

AskEngine: TypeAlias = Callable[[Sequence[VectorQuery]], list[QueryHits]]
"""The engine's hits of each query."""


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """How a query is answered without the engine. among: what may be found, or the place of the query that names it."""

    vector: SparseVector
    members: Slots
    among: Slots | int


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """Carries out the searches of one shard."""

    scopes: Scopes
    terms: TermFile
    engine: AskEngine

    def hits(self, queries: Sequence[VectorQuery]) -> list[QueryHits]:
        """The hits of each query."""
        looks = [self._look(query, queries) for query in queries]
        asked = [place for place, look in enumerate(looks) if look is None]
        found = dict(zip(asked, self.engine([queries[place] for place in asked]) if asked else (), strict=True))
        for place, look in enumerate(looks):
            if look is not None:
                among = found[look.among].keys if isinstance(look.among, int) else look.among
                corpus = self.terms.corpus(look.members)
                found[place] = corpus.matching(look.vector, among, queries[place].limit)
        return [found[place] for place in range(len(queries))]

    def _look(self, query: VectorQuery, queries: Sequence[VectorQuery]) -> _Look | None:
        if not isinstance(query.vector, SparseVector):
            return None
        members = self.scopes.members(query.corpus)
        if members is None or not len(members):
            return None
        if query.among is not None:
            return _Look(query.vector, members, query.among)
        beside = _naming_all(query.where, queries, len(members))
        return None if beside is None else _Look(query.vector, members, beside)


def _naming_all(where: Condition, queries: Sequence[VectorQuery], count: int) -> int | None:
    """The place of a vector query that names every one of `count` memories which meets the condition."""
    for place, other in enumerate(queries):
        whole = other.among is None and other.limit >= count
        if whole and other.where is where and not isinstance(other.vector, SparseVector):
            return place
    return None

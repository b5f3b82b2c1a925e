"""How alike texts and what is stored are. Knows vectors, not words."""

from __future__ import annotations

from collections.abc import Sequence

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, MemoryStore
from memtypes.search.vectors import DenseVector


async def likenesses(store: MemoryStore, scope: Scope, texts: Sequence[tuple[MemoryType, DenseVector]]) -> list[float]:
    """The cosine of each text's nearest memory of its type, 0 without one; one question for all of them.

    A store that reads everything it has for one text reads it for many at little more. Raises what the store raises.
    """
    searches = [CandidateSearch(kind, dense, None, depth=1, light=False) for kind, dense in texts]
    found = await store.candidates(scope, searches)
    return [max((one.dense for one in near if one.dense is not None), default=0.0) for near in found]

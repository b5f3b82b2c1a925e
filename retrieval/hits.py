"""Ranked hits as the answer of a search shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from retrieval.answer import SearchHit
from retrieval.ranking.ranked import Hit


def search_answer(hits: Sequence[Hit], memories: Mapping[str, Memory], explain: bool) -> list[SearchHit]:  # noqa: FBT001
    """`hits` with their memories; one that was removed since it was ranked is left out, and ranks close up."""
    kept = [hit for hit in hits if hit.candidate.id in memories]
    return [
        SearchHit(
            rank=place,
            id=hit.candidate.id,
            type=hit.candidate.type,
            score=hit.score,
            signals=dict(hit.signals) if explain else None,
            memory=shown(memories[hit.candidate.id]),
        )
        for place, hit in enumerate(kept, 1)
    ]


def types_of(hits: Sequence[Hit]) -> dict[str, MemoryType]:
    """The id of each hit with its type, as a store reads them quickest."""
    return {hit.candidate.id: hit.candidate.type for hit in hits}


def shown(memory: Memory) -> dict[str, Any]:
    """`memory` as an answer shows it: every field, absent ones as null; its tenant is the caller's own and left out."""
    return memory.model_dump(mode="json", exclude={"tenant"})

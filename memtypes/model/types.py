"""The classes of the five types of memory, for stored memories and for drafts. A new type needs a
row in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

from pydantic import Field, TypeAdapter

from memtypes.model.episodic import Episodic, EpisodicDraft
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import Procedural, ProceduralDraft
from memtypes.model.prospective import Prospective, ProspectiveDraft
from memtypes.model.semantic import Semantic, SemanticDraft
from memtypes.model.working import Working, WorkingDraft

MEMORY_CLASSES: Mapping[MemoryType, type[Memory]] = MappingProxyType(
    {
        MemoryType.EPISODIC: Episodic,
        MemoryType.SEMANTIC: Semantic,
        MemoryType.PROSPECTIVE: Prospective,
        MemoryType.PROCEDURAL: Procedural,
        MemoryType.WORKING: Working,
    }
)

AnyDraft: TypeAlias = Annotated[
    EpisodicDraft | SemanticDraft | ProspectiveDraft | ProceduralDraft | WorkingDraft,
    Field(discriminator="type"),
]
"""A memory of any type as a caller sends it; the field `type` says which class it is."""

DRAFT: TypeAdapter[AnyDraft] = TypeAdapter(AnyDraft)


def from_payload(payload: Mapping[str, Any]) -> Memory:
    """Decode a memory from `payload`, a JSON object that `Memory.to_payload` returned. Its type
    selects its class.
    """
    return MEMORY_CLASSES[MemoryType(payload["type"])].model_validate(payload)

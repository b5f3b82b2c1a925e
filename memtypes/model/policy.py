"""Policy table: visibility, budget share and ageing of each type of memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType


class MemoryType(StrEnum):
    """The five types of memory."""

    EPISODIC = "episodic"
    SEMANTIC = "semantic"
    PROSPECTIVE = "prospective"
    PROCEDURAL = "procedural"
    WORKING = "working"


class Visibility(StrEnum):
    """Who sees a memory: the whole namespace, or only the session that wrote it."""

    SESSION = "session"
    NAMESPACE = "namespace"


@dataclass(frozen=True, slots=True)
class TypePolicy:
    """Policy of a type. share: of the long-term budget, 0-1. half_life: time in which recency halves; None for never.

    near: memories with at least this cosine may state the same and are compared word by word.
    """

    visibility: Visibility
    share: float
    half_life: timedelta | None
    near: float = 0.9


POLICIES: Mapping[MemoryType, TypePolicy] = MappingProxyType(
    {
        MemoryType.EPISODIC: TypePolicy(Visibility.NAMESPACE, 0.25, timedelta(days=7)),
        MemoryType.SEMANTIC: TypePolicy(Visibility.NAMESPACE, 0.375, timedelta(days=90)),
        MemoryType.PROSPECTIVE: TypePolicy(Visibility.NAMESPACE, 0.125, timedelta(days=3)),
        MemoryType.PROCEDURAL: TypePolicy(Visibility.NAMESPACE, 0.25, timedelta(days=90)),
        MemoryType.WORKING: TypePolicy(Visibility.SESSION, 0.0, None),
    }
)

LONG_TERM: tuple[MemoryType, ...] = tuple(kind for kind in MemoryType if POLICIES[kind].share > 0)
"""The types that share the long-term budget; working memory has its own."""

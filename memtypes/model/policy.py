"""The five types of memory, and a table (POLICIES) with the visibility and ageing of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType


class MemoryType(StrEnum):
    """The five types of memory: events, facts, intentions, procedures, and notes on the current
    task.
    """

    EPISODIC = "episodic"
    SEMANTIC = "semantic"
    PROSPECTIVE = "prospective"
    PROCEDURAL = "procedural"
    WORKING = "working"


class Visibility(StrEnum):
    """Where a memory can be found: in the whole namespace, or only in the session that wrote it."""

    SESSION = "session"
    NAMESPACE = "namespace"


@dataclass(frozen=True, slots=True)
class TypePolicy:
    """Policy of a type of memory. visibility: the default for memories of the type that are written
    in a session.

    half_life: age at which the recency score of a memory is halved; None if it does not
    fall with age. repetition_cosine: lowest cosine of two memories at which their texts are
    compared word by word, because one may repeat the other. It is lower for tasks, because a task
    is embedded with its due time.
    """

    visibility: Visibility
    half_life: timedelta | None
    repetition_cosine: float = 0.9


POLICIES: Mapping[MemoryType, TypePolicy] = MappingProxyType(
    {
        MemoryType.EPISODIC: TypePolicy(Visibility.NAMESPACE, timedelta(days=7)),
        MemoryType.SEMANTIC: TypePolicy(Visibility.NAMESPACE, timedelta(days=90)),
        MemoryType.PROSPECTIVE: TypePolicy(
            Visibility.NAMESPACE, timedelta(days=3), repetition_cosine=0.65
        ),
        MemoryType.PROCEDURAL: TypePolicy(Visibility.NAMESPACE, timedelta(days=90)),
        MemoryType.WORKING: TypePolicy(Visibility.SESSION, None),
    }
)

LONG_TERM: tuple[MemoryType, ...] = tuple(
    kind for kind in MemoryType if kind is not MemoryType.WORKING
)
"""The types that are kept for good. Working memory is for the current task."""

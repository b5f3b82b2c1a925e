"""What a job is asked for, and what it would do: values. Knows no store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from memtypes.model.memory import Flag, Model, Number, Whole
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name
from memtypes.model.types import AnyDraft

MAX_DAYS = 36_500
MAX_KEPT = 10_000_000


class Job(StrEnum):
    """The jobs."""

    PROMOTE = "promote"
    FORGET = "forget"
    EXPIRE = "expire"
    COMPACT = "compact"


Days = Annotated[Whole, Field(ge=1, le=MAX_DAYS)]


class JobRequest(Model):
    """What a job is to do. namespace: None for all of the tenant's. dry_run: only say what it would do.

    types: of which memories; all without. promote: min_sessions, min_uses. forget: max_age_days, inactive_days,
    keep_top (a type and namespace), each of which does nothing when it is not given. compact: similarity.
    expire: expired_days, for which what has expired is kept to answer questions about the past.
    """

    namespace: Name | None = None
    dry_run: Flag = True
    types: list[MemoryType] | None = Field(default=None, min_length=1, max_length=len(MemoryType))
    min_sessions: Annotated[Whole, Field(ge=2, le=1_000)] = 3
    min_uses: Annotated[Whole, Field(ge=2, le=1_000)] = 3
    max_age_days: Days | None = None
    inactive_days: Days | None = None
    keep_top: Annotated[Whole, Field(ge=0, le=MAX_KEPT)] | None = None
    expired_days: Annotated[Whole, Field(ge=0, le=MAX_DAYS)] = 0
    similarity: Annotated[Number, Field(ge=0.5, le=1.0)] = 0.97


@dataclass(frozen=True, slots=True)
class Promotion:
    """A draft that the memories `of` give rise to."""

    draft: AnyDraft
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job would do in one namespace.

    removed: ids. changed: payload fields by id. made: new memories. ids: the memories that it is about, in order.
    """

    removed: tuple[str, ...] = ()
    changed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    made: tuple[Promotion, ...] = ()

    @property
    def ids(self) -> list[str]:
        """Every memory that is removed, changed or promoted, once."""
        promoted = (one for promotion in self.made for one in promotion.of)
        return list(dict.fromkeys([*self.removed, *self.changed, *promoted]))

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {"removed": len(self.removed), "changed": len(self.changed), "made": len(self.made)}

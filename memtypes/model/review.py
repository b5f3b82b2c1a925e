"""The decision of reviewers on a text, with every vote; stored with the memory."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Decision(StrEnum):
    """Whether a text becomes a memory."""

    STORE = "store"
    REJECT = "reject"


class Tier(StrEnum):
    """How many reviewers gave a valid vote: two or three, one, or none."""

    CONSENSUS = "consensus"
    PARTIAL = "partial"
    FALLBACK = "fallback"


class Vote(BaseModel):
    """The vote of one reviewer. ok: it is valid and in time. scores: 1-10, by the aspect that the reviewer scores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reviewer: str
    ok: bool
    scores: dict[str, float] = Field(default_factory=dict)
    trivial: bool | None = None
    reason: str
    ms: float = 0.0


class Reviewed(BaseModel):
    """A decision. importance, relevance, novelty: means over the valid votes with that score; None without any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: Decision
    importance: float | None = None
    relevance: float | None = None
    novelty: float | None = None
    reason: str
    tier: Tier
    votes: tuple[Vote, ...] = ()

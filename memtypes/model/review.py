"""What reviewers decided about a text, with each vote: kept with the memory that came of it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Decision(StrEnum):
    """Whether a text becomes a memory."""

    STORE = "store"
    REJECT = "reject"


class Tier(StrEnum):
    """How many reviewers the decision rests on: two or three, one, none."""

    CONSENSUS = "consensus"
    PARTIAL = "partial"
    FALLBACK = "fallback"


class Vote(BaseModel):
    """One reviewer's answer. ok: it answered in time and in form. scores: 1-10 each, of those that it gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reviewer: str
    ok: bool
    scores: dict[str, float] = Field(default_factory=dict)
    trivial: bool | None = None
    reason: str
    ms: float = 0.0


class Reviewed(BaseModel):
    """A decision. importance, relevance, novelty: means over the reviewers that gave that score; None without any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: Decision
    importance: float | None = None
    relevance: float | None = None
    novelty: float | None = None
    reason: str
    tier: Tier
    votes: tuple[Vote, ...] = ()

"""What a thread may hold and what becomes of the rest, as YAML says it; values alone, without files and stores."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self

import re2
from pydantic import BeforeValidator, Field, field_validator, model_validator

from memtypes.live.templates import checked_template
from memtypes.live.turns import Role
from memtypes.model.memory import Flag, Model, Number, Whole
from memtypes.model.scope import Name

MAX_PATTERN = 1_000
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, None: 1}


def seconds(value: object) -> object:
    """The seconds of "30s", "5m", "3h", "2d" or of a number."""
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, str) and found is None:
        raise ValueError("must be a duration such as 30s, 5m, 3h or 2d")
    return float(found[1]) * _UNITS[found[2]] if found else value


Seconds = Annotated[Number, BeforeValidator(seconds), Field(ge=1.0, le=30 * 86_400.0)]
LockTime = Annotated[Number, BeforeValidator(seconds), Field(ge=0.1, le=86_400.0)]
Share = Annotated[Number, Field(ge=0.0, le=1.0)]
Positive = Annotated[Number, Field(gt=0.0, le=1.0)]
Limit = Annotated[Whole, Field(ge=1, le=10_000_000)]
Count = Annotated[Whole, Field(ge=0, le=10_000)]


def checked_pattern(pattern: str) -> str:
    """`pattern` itself when RE2 takes it and it can't match nothing."""
    if not 1 <= len(pattern) <= MAX_PATTERN:
        raise ValueError(f"a pattern must have 1 to {MAX_PATTERN} characters, has {len(pattern)}")
    try:
        compiled = re2.compile(pattern)
    except re2.error as error:
        raise ValueError(f"{pattern!r} is no pattern that RE2 takes: {error}") from error
    if compiled.match(""):
        raise ValueError(f"{pattern!r} must not match the empty text")
    return pattern


class PolicyType(StrEnum):
    """What bounds a thread: its tokens, its messages, or either; a buffer is never flushed by itself."""

    TOKEN_BASED = "token_based"  # noqa: S105 - tokens of text
    MESSAGE_COUNT_BASED = "message_count_based"
    BUFFER = "buffer"


class FlushStrategy(StrEnum):
    """Which turns a flush takes."""

    SIMPLE_FIFO = "simple_fifo"
    LRU = "lru"
    TOKEN_AWARE_LRU = "token_aware_lru"  # noqa: S105 - tokens of text
    HYBRID_SUMMARY = "hybrid_summary"


class EvictionPolicy(StrEnum):
    """Which turn leaves first when a limit would be exceeded."""

    FIFO = "fifo"
    LRU = "lru"
    PRIORITY = "priority"


class ContextAllocation(Model):
    """Shares of a context's budget; they add up to 1."""

    system: Share = 0.0
    long_term: Share = 0.0
    short_term: Share = 0.0
    custom: Share = 0.0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.system + self.long_term + self.short_term + self.custom
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the shares system, long_term, short_term and custom must add up to 1, not {total:g}")
        return self


class Flush(Model):
    """When and how a thread is relieved. threshold, target: shares of its limits. llm: a configured one summarises."""

    strategy: FlushStrategy = FlushStrategy.SIMPLE_FIFO
    threshold: Positive = 0.8
    target: Share = 0.5
    keep_first: Count = 1
    keep_last: Count = 1
    oldest: Positive = 0.3
    summary_tokens: Annotated[Whole, Field(ge=1, le=100_000)] = 500
    llm: Flag = True

    @model_validator(mode="after")
    def _downwards(self) -> Self:
        if self.target >= self.threshold:
            raise ValueError(f"target {self.target:g} must be below threshold {self.threshold:g}")
        return self


class Eviction(Model):
    """Which turn leaves first. keywords: by priority, turns that hold one leave later."""

    policy: EvictionPolicy = EvictionPolicy.FIFO
    keywords: list[Name] = Field(default_factory=list, max_length=256)


class LockTimes(Model):
    """How long a change may hold a thread up: one that takes longer is given up.

    append: of a turn, or of turns in place of all others; a flush that it makes necessary is put off when the time is
    over, and the turn stays. An append and a clear are one atomic script each and wait for no other; a flush has the
    thread's lock for so long, and one that was killed is in the way of the next no longer than that.
    """

    append: LockTime = 30.0
    clear: LockTime = 10.0
    flush: LockTime = 300.0


class Privacy(Model):
    """What a thread must not keep. redact: patterns of RE2."""

    redact: list[str] = Field(default_factory=list, max_length=256)
    never_keep_roles: list[Role] = Field(default_factory=list, max_length=64)

    @field_validator("redact")
    @classmethod
    def _compiled(cls, patterns: list[str]) -> list[str]:
        return [checked_pattern(pattern) for pattern in patterns]


class ThreadPolicy(Model):
    """The policy of one resource."""

    type: PolicyType = PolicyType.BUFFER
    max_tokens: Limit | None = None
    max_messages: Limit | None = None
    max_turns: Limit = 50
    max_context_ratio: Positive | None = None
    model: Name | None = None
    allocation: ContextAllocation | None = None
    ttl: Seconds = 3 * 3_600.0
    key: str | None = None
    flush: Flush = Flush()
    eviction: Eviction = Eviction()
    locks: LockTimes = LockTimes()
    privacy: Privacy = Privacy()

    @field_validator("key")
    @classmethod
    def _template(cls, key: str | None) -> str | None:
        return None if key is None else checked_template(key)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.max_context_ratio is not None and self.model is None:
            raise ValueError("max_context_ratio needs model, whose window it is a share of")
        if self.type is PolicyType.TOKEN_BASED and self.max_tokens is None and self.max_context_ratio is None:
            raise ValueError("type token_based needs max_tokens or max_context_ratio")
        if self.type is PolicyType.MESSAGE_COUNT_BASED and self.max_messages is None:
            raise ValueError("type message_count_based needs max_messages")
        return self


class AccessMode(StrEnum):
    """What an agent may do with a resource."""

    READ_WRITE = "read-write"
    READ_ONLY = "read-only"


class ResourceReference(Model):
    """One resource of an agent. key: a template; the resource's own where absent."""

    id: Name
    key: str | None = None
    mode: AccessMode = AccessMode.READ_WRITE

    @field_validator("key")
    @classmethod
    def _template(cls, key: str | None) -> str | None:
        return None if key is None else checked_template(key)


def _by_id(value: object) -> object:
    return {"id": value} if isinstance(value, str) else value


class Agent(Model):
    """The resources of an agent at one of three levels: one id; several ids with a shared key; each with its own."""

    memory: Name | None = None
    memories: list[Annotated[ResourceReference, BeforeValidator(_by_id)]] | None = Field(
        default=None, min_length=1, max_length=64
    )
    key: str | None = None

    @field_validator("key")
    @classmethod
    def _template(cls, key: str | None) -> str | None:
        return None if key is None else checked_template(key)

    @model_validator(mode="after")
    def _one_level(self) -> Self:
        if (self.memory is None) == (self.memories is None):
            raise ValueError("must have either memory (one id) or memories (several)")
        ids = [one.id for one in self.references()]
        if len(set(ids)) != len(ids):
            raise ValueError("memories must name each resource once")
        return self

    def references(self) -> tuple[ResourceReference, ...]:
        """What the agent refers to, whichever way it was written."""
        if self.memory is not None:
            return (ResourceReference(id=self.memory, key=self.key),)
        return tuple(one if one.key else one.model_copy(update={"key": self.key}) for one in self.memories or [])


class Policies(Model):
    """The whole of a policy file."""

    threads: dict[Name, ThreadPolicy] = Field(default_factory=dict)
    agents: dict[Name, Agent] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name, agent in self.agents.items():
            for one in agent.references():
                if one.id not in self.threads:
                    known = ", ".join(sorted(self.threads)) or "none"
                    raise ValueError(f"agents.{name} refers to {one.id!r}; the threads here are: {known}")
        return self

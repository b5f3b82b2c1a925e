"""Schema of the policy file (YAML): limits, flushing, eviction and privacy of threads, and agents'
access to them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

import re2
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from memtypes.config import InvalidConfigFile, load_yaml, re2_pattern, read_text, validated
from memtypes.live.project_policies import converted_policies, is_project
from memtypes.live.templates import checked_template
from memtypes.live.turns import Role
from memtypes.model.memory import Flag, Number, StrictModel, Whole
from memtypes.model.scope import Name

MAX_PATTERN = 1_000

DEFAULT_TURNS = 50
"""Maximum number of turns of a thread whose policy sets no limit on turns or messages."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, None: 1}


def seconds(value: object) -> object:
    """Convert a text such as "30s", "5m" or "2d" to seconds; return other types unchanged. Raises
    ValueError.
    """
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, str) and match is None:
        raise ValueError("must be a duration such as 30s, 5m, 3h or 2d")
    return float(match[1]) * _UNITS[match[2]] if match else value


Seconds = Annotated[Number, BeforeValidator(seconds), Field(ge=1.0, le=30 * 86_400.0)]
LockTime = Annotated[Number, BeforeValidator(seconds), Field(ge=0.1, le=86_400.0)]
Share = Annotated[Number, Field(ge=0.0, le=1.0)]
Positive = Annotated[Number, Field(gt=0.0, le=1.0)]
Limit = Annotated[Whole, Field(ge=1, le=10_000_000)]
Count = Annotated[Whole, Field(ge=0, le=10_000)]
Template = Annotated[str, AfterValidator(checked_template)]


def checked_pattern(pattern: str) -> str:
    """Return `pattern` unchanged. Raises ValueError unless it is a valid RE2 pattern that does not
    match "".
    """
    if not 1 <= len(pattern) <= MAX_PATTERN:
        raise ValueError(f"a pattern must have 1 to {MAX_PATTERN} characters, has {len(pattern)}")
    if re2.match(re2_pattern(pattern), ""):
        raise ValueError(f"{pattern!r} must not match the empty string")
    return pattern


class PolicyType(StrEnum):
    """Which limit a thread policy must set: tokens (token_based), messages (message_count_based) or
    none (buffer).

    Other limits apply too if they are set. A thread of type buffer is flushed only on request.
    """

    TOKEN_BASED = "token_based"  # noqa: S105 - tokens of text
    MESSAGE_COUNT_BASED = "message_count_based"
    BUFFER = "buffer"


class FlushStrategy(StrEnum):
    """Which turns a flush (the removal of many turns from a thread, to store them as memories)
    removes first.

    simple_fifo: the oldest turns. lru: the least recently used turns. token_aware_lru: turns with
    many tokens that were not used for long. hybrid_summary: the oldest turns, but never the first
    and last few of the thread (see `Flush`).
    """

    SIMPLE_FIFO = "simple_fifo"
    LRU = "lru"
    TOKEN_AWARE_LRU = "token_aware_lru"  # noqa: S105 - tokens of text
    HYBRID_SUMMARY = "hybrid_summary"


class EvictionPolicy(StrEnum):
    """Order in which turns are evicted from a full thread. fifo: the oldest first. lru: the least
    recently used first.

    priority: turns of tools first, then of the assistant, then of the user, and turns that contain
    a keyword last.
    """

    FIFO = "fifo"
    LRU = "lru"
    PRIORITY = "priority"


class ContextAllocation(StrictModel):
    """Shares (0-1, in total 1) of the token budget of a thread's context. custom: for the thread's
    initial context.

    system: for system turns. long_term: for summaries and the ancestors' turns. short_term: for the
    thread's own turns.
    """

    system: Share = 0.0
    long_term: Share = 0.0
    short_term: Share = 0.0
    custom: Share = 0.0

    @model_validator(mode="after")
    def _adds_up_to_one(self) -> Self:
        total = self.system + self.long_term + self.short_term + self.custom
        if abs(total - 1.0) > 1e-6:
            raise ValueError(
                "the shares system, long_term, short_term and custom must add up to 1, "
                f"not {total:g}"
            )
        return self


class Flush(StrictModel):
    """When and how a thread is flushed, that is, some of its turns are removed and stored as
    memories.

    threshold: share of a limit at which a flush starts. target: share of the limit that is left
    after it. keep_first, keep_last: number of turns at the start and end of the thread that the
    strategy hybrid_summary never removes. oldest: minimum share of the removable turns that
    hybrid_summary removes. summary_tokens: maximum size of the thread's summary. llm: whether the
    summariser endpoint, if configured, summarises the removed turns.
    """

    strategy: FlushStrategy = FlushStrategy.SIMPLE_FIFO
    threshold: Positive = 0.8
    target: Share = 0.5
    keep_first: Count = 1
    keep_last: Count = 1
    oldest: Positive = 0.3
    summary_tokens: Annotated[Whole, Field(ge=1, le=100_000)] = 500
    llm: Flag = True

    @property
    def protected(self) -> tuple[int, int]:
        """How many turns at the start of a thread, and how many at its end, a flush never
        removes.
        """
        hybrid = self.strategy is FlushStrategy.HYBRID_SUMMARY
        return (self.keep_first, max(self.keep_last, 1)) if hybrid else (0, 1)

    @model_validator(mode="after")
    def _target_is_below_threshold(self) -> Self:
        if self.target >= self.threshold:
            raise ValueError(f"target {self.target:g} must be below threshold {self.threshold:g}")
        return self


class Eviction(StrictModel):
    """How turns are evicted from a full thread. keywords: with `priority`, turns that contain one
    are evicted last.
    """

    policy: EvictionPolicy = EvictionPolicy.FIFO
    keywords: list[Name] = Field(default_factory=list, max_length=256)


class OperationTimes(StrictModel):
    """Time limits of operations on a thread, in seconds. A flush stores many turns as memories and
    removes them.

    append: limit for appending a turn, with the flush that it may start, or for replacing all
    turns. If only the flush takes too long, the turn stays stored and the flush is done after a
    later turn. clear: limit for removing all turns. flush: limit for a flush, and the TTL of the
    lock that a flush holds. Appends and clears take no lock.
    """

    append: LockTime = 30.0
    clear: LockTime = 10.0
    flush: LockTime = 300.0


class Privacy(StrictModel):
    """What a thread does not store: text that matches a pattern in `redact` (RE2), and turns of
    some roles.
    """

    redact: list[Annotated[str, AfterValidator(checked_pattern)]] = Field(
        default_factory=list, max_length=256
    )
    never_keep_roles: list[Role] = Field(default_factory=list, max_length=64)


class ThreadPolicy(StrictModel):
    """Policy for the threads that name it as their `resource`: limits, flushing, eviction, key and
    privacy.

    ttl: time to live in seconds; None for the service's default. max_context_ratio: share of the
    context window of `model` that limits the thread's tokens. key: template for the keys of
    threads.
    """

    type: PolicyType = PolicyType.BUFFER
    max_tokens: Limit | None = None
    max_messages: Limit | None = None
    max_turns: Limit | None = None
    max_context_ratio: Positive | None = None
    model: Name | None = None
    allocation: ContextAllocation | None = None
    ttl: Seconds | None = None
    key: Template | None = None
    flush: Flush = Flush()
    eviction: Eviction = Eviction()
    locks: OperationTimes = OperationTimes()
    privacy: Privacy = Privacy()

    @model_validator(mode="after")
    def _has_required_limits(self) -> Self:
        if self.max_context_ratio is not None and self.model is None:
            raise ValueError("max_context_ratio needs model, whose window it is a share of")
        if (
            self.type is PolicyType.TOKEN_BASED
            and self.max_tokens is None
            and self.max_context_ratio is None
        ):
            raise ValueError("type token_based needs max_tokens or max_context_ratio")
        if self.type is PolicyType.MESSAGE_COUNT_BASED and self.max_messages is None:
            raise ValueError("type message_count_based needs max_messages")
        return self

    @model_validator(mode="after")
    def _can_flush(self) -> Self:
        if self.allocation is not None and not self.allocation.short_term:
            raise ValueError(
                "allocation.short_term must be above 0, because the newest turn is always shown"
            )
        turns = self.most_turns
        messages = self.max_messages
        most = turns if messages is None else min(turns, messages)
        settings = self.flush
        # Whatever the policy's own strategy, a request to flush may name hybrid_summary.
        asked = settings.model_fields_set & {"keep_first", "keep_last"}
        kept = settings.keep_first + settings.keep_last
        if asked and kept > most:
            raise ValueError(
                f"flush keeps {kept} turns (keep_first {settings.keep_first} and keep_last "
                f"{settings.keep_last}), but the thread has at most {most}; keep fewer, or raise "
                "max_messages and max_turns"
            )
        protected = sum(settings.protected)
        if self.type is PolicyType.BUFFER:
            return self
        first = settings.threshold * messages if messages is not None else 0
        if self.type is PolicyType.MESSAGE_COUNT_BASED and first > turns:
            raise ValueError(
                f"the flush would start at {first:g} messages (threshold "
                f"{settings.threshold:g} of max_messages "
                f"{messages}), but max_turns {turns} allows fewer; raise max_turns or "
                "lower max_messages"
            )
        if protected >= most:
            raise ValueError(
                f"the flush could never remove a turn: {protected} turns always stay "
                "(keep_first and keep_last, or the "
                f"newest), and the thread has at most {most}; raise max_messages and max_turns"
            )
        return self

    @property
    def most_turns(self) -> int:
        """Maximum number of turns of a thread: max_turns if set, else the larger of DEFAULT_TURNS
        and max_messages.
        """
        return self.max_turns or max(DEFAULT_TURNS, self.max_messages or 0)


class AccessMode(StrEnum):
    """Whether an agent may write to the threads of a resource (a thread policy's name), or only
    read them.
    """

    READ_WRITE = "read-write"
    READ_ONLY = "read-only"


class ResourceReference(StrictModel):
    """A thread policy whose threads an agent may use. id: the name of the policy, which the API
    calls a resource.

    key: template for the keys of the agent's threads. If it is None, the template of the policy is
    used.
    """

    id: Name
    key: Template | None = None
    mode: AccessMode = AccessMode.READ_WRITE

    @model_validator(mode="before")
    @classmethod
    def _from_id(cls, value: object) -> object:
        return {"id": value} if isinstance(value, str) else value


class Agent(StrictModel):
    """The resources (names of thread policies) whose threads an agent may use.

    memory: a single resource. memories: several resources, each of which may have its own template
    of thread keys and its own access mode. key: template of thread keys for resources without one.
    """

    memory: Name | None = None
    memories: list[ResourceReference] | None = Field(default=None, min_length=1, max_length=64)
    key: Template | None = None

    @model_validator(mode="after")
    def _names_resources_once(self) -> Self:
        if (self.memory is None) == (self.memories is None):
            raise ValueError("must have either memory (one id) or memories (several)")
        ids = [reference.id for reference in self.references()]
        if len(set(ids)) != len(ids):
            raise ValueError("memories must name each resource once")
        return self

    def references(self) -> tuple[ResourceReference, ...]:
        """The agent's resources (thread policies). A resource without a key template gets the
        agent's, `key`.
        """
        if self.memory is not None:
            return (ResourceReference(id=self.memory, key=self.key),)
        references = self.memories or []
        return tuple(
            entry if entry.key else entry.model_copy(update={"key": self.key})
            for entry in references
        )


class Policies(StrictModel):
    """The contents of a policy file: thread policies by name, and the policies that each agent may
    use, by agent id.

    A policy that only an agent names is `DEFAULT_POLICY`.
    """

    threads: dict[Name, ThreadPolicy] = Field(default_factory=dict)
    agents: dict[Name, Agent] = Field(default_factory=dict)
    _left_out: tuple[str, ...] = PrivateAttr(default=())

    @property
    def missing(self) -> tuple[str, ...]:
        """The policies that agents refer to and the file does not define, in order."""
        named = [reference.id for agent in self.agents.values() for reference in agent.references()]
        return tuple(name for name in dict.fromkeys(named) if name not in self.threads)

    @property
    def notes(self) -> list[str]:
        """What whoever wrote the file should know: policies that have the defaults, and fields that
        have no effect.
        """
        missing = [
            f"threads.{name} is not defined and an agent refers to it: it has the defaults. To "
            f"change them, add under `threads:` {name}: {{type: message_count_based, max_messages: "
            f"{DEFAULT_TURNS}, flush: {{strategy: hybrid_summary}}}}"
            for name in self.missing
        ]
        return [*missing, *(f"{path} has no effect" for path in self._left_out)]

    @classmethod
    def of_project(cls, document: Mapping[str, Any], name: str) -> Policies:
        """The policies of a YAML document of a Compozy project. name: what errors call the file.
        Raises InvalidConfigFile.
        """
        try:
            converted, left_out = converted_policies([document])
        except InvalidConfigFile as error:
            raise InvalidConfigFile(f"{name}: {error}") from error
        return validated(converted, cls, name).with_left_out(left_out)

    def with_left_out(self, left_out: Sequence[str]) -> Self:
        """These policies, which note that fields at the paths `left_out` have no effect."""
        self._left_out = tuple(left_out)
        return self


DEFAULT_POLICY = ThreadPolicy(
    type=PolicyType.MESSAGE_COUNT_BASED,
    max_messages=DEFAULT_TURNS,
    flush=Flush(strategy=FlushStrategy.HYBRID_SUMMARY),
)
"""Policy of threads without a resource, or with a resource that the policy file does not define."""


def read_policies(path: Path | None) -> Policies:
    """Read the policy file at `path`; return empty policies if `path` is None. Raises
    InvalidConfigFile.
    """
    return Policies() if path is None else parse_policies(read_text(path, "policy file"), str(path))


def parse_policies(text: str, file: str) -> Policies:
    """Parse `text`, the contents of a policy file or of a Compozy project's file. file: its name
    for error messages. Raises InvalidConfigFile.
    """
    name = f"policy file {file}"
    value = load_yaml(text, name)
    return (
        Policies.of_project(value, name) if is_project(value) else validated(value, Policies, name)
    )

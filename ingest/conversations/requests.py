"""What is asked of threads, and what comes back; values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memtypes.live.thread_policy import AccessMode, FlushStrategy
from memtypes.live.turns import Turn
from memtypes.ports.threads import Thread, ThreadContent


@dataclass(frozen=True, slots=True)
class Opening:
    """A thread to begin or to find. variables: what templates of keys read."""

    key: str | None = None
    parent_id: str | None = None
    resource: str | None = None
    agent_id: str | None = None
    initial_context: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opened:
    """A thread of a resource. created: whether it began now. mode: the agent's. redactions: in its initial context."""

    thread: Thread
    created: bool
    resource: str | None = None
    mode: AccessMode = AccessMode.READ_WRITE
    redactions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a turn. redactions: what was taken out of it, by kind."""

    turn: Turn
    version: int
    flushed: int
    evicted: int
    redactions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replaced:
    """The version after all turns were replaced, and what was taken out of the new ones."""

    version: int
    redactions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlushAsk:
    """How to flush. dry_run: only say what would leave. force: also below the threshold."""

    strategy: FlushStrategy | None = None
    dry_run: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Flushed:
    """What left and what that came to."""

    flushed: int
    tokens_before: int
    tokens_after: int
    summary: str | None = None
    memory_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """Threads, oldest first. gap: an ancestor has expired."""

    threads: tuple[ThreadContent, ...]
    gap: bool
    cycle: bool = False

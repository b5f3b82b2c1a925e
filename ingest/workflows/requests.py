"""What is asked of workflows, and what is answered. Knows no store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memtypes.live.workflow_state import ResourceValue, WorkflowState
from memtypes.ports.workflows import ChainLink, IdempotentAnswer


@dataclass(frozen=True, slots=True)
class Beginning:
    """A workflow to begin. workflow_id: None for one that is made up. data: of its first state."""

    workflow_id: str | None = None
    parent_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Begun:
    """The workflow that was begun. redactions: what was taken out of its data, by kind."""

    workflow_id: str
    redactions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reported:
    """version: of the event. memories: ids by type, when the event ended the workflow and its record was kept.

    redactions: what was taken out of the event, by kind.
    """

    version: int
    memories: Mapping[str, str] = field(default_factory=dict)
    redactions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """A workflow with its state at the version asked for."""

    workflow_id: str
    parent_id: str | None
    state: WorkflowState


@dataclass(frozen=True, slots=True)
class Chain:
    """links: oldest first, the workflow itself last; without those that are gone. gap: whether any is gone."""

    links: tuple[ChainLink, ...]
    gap: bool
    cycle: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A resource of a chain: the newest value, and which event of which workflow set it."""

    id: str
    resource: ResourceValue
    workflow_id: str


@dataclass(frozen=True, slots=True)
class Resumption:
    """How to go on. input: what comes next, as any JSON. budget: tokens of the history."""

    input: Any
    budget: int
    idempotency_key: str | None = None

    def once(self, told: Mapping[str, Any]) -> IdempotentAnswer | None:
        """What makes a repetition find `told`; None without a key."""
        if self.idempotency_key is None:
            return None
        asked = json.dumps([self.input, self.budget], sort_keys=True).encode()
        return IdempotentAnswer(self.idempotency_key, hashlib.sha256(asked).hexdigest(), json.dumps(told))


@dataclass(frozen=True, slots=True)
class Resumed:
    """history: the text before this input, of total_tokens. omitted: events that are not whole in it.

    redactions: what was taken out of this input, by kind.
    """

    history: str
    version: int
    total_tokens: int
    budget: int
    tokenizer: str
    omitted: int
    redactions: Mapping[str, int] = field(default_factory=dict)

"""Scope of a call: the tenant and namespace to which every call of a store is limited."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from memtypes.model.errors import InvalidRequest

MAX_NAME = 256

DEFAULT_TENANT = "default"
"""The tenant of API calls without an API key."""


def clean_name(value: str) -> str:
    """Return `value` unchanged. Raises ValueError if it is empty, too long, padded or has control
    characters.
    """
    if not 1 <= len(value) <= MAX_NAME:
        raise ValueError(f"must have 1 to {MAX_NAME} characters, has {len(value)}")
    if value != value.strip():
        raise ValueError("must not begin or end with a blank")
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in value):
        raise ValueError("must not contain control characters")
    return value


Name = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_NAME), AfterValidator(clean_name)
]
"""A namespace, or the id of a session, agent or to-do, in any script."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a call reads and writes: a tenant's namespace, with the session and agent of the
    caller.

    tenant and namespace limit every read and write. session_id: the caller's session, whose private
    memories are also found. agent_id: the agent that the caller acts as, which written memories
    record. agents: ids of the agents whose working items (notes on a task) the caller may reach,
    with None for items of no agent; empty for no limit.
    """

    tenant: str
    namespace: str
    session_id: str | None = None
    agent_id: str | None = None
    agents: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        for field in ("tenant", "namespace", "session_id", "agent_id"):
            value = getattr(self, field)
            if value is None and field in ("session_id", "agent_id"):
                continue
            try:
                clean_name(value)
            except ValueError as error:
                raise InvalidRequest(f"{field} {error}", path=field, got=value) from error

    def reaches(self, agent_id: str | None) -> bool:
        """Whether the caller may reach the working items of the agent `agent_id` (None: items of no
        agent).
        """
        return not self.agents or agent_id in self.agents

    @property
    def unbound(self) -> Scope:
        """A copy of the scope with `agents` empty, so that it reaches the working items of all
        agents.
        """
        return replace(self, agents=())

"""What the policies say about one thread, one turn and one agent. Knows no store."""

from __future__ import annotations

from dataclasses import dataclass, field

from memtypes.errors import InvalidRequest, ReadOnly
from memtypes.models.registry import Models
from memtypes.threads.choosing import Limits
from memtypes.threads.policy import Mode, Policies, Reference, ThreadPolicy
from memtypes.threads.ports import Thread

UNKNOWN_WINDOW = 8_192
"""Taken for the window of a model that nobody knows: a limit that is asked for must not silently be none."""

_PLAIN = ThreadPolicy()


@dataclass(frozen=True, slots=True)
class Rules:
    """The policies of a file, and the models whose windows they speak of."""

    models: Models
    policies: Policies = field(default_factory=Policies)

    def named(self, resource: str | None) -> ThreadPolicy:
        """The policy of a resource that a request names. Raises InvalidRequest when there is none of that name."""
        policies = self.policies.threads
        if resource is None or not policies:
            return _PLAIN
        if resource not in policies:
            known = ", ".join(sorted(policies))
            raise InvalidRequest(f"there is no policy {resource!r}; there are: {known}", path="resource", got=resource)
        return policies[resource]

    def of(self, thread: Thread) -> ThreadPolicy:
        """The policy by which a thread is kept."""
        return self.of_resource(thread.resource)

    def of_resource(self, resource: str | None) -> ThreadPolicy:
        """The policy of a thread's resource; a plain one where the file does not name it any more."""
        return self.policies.threads.get(resource or "", _PLAIN)

    def limits(self, policy: ThreadPolicy) -> Limits:
        """The limits of a policy; a share of a model's window is a limit of tokens."""
        tokens = min(filter(None, (policy.max_tokens, self.window_share(policy))), default=None)
        return Limits(tokens, policy.max_messages, policy.max_turns)

    def window_share(self, policy: ThreadPolicy) -> int | None:
        """Tokens of the model's window that the policy allows; None where it does not say."""
        if policy.max_context_ratio is None or policy.model is None:
            return None
        window = self.models().find(policy.model).window or UNKNOWN_WINDOW
        return max(1, int(policy.max_context_ratio * window))

    def references(self, agent_id: str | None) -> tuple[Reference, ...] | None:
        """The resources of an agent; None of one that the file does not name."""
        agent = self.policies.agents.get(agent_id or "")
        return None if agent is None else agent.references()

    def check_mode(self, resource: str | None, agent_id: str | None) -> None:
        """Raise ReadOnly where the agent may not write to this resource."""
        references = self.references(agent_id)
        if references is None or resource is None:
            return
        modes = {one.id: one.mode for one in references}
        if modes.get(resource) is not Mode.READ_WRITE:
            raise ReadOnly(f"agent {agent_id!r} may not write to {resource!r}")

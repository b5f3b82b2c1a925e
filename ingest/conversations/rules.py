"""What the policies say about one thread, one turn and one agent. Knows no store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from memtypes.live.eviction import ThreadLimits
from memtypes.live.thread_policy import AccessMode, Policies, ResourceReference, ThreadPolicy
from memtypes.llms.registry import Models
from memtypes.model.errors import InvalidRequest, ReadOnly, Unavailable
from memtypes.ports.threads import Thread
from memtypes.ports.tokenizer import Tokenizer

UNKNOWN_WINDOW = 8_192
"""Taken for the window of a model that nobody knows: a limit that is asked for must not silently be none."""

_PLAIN = ThreadPolicy()


@dataclass(frozen=True, slots=True)
class Rules:
    """The policies of a file, the models whose windows they speak of, and the tokenizers on hand by name."""

    models: Models
    policies: Policies = field(default_factory=Policies)
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)

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

    def limits(self, policy: ThreadPolicy) -> ThreadLimits:
        """The limits of a policy; a share of a model's window is a limit of tokens.

        That limit is lower by the margin of a model whose own tokenizer is not on hand.
        """
        share = self.window_share(policy)
        if share is not None and policy.model is not None:
            share = max(1, int(share / (1.0 + self.models().find(policy.model).margin)))
        return ThreadLimits(
            min(filter(None, (policy.max_tokens, share)), default=None), policy.max_messages, policy.max_turns
        )

    def tokenizer(self, policy: ThreadPolicy, otherwise: Tokenizer) -> Tokenizer:
        """Who counts a policy's turns: the tokenizer of its model, or the one that stands in for it."""
        name = None if policy.model is None else self.models().find(policy.model).tokenizer
        return self.tokenizers.get(name or "", otherwise)

    def window_share(self, policy: ThreadPolicy) -> int | None:
        """Tokens of the model's window that the policy allows; None where it does not say."""
        if policy.max_context_ratio is None or policy.model is None:
            return None
        window = self.models().find(policy.model).window or UNKNOWN_WINDOW
        return max(1, int(policy.max_context_ratio * window))

    def policy_name(self, resource: str | None) -> str | None:
        """The name of the policy by which the threads of a resource are kept; None for the plain one."""
        return resource if resource in self.policies.threads else None

    def doubts(self) -> list[str]:
        """What the policies speak of that nobody knows; that may still come, since the registry is read on change."""
        named = [(name, one.model) for name, one in self.policies.threads.items() if one.model is not None]
        return [
            f"threads.{name}.model: the window of {model!r} is not known; {UNKNOWN_WINDOW} tokens are taken for it"
            for name, model in named
            if self.models().find(model).window is None
        ]

    def references(self, agent_id: str) -> tuple[ResourceReference, ...]:
        """The resources of an agent. Raises InvalidRequest when the file names none of this name."""
        agents = self.policies.agents
        if agent_id not in agents:
            known = ", ".join(sorted(agents))
            raise InvalidRequest(
                f"there is no agent {agent_id!r}; there are: {known}; or name a resource", path="agent_id", got=agent_id
            )
        return agents[agent_id].references()

    def check_mode(self, resource: str | None, agent_id: str | None) -> None:
        """Raise ReadOnly where the agent may not write to this resource.

        A resource that agents of the file refer to is theirs; to any other, and for no agent, everybody may write.
        """
        named = self.policies.agents.items()
        modes = {name: one.mode for name, agent in named for one in agent.references() if one.id == resource}
        governed = modes or agent_id in self.policies.agents
        if resource is None or agent_id is None or not governed or modes.get(agent_id) is AccessMode.READ_WRITE:
            return
        raise ReadOnly(f"agent {agent_id!r} may not write to {resource!r}")


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Let a change take so long by its policy. Raises Unavailable when the time is over, and cuts it off."""
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as error:
        raise Unavailable(
            f"the {what} was given up after the {seconds:g} s that the policy's locks allow it"
        ) from error

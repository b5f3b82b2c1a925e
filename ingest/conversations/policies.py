"""Looks up policies, limits, tokenizers and agents' permissions for threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from memtypes.live.eviction import ThreadLimits
from memtypes.live.templates import is_key_of
from memtypes.live.thread_policy import (
    DEFAULT_TURNS,
    AccessMode,
    Flush,
    FlushStrategy,
    Policies,
    PolicyType,
    ResourceReference,
    ThreadPolicy,
)
from memtypes.llms.registry import Models
from memtypes.model.errors import AccessDenied, InvalidRequest, ReadOnly, Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.encoders import Tokenizer

UNKNOWN_WINDOW = 8_192
"""Context window assumed for an unknown model, so that a share of it is still a limit."""

_DEFAULT = ThreadPolicy(
    type=PolicyType.MESSAGE_COUNT_BASED,
    max_messages=DEFAULT_TURNS,
    flush=Flush(strategy=FlushStrategy.HYBRID_SUMMARY),
)
"""Policy of threads without a resource, and of those whose resource the policy file does not define."""


@dataclass(frozen=True, slots=True)
class PolicyLookup:
    """Looks up the policies of threads, and the limits, tokenizers and permissions that follow from them.

    policies: from the policy file. models: the registry of language models. tokenizers: by name. ttl_s: seconds without
    use after which a thread expires, where its policy does not say.
    """

    models: Models
    policies: Policies = field(default_factory=Policies)
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)
    ttl_s: float = 3 * 3_600.0

    def requested(self, resource: str | None) -> ThreadPolicy:
        """The policy for the `resource` of a request. Raises InvalidRequest if the policy file does not define it."""
        policies = self.policies.threads
        if resource is not None and policies and resource not in policies:
            known = ", ".join(sorted(policies))
            raise InvalidRequest(f"there is no policy {resource!r}; there are: {known}", path="resource", got=resource)
        return self.of(resource)

    def of(self, resource: str | None) -> ThreadPolicy:
        """The policy of a stored thread. resource: the policy's name in the policy file.

        The default policy applies to a thread without such a name, and if the file no longer has that policy.
        """
        return self.policies.threads.get(resource or "", _DEFAULT)

    def name(self, resource: str | None) -> str | None:
        """`resource` if the policy file has a policy of that name; None if the default policy applies to it."""
        return resource if resource in self.policies.threads else None

    def limits(self, policy: ThreadPolicy) -> ThreadLimits:
        """The limits of a policy; for tokens, the smaller of its maximum and its share of the model's window.

        If the model's own tokenizer is not available, the share is reduced by the model's margin.
        """
        share = self.window_share(policy)
        if share is not None and policy.model is not None:
            share = max(1, int(share / (1.0 + self.models().find(policy.model).margin)))
        tokens = min(filter(None, (policy.max_tokens, share)), default=None)
        return ThreadLimits(tokens, policy.max_messages, policy.most_turns)

    def tokenizer(self, policy: ThreadPolicy, default: Tokenizer) -> Tokenizer:
        """The tokenizer that the registry names for the policy's model; `default` if there is none."""
        name = None if policy.model is None else self.models().find(policy.model).tokenizer
        return self.tokenizers.get(name or "", default)

    def window_share(self, policy: ThreadPolicy) -> int | None:
        """Tokens of the model's window that the policy allows; None without such a limit."""
        if policy.max_context_ratio is None or policy.model is None:
            return None
        window = self.models().find(policy.model).window or UNKNOWN_WINDOW
        return max(1, int(policy.max_context_ratio * window))

    def warnings(self) -> list[str]:
        """One message for each policy whose model has no known window; the registry may get it later, while running."""
        return [
            f"threads.{name}.model: the window of {policy.model!r} is unknown; {UNKNOWN_WINDOW} tokens are assumed"
            for name, policy in self.policies.threads.items()
            if policy.model is not None and self.models().find(policy.model).window is None
        ]

    def references(self, agent_id: str) -> tuple[ResourceReference, ...]:
        """The resources (names of thread policies) that the policy file lets `agent_id` use, with modes of access.

        Raises InvalidRequest for an unknown agent.
        """
        agents = self.policies.agents
        if agent_id not in agents:
            known = ", ".join(sorted(agents))
            raise InvalidRequest(
                f"there is no agent {agent_id!r}; there are: {known}; or name a resource", path="agent_id", got=agent_id
            )
        return agents[agent_id].references()

    def access(self, scope: Scope, resource: str | None, key: str | None) -> AccessMode | None:
        """How the agent of `scope` may use a thread of `resource` and `key`; None if not at all.

        An agent in the policy file may use only the resources listed for it there, in the mode given there. Other
        agents may not use a resource that is listed for any agent. If the scope is bound to agents, its agent may use
        only what is listed for it; if the keys of a resource contain the agent's id, it may use only the threads with
        its own id. A scope without an agent may use everything, unless it is bound.
        """
        agents, agent_id, bound = self.policies.agents, scope.agent_id, bool(scope.agents)
        if agent_id is None:
            return None if bound else AccessMode.READ_WRITE
        references = agents[agent_id].references() if agent_id in agents else ()
        reference = next((each for each in references if each.id == resource), None)
        if reference is None:
            owned = any(each.id == resource for agent in agents.values() for each in agent.references())
            governed = resource is not None and (owned or agent_id in agents)
            return None if bound or governed else AccessMode.READ_WRITE
        template = reference.key or self.of(resource).key
        theirs = not bound or template is None or is_key_of(template, key or "", agent_id)
        return reference.mode if theirs else None

    def check_access(self, scope: Scope, resource: str | None, key: str | None, *, write: bool) -> None:
        """Raise AccessDenied if the scope's agent may not use this thread, or ReadOnly if it may not `write` to it."""
        mode = self.access(scope, resource, key)
        if mode is None:
            which = "a thread of no resource" if resource is None else f"this thread of {resource!r}"
            raise AccessDenied(f"agent {scope.agent_id!r} has no access to {which}; it needs a reference to its memory")
        if write and mode is AccessMode.READ_ONLY:
            raise ReadOnly(f"agent {scope.agent_id!r} may not write to {resource!r}")


@contextmanager
def time_limit(seconds: float, operation: str) -> Iterator[None]:
    """Cancel the block after `seconds` and raise Unavailable. operation: its name in the message."""
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as error:
        raise Unavailable(f"the {operation} was cancelled after {seconds:g} s, the lock time of the policy") from error

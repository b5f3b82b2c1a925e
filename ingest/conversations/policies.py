"""Looks up policies, limits, tokenizers and agents' permissions for threads (stored
conversations).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from memtypes.live.eviction import ThreadLimits
from memtypes.live.templates import is_key_of
from memtypes.live.thread_policy import (
    DEFAULT_POLICY,
    AccessMode,
    Policies,
    ResourceReference,
    ThreadPolicy,
)
from memtypes.llms.registry import Models
from memtypes.model.errors import AccessDenied, InvalidRequest, ReadOnly, Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.encoders import Tokenizer

UNKNOWN_WINDOW = 8_192
"""Context window, in tokens, that is assumed for an unknown model, so that a share of the window is
still a limit.
"""


@dataclass(frozen=True, slots=True)
class PolicyLookup:
    """Looks up the policies of threads, and the limits, tokenizers and permissions that follow from
    them.

    models: returns the registry of language models. policies: the parsed policy file. tokenizers:
    by their names. ttl_s: seconds without use after which a thread expires if its policy sets no
    TTL.
    """

    models: Models
    policies: Policies = field(default_factory=Policies)
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)
    ttl_s: float = 3 * 3_600.0

    def requested(self, resource: str | None) -> ThreadPolicy:
        """The policy named `resource`; the default policy for None. Raises InvalidRequest for an
        unknown name.
        """
        policies = self.policies.threads
        known = {*policies, *self.policies.missing}
        if resource is not None and known and resource not in known:
            names = ", ".join(sorted(known))
            raise InvalidRequest(
                f"there is no policy {resource!r}; there are: {names}",
                path="resource",
                got=resource,
            )
        return self.of_resource(resource)

    def of_resource(self, resource: str | None) -> ThreadPolicy:
        """The policy of a stored thread whose `resource` names a policy of the policy file.

        The default policy (at most 50 messages) applies if `resource` is None or no longer in the
        policy file.
        """
        return self.policies.threads.get(resource or "", DEFAULT_POLICY)

    def name(self, resource: str | None) -> str | None:
        """`resource` if the policy file has a policy of that name; None if the default policy
        applies instead.
        """
        return resource if resource in self.policies.threads else None

    def limits(self, policy: ThreadPolicy) -> ThreadLimits:
        """The limits of a thread with this policy, in tokens, messages and turns.

        The token limit is the policy's maximum or its share of the model's context window: the
        smaller one, or None if the policy has neither. The share is divided by 1 plus the model's
        margin, the fraction by which the model may count more tokens than this service.
        """
        share = self.window_share(policy)
        if share is not None and policy.model is not None:
            share = max(1, int(share / (1.0 + self.models().find(policy.model).margin)))
        tokens = min(filter(None, (policy.max_tokens, share)), default=None)
        return ThreadLimits(tokens, policy.max_messages, policy.most_turns)

    def tokenizer(self, policy: ThreadPolicy, default: Tokenizer) -> Tokenizer:
        """The tokenizer of the policy's model; `default` if the policy names no model or its
        tokenizer is missing.
        """
        name = None if policy.model is None else self.models().find(policy.model).tokenizer
        return self.tokenizers.get(name or "", default)

    def window_share(self, policy: ThreadPolicy) -> int | None:
        """Tokens of its model's context window that the policy lets a thread use; None if it sets
        no such share.
        """
        if policy.max_context_ratio is None or policy.model is None:
            return None
        window = self.models().find(policy.model).window or UNKNOWN_WINDOW
        return max(1, int(policy.max_context_ratio * window))

    def warnings(self) -> list[str]:
        """What is to be logged at start: a message for each policy that has the defaults or names
        a model whose context window is unknown, and for each field without effect.
        """
        return self.policies.notes + [
            (
                f"threads.{name}.model: the window of {policy.model!r} is unknown; "
                f"{UNKNOWN_WINDOW} tokens are assumed"
            )
            for name, policy in self.policies.threads.items()
            if policy.model is not None and self.models().find(policy.model).window is None
        ]

    def references(self, agent_id: str) -> tuple[ResourceReference, ...]:
        """The policy file's references of an agent: resources (thread policies) that it may use,
        with access modes.

        Raises InvalidRequest for an agent that the file does not define.
        """
        agents = self.policies.agents
        if agent_id not in agents:
            names = ", ".join(sorted(agents))
            raise InvalidRequest(
                f"there is no agent {agent_id!r}; there are: {names}; or name a resource",
                path="agent_id",
                got=agent_id,
            )
        return agents[agent_id].references()

    def access(self, scope: Scope, resource: str | None, key: str | None) -> AccessMode | None:
        """The mode in which the agent of `scope` may use the thread with this resource (policy
        name) and key; or None.

        An agent in the policy file may use the resources that the file lists for it, in the access
        mode given there, and threads without a resource. An agent that is not in the file may use
        the resources that are listed for no agent, and threads without a resource. A scope without
        an agent may use every thread.

        If the caller's API key is bound to certain agents (`scope.agents`), the agent may only use
        the resources listed for it, and of threads whose keys contain an agent's id only its own.
        Without an agent, it may use no thread.
        """
        agents = self.policies.agents
        agent_id = scope.agent_id
        bound = bool(scope.agents)
        if agent_id is None:
            return None if bound else AccessMode.READ_WRITE
        references = agents[agent_id].references() if agent_id in agents else ()
        reference = next((reference for reference in references if reference.id == resource), None)
        if reference is None:
            owned = any(
                reference.id == resource
                for agent in agents.values()
                for reference in agent.references()
            )
            governed = resource is not None and (owned or agent_id in agents)
            return None if bound or governed else AccessMode.READ_WRITE
        template = reference.key or self.of_resource(resource).key
        theirs = not bound or template is None or is_key_of(template, key or "", agent_id)
        return reference.mode if theirs else None

    def check_access(
        self, scope: Scope, resource: str | None, key: str | None, *, write: bool
    ) -> None:
        """Raise AccessDenied if the scope's agent may not read the thread with this resource
        (policy name) and key.

        With `write`, raise ReadOnly if the agent may only read the thread.
        """
        mode = self.access(scope, resource, key)
        if mode is None:
            which = (
                "a thread of no resource" if resource is None else f"this thread of {resource!r}"
            )
            raise AccessDenied(
                f"agent {scope.agent_id!r} has no access to {which}; the policy file must grant it"
            )
        if write and mode is AccessMode.READ_ONLY:
            raise ReadOnly(
                f"agent {scope.agent_id!r} may not write to {resource!r}: the policy file "
                f"says {mode}"
            )


@contextmanager
def time_limit(seconds: float, operation: str) -> Iterator[None]:
    """Cancel the `with` block after `seconds` and raise Unavailable. operation: its name in the
    policy's `locks`.
    """
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as error:
        limit = f"{seconds:g} s, the limit in locks.{operation} of the policy"
        raise Unavailable(
            f"the {operation} was cancelled after {limit}; try again, or raise the limit"
        ) from error

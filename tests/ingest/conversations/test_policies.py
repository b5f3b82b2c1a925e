"""Policies, limits and access rights for threads."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from ingest.conversations.policies import UNKNOWN_WINDOW, PolicyLookup, time_limit
from memtypes.live.thread_policy import (
    AccessMode,
    FlushStrategy,
    Policies,
    ThreadPolicy,
    parse_policies,
)
from memtypes.llms.registry import ModelEntry, Registry, RegistryFile
from memtypes.model.errors import AccessDenied, InvalidRequest, Unavailable
from memtypes.model.scope import Scope

AGENTS = """
threads: {notes: {}, quiet: {}, open: {}}
agents:
  writer: {memory: notes}
  reader: {memories: [{id: notes, mode: read-only}, quiet]}
"""


def registry(window: int) -> Registry:
    """A model registry with one model, named tiny, that has a context window of `window` tokens."""
    entry = ModelEntry(provider="p", names=["tiny"], window=window, tokenizer="cl100k_base")
    return Registry.from_files(RegistryFile(models=[entry]))


def test_the_example_of_the_readme_is_valid() -> None:
    """The policy file in the README is parsed, with its two policies and its agent."""
    text = (Path(__file__).parents[3] / "ingest" / "conversations" / "README.md").read_text(
        encoding="utf-8"
    )
    example = next(
        block for block in text.split("```yaml\n")[1:] if block.startswith("threads:")
    ).split("```")[0]
    policies = parse_policies(example, "README.md")
    assert policies.threads["support"].flush.strategy is FlushStrategy.HYBRID_SUMMARY
    assert [reference.mode for reference in policies.agents["helper"].references()] == [
        "read-write",
        "read-only",
    ]


def test_a_share_of_a_models_window_is_a_token_limit() -> None:
    """A policy may limit tokens by a number and by a share of a model's context window. The smaller
    limit applies.

    For an unknown model the share is taken of a default window and divided by a safety margin.
    """
    models = registry(1_000)
    lookup = PolicyLookup(lambda: models)
    assert lookup.limits(ThreadPolicy(max_context_ratio=0.25, model="tiny")).tokens == 250
    assert (
        lookup.limits(ThreadPolicy(max_context_ratio=0.25, model="tiny", max_tokens=100)).tokens
        == 100
    )
    assert (
        lookup.limits(ThreadPolicy(max_context_ratio=0.25, model="tiny", max_tokens=900)).tokens
        == 250
    )
    assert lookup.limits(ThreadPolicy(max_context_ratio=0.5, model="nobody")).tokens == int(
        UNKNOWN_WINDOW / 2 / 1.5
    )
    assert lookup.limits(ThreadPolicy()).tokens is None
    models = registry(2_000)
    assert lookup.limits(ThreadPolicy(max_context_ratio=0.25, model="tiny")).tokens == 500


def test_unknown_models_are_reported() -> None:
    """If a policy names an unknown language model, a warning has the policy and the context window
    that is assumed.
    """
    policies = Policies(
        threads={
            name: ThreadPolicy(max_context_ratio=0.5, model=name) for name in ("tiny", "nobody")
        }
    )
    assert PolicyLookup(lambda: registry(1_000), policies).warnings() == [
        "threads.nobody.model: the window of 'nobody' is unknown; 8192 tokens are assumed"
    ]


def test_an_unknown_resource_or_agent_is_refused_in_a_request() -> None:
    """A request that names a resource or agent without a policy is refused. The error lists the
    known names.

    A stored thread whose resource is no longer in the policy file gets the default policy.
    """
    lookup = PolicyLookup(Registry, parse_policies(AGENTS, "p.yaml"))
    with pytest.raises(InvalidRequest, match="no policy 'lost'; there are: notes, open, quiet"):
        lookup.requested("lost")
    with pytest.raises(InvalidRequest, match="no agent 'nobody'; there are: reader, writer"):
        lookup.references("nobody")
    assert lookup.of_resource("lost") == lookup.requested(None)
    assert lookup.name("lost") is None


@pytest.mark.parametrize(
    ("resource", "agent", "allowed"),
    [
        ("notes", "writer", True),
        ("notes", "reader", False),
        ("notes", "stranger", False),
        ("quiet", "reader", True),
        ("quiet", "writer", False),
        ("open", "stranger", True),
        ("open", "writer", False),
        ("notes", None, True),
        (None, "reader", True),
    ],
)
def test_resources_are_reserved_for_the_agents_that_refer_to_them(
    resource: str | None,
    agent: str | None,
    allowed: bool,  # noqa: FBT001 - a case
) -> None:
    """An agent in the policy file uses only the resources in its entry, and other agents only those
    in no entry.
    """
    lookup = PolicyLookup(Registry, parse_policies(AGENTS, "p.yaml"))
    scope = Scope("t", "n", agent_id=agent)
    if allowed:
        lookup.check_access(scope, resource, "k", write=True)
    else:
        with pytest.raises(AccessDenied):
            lookup.check_access(scope, resource, "k", write=True)


@pytest.mark.parametrize(
    ("resource", "agent", "mode"),
    [
        ("notes", "writer", AccessMode.READ_WRITE),
        ("notes", "reader", AccessMode.READ_ONLY),
        ("quiet", "writer", None),
        ("open", "stranger", None),
        (None, "reader", None),
        ("notes", None, None),
    ],
)
def test_an_agent_with_its_own_api_key_uses_only_the_resources_in_its_policy(
    resource: str | None, agent: str | None, mode: object
) -> None:
    """An agent whose API key is bound to its id may use only the memory resources that its policy
    entry names.

    It may not use threads without a resource.
    """
    lookup = PolicyLookup(Registry, parse_policies(AGENTS, "p.yaml"))
    scope = Scope("t", "n", agent_id=agent, agents=("reader", "writer", "stranger"))
    assert lookup.access(scope, resource, "k") is mode


@pytest.mark.parametrize(
    ("key", "theirs"), [("box:ann:7", True), ("box:bob:7", False), ("box:ann", False)]
)
def test_a_thread_key_with_an_agents_id_belongs_to_that_agent(key: str, *, theirs: bool) -> None:
    """If a resource's template for thread keys contains the agent's id, a thread belongs to the
    agent in its key.

    An agent whose API key is bound to its id may not use the threads of other agents.
    """
    text = """
    threads: {box: {key: "box:{{ agent.id }}:{{ user.id }}"}}
    agents: {ann: {memory: box}, bob: {memory: box}}
    """
    lookup = PolicyLookup(Registry, parse_policies(text, "p.yaml"))
    assert (
        lookup.access(Scope("t", "n", agent_id="ann", agents=("ann",)), "box", key) is not None
    ) is theirs


@pytest.mark.anyio
async def test_a_change_is_cancelled_at_its_time_limit() -> None:
    """A change of a thread, such as an append, is cancelled at its time limit.

    The error names the change and the limit.
    """
    with (
        pytest.raises(Unavailable, match=r"the append was cancelled after 0\.01 s"),
        time_limit(0.01, "append"),
    ):
        await anyio.sleep(1)

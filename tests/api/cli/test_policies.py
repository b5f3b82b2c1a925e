"""`remembrancer policies convert`, which turns memory resources of a Compozy project into a thread
policy file.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli.entry import application
from memtypes.live.templates import rendered_key
from memtypes.live.thread_policy import (
    DEFAULT_POLICY,
    AccessMode,
    EvictionPolicy,
    FlushStrategy,
    PolicyType,
    parse_policies,
)

PROJECT = r"""
name: support
memories:
  - id: customer-support-context
    resource: memory
    description: Shared history
    type: token_based
    max_context_ratio: 0.8
    priority_blocks: [{priority: 0, content_types: [system_prompt], max_tokens: 500}]
    token_allocation: {short_term: 0.7, long_term: 0.2, system: 0.1}
    flushing_strategy: {type: hybrid_summary, summarize_threshold: 0.8, summary_tokens: 500,
      summarize_oldest_percent: 30}
    eviction_policy: {type: priority, priority_keywords: [error]}
    persistence: {type: redis, ttl: "24h", circuit_breaker: {timeout: 100ms}}
    locking: {append_ttl: 30s, clear_ttl: 10s, flush_ttl: 1m30s}
    privacy_policy: {redact_patterns: ['\b\d{3}-\d{2}-\d{4}\b'],
      non_persistable_message_types: [tool]}
  - {id: user-preferences, resource: memory, type: token_based, max_tokens: 2000,
    persistence: {ttl: "30d"}}
  - {id: research-findings, resource: memory, type: token_based, message_limit: 100}
agents:
  - id: simple
    config: {provider: openai, model: gpt-4-turbo}
    memory: customer-support-context
    memory_key: "support-{{ .workflow.input.conversationId }}"
  - {id: several, memory: true, memories: [customer-support-context, user-preferences],
    memory_key: "{{.user.id}}"}
  - id: advanced
    memories:
      - {id: user-preferences, mode: read-only, key: "prefs-{{ .user.id }}"}
      - {id: research-findings, key: "research-{{ .workflow.id }}"}
  - {id: forgetful, instructions: none}
"""
RESOURCE = """
resource: memory
id: user_memory
key: "user:{{.workflow.input.user_id}}"
type: token_based
max_tokens: 2000
flushing: {type: fifo, threshold: 0.4}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A YAML file of a Compozy project, with memory resources and agents."""
    path = tmp_path / "project.yaml"
    path.write_text(PROJECT, encoding="utf-8")
    return path


def convert(*arguments: str) -> Result:
    """Run `remembrancer policies convert ARGUMENTS` and return its result."""
    return CliRunner().invoke(application("policies"), ["policies", "convert", *arguments])


def test_resources_and_agents_are_converted(project: Path, tmp_path: Path) -> None:
    """`policies convert` makes thread policies of a YAML project's memory resources.

    Fields without an equivalent are listed on stderr. Agents refer to the same resources as before,
    whichever of the three ways to name a resource they use.
    """
    resource = tmp_path / "user.yaml"
    output = tmp_path / "policies.yaml"
    resource.write_text(RESOURCE, encoding="utf-8")
    answer = CliRunner().invoke(
        application("policies"),
        ["policies", "convert", str(project), str(resource), "-o", str(output)],
    )
    assert answer.exit_code == 0, answer.output
    assert answer.stderr.splitlines() == [
        "not converted: memories.customer-support-context.priority_blocks",
        "not converted: memories.customer-support-context.persistence.circuit_breaker.timeout",
    ]
    policies = parse_policies(output.read_text(encoding="utf-8"), "policies.yaml")
    support = policies.threads["customer-support-context"]
    assert (support.max_context_ratio, support.model, support.ttl) == (0.8, "gpt-4-turbo", 86_400)
    assert support.allocation is not None
    assert (
        support.allocation.short_term,
        support.allocation.long_term,
        support.allocation.system,
    ) == (0.7, 0.2, 0.1)
    assert (support.flush.strategy, support.flush.threshold) == (FlushStrategy.HYBRID_SUMMARY, 0.8)
    assert (support.flush.oldest, support.flush.summary_tokens, support.locks.flush) == (
        0.3,
        500,
        90,
    )
    assert (support.eviction.policy, support.eviction.keywords) == (
        EvictionPolicy.PRIORITY,
        ["error"],
    )
    assert (support.privacy.redact, support.privacy.never_keep_roles) == (
        [r"\b\d{3}-\d{2}-\d{4}\b"],
        ["tool"],
    )
    assert policies.threads["user-preferences"].ttl == 30 * 86_400
    research = policies.threads["research-findings"]
    assert (research.type, research.max_messages) == (PolicyType.MESSAGE_COUNT_BASED, 100)
    user = policies.threads["user_memory"]
    assert (user.flush.strategy, user.flush.threshold, user.flush.target) == (
        FlushStrategy.SIMPLE_FIFO,
        0.4,
        0.2,
    )
    variables = {
        "workflow": {"id": "w", "input": {"user_id": "ann", "conversationId": "c"}},
        "user": {"id": "bob"},
    }
    assert rendered_key(user.key or "", variables) == "user:ann"
    assert {
        name: [
            (each.id, rendered_key(each.key or "", variables), each.mode)
            for each in agent.references()
        ]
        for name, agent in policies.agents.items()
    } == {
        "simple": [("customer-support-context", "support-c", AccessMode.READ_WRITE)],
        "several": [
            ("customer-support-context", "bob", AccessMode.READ_WRITE),
            ("user-preferences", "bob", AccessMode.READ_WRITE),
        ],
        "advanced": [
            ("user-preferences", "prefs-bob", AccessMode.READ_ONLY),
            ("research-findings", "research-w", AccessMode.READ_WRITE),
        ],
    }


def test_the_policy_file_is_printed_without_an_output_file(project: Path) -> None:
    answer = convert(str(project))
    assert parse_policies(answer.stdout, "printed").threads.keys() == {
        "customer-support-context",
        "user-preferences",
        "research-findings",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "resource: memory\nid: a\ntype: token_based\nmax_context_ratio: 0.5",
            "max_context_ratio needs model",
        ),
        ("memories: [{id: a, key: '{{ .timestamp }}'}]", "not 'timestamp'"),
        ("name: nothing", "no memory resource"),
        ("[1]", "must be an object"),
        ("{", "not YAML"),
        ("resource: memory\nid: 2026-99-99", "not YAML"),
        ("resource: memory\nid: a\nflushing: {threshold: abc}", "do not have the expected form"),
    ],
)
def test_an_unconvertible_file_is_refused_with_the_reason(
    text: str, message: str, tmp_path: Path
) -> None:
    """If a file cannot be converted, the command says why, exits with code 2 and writes no output
    file.
    """
    source = tmp_path / "a.yaml"
    output = tmp_path / "out.yaml"
    source.write_text(text, encoding="utf-8")
    answer = convert(str(source), "-o", str(output))
    assert answer.exit_code == 2
    assert message in answer.stderr
    assert not output.exists()


def test_a_share_of_the_context_window_needs_the_option_model(tmp_path: Path) -> None:
    source = tmp_path / "a.yaml"
    source.write_text(
        "resource: memory\nid: a\ntype: token_based\nmax_context_ratio: 0.5", encoding="utf-8"
    )
    answer = convert(str(source), "--model", "gpt-4o")
    assert parse_policies(answer.stdout, "printed").threads["a"].model == "gpt-4o"


def test_a_file_may_have_several_resources(tmp_path: Path) -> None:
    """A file may contain several YAML documents, such as a memory resource and an agent that uses
    it.
    """
    path = tmp_path / "resources.yaml"
    agent = "{resource: agent, id: helper, memories: [{id: chat, mode: read-only}]}"
    memory = '{resource: memory, id: chat, type: buffer, memory_key: "chat-{{ .workflow.id }}"}'
    path.write_text(f"{memory}\n---\n{agent}\n", encoding="utf-8")
    result = convert(str(path))
    assert result.exit_code == 0, result.output
    policies = parse_policies(result.stdout, "converted")
    assert policies.threads["chat"].key == "chat-{{ workflow.id }}"
    assert [(each.id, each.mode) for each in policies.agents["helper"].references()] == [
        ("chat", AccessMode.READ_ONLY)
    ]
    assert "not converted" not in result.output


def test_resources_that_only_an_agent_names_are_created_with_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text('{id: a, memories: [chat, notes], memory_key: "{{ .user.id }}"}', "utf-8")
    result = convert(str(path))
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [
        "created with the defaults: threads.chat",
        "created with the defaults: threads.notes",
    ]
    policies = parse_policies(result.stdout, "printed")
    assert policies.threads["chat"] == policies.threads["notes"] == DEFAULT_POLICY
    assert policies.missing == ()


def test_an_output_file_that_cannot_be_written_is_named(project: Path) -> None:
    answer = CliRunner().invoke(
        application("policies"),
        ["policies", "convert", str(project), "-o", str(project / "x.yaml")],
    )
    assert (answer.exit_code, f"--output {project}/x.yaml: " in answer.stderr) == (2, True)

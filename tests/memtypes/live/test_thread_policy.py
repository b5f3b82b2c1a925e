"""The schema of the thread policy file, which sets the limits of conversation threads."""

from __future__ import annotations

from textwrap import dedent

import pytest

from memtypes.config import InvalidConfigFile
from memtypes.live.thread_policy import parse_policies

MISTAKES = [
    *(
        (
            f"threads: {{a: {{{kind}max_messages: 12, {strategy}keep_first: 8, keep_last: 8}}}}}}",
            "flush keeps 16 turns (keep_first 8 and keep_last 8), but the thread has at most 12",
        )
        for kind in ("", "type: message_count_based, ")
        for strategy in ("flush: {", "flush: {strategy: hybrid_summary, ")
    ),
    ("threads: {a: {type: token_based}}", "threads.a: type token_based needs max_tokens"),
    ("threads: {a: {max_tokens: many}}", "threads.a.max_tokens"),
    ("threads: {a: {max_token: 5}}", "threads.a.max_token"),
    ("threads: {a: {ttl: soon}}", "threads.a.ttl: must be a duration"),
    ("threads: {a: {allocation: {system: 0.5, short_term: 0.6}}}", "must add up to 1, not 1.1"),
    ("threads: {a: {flush: {strategy: magic}}}", "threads.a.flush.strategy"),
    ("threads: {a: {flush: {threshold: 0.4}}}", "target 0.5 must be below threshold 0.4"),
    ("threads: {a: {privacy: {redact: ['(']}}}", "is not a valid RE2 pattern"),
    ("threads: {a: {privacy: {redact: ['x*']}}}", "must not match the empty string"),
    ("threads: {a: {key: '{{ user.__class__ }}'}}", "must not read '__class__'"),
    ("threads: {a: {key: '{% for x in user %}x{% endfor %}'}}", "not for"),
    ("threads: {a: {key: '{{ secret.id }}'}}", "not 'secret'"),
    ("threads: {a: {key: 'chat:{user.id}'}}", "write {{ user.id }}"),
    ("threads: {a: {key: 'chat:{# user.id #}'}}", "must not have a comment"),
    ("threads: {a: {key: '{{ user.id }}{{ session.id }}'}}", "needs text between two members"),
    ("threads: {a: {key: '{{ user.id }}%20{{ session.id }}'}}", "must not begin with %"),
    ("threads: {a: {max_context_ratio: 0.5}}", "needs model"),
    ("threads: {a: {}}\nagents: {x: {memory: a, memories: [a]}}", "either memory"),
    ("threads: {a: {key: {{ session.id }}}}", "in quotes"),
    ("threads: [", "not YAML"),
    ("threads: {a: {max_turns: 5}, a: {max_turns: 6}}", "the key 'a' is repeated"),
    ("just words", "the file: "),
    ("threads: {a: }", "threads.a: "),
    ("threads: [a]", "threads: "),
    ("thread: {a: {}}", "thread: "),
    (
        "threads: {a: {max_tokens: 0}}",
        "threads.a.max_tokens: Input should be greater than or equal to 1 (got 0)",
    ),
    ("threads: {a: {max_tokens: -5}}", "(got -5)"),
    ("threads: {a: {max_messages: 2.5}}", "threads.a.max_messages"),
    ("threads: {a: {max_turns: '50'}}", "threads.a.max_turns"),
    ("threads: {a: {max_context_ratio: 50, model: m}}", "threads.a.max_context_ratio"),
    ("threads: {a: {allocation: {system: 1.5, short_term: -0.5}}}", "threads.a.allocation.system"),
    ("threads: {a: {allocation: {sytem: 1}}}", "threads.a.allocation.sytem"),
    ("threads: {a: {ttl: 0s}}", "threads.a.ttl: Input should be greater than or equal to 1"),
    ("threads: {a: {ttl: 3w}}", "must be a duration such as 30s, 5m, 3h or 2d (got '3w')"),
    ("threads: {a: {ttl: true}}", "threads.a.ttl"),
    (
        "threads: {a: {eviction: {policy: mru}}}",
        "threads.a.eviction.policy: Input should be 'fifo', 'lru' or 'priority'",
    ),
    ("threads: {a: {eviction: {keywords: error}}}", "threads.a.eviction.keywords"),
    ("threads: {a: {locks: {append: never}}}", "threads.a.locks.append: must be a duration"),
    (
        "threads: {a: {privacy: {never_keep_roles: [The Tool]}}}",
        "threads.a.privacy.never_keep_roles.0",
    ),
    ("threads: {a: {key: '{{ session.id '}}", "is not a valid template"),
    ("threads: {a: {key: '{{ .session.id }}'}}", "write members as {{ workflow.id }}"),
    ("resource: memory\nid: a\ntype: token_based\nmax_context_ratio: 0.5", "needs model"),
    ("agents: [{memory: b}]", "an agent that refers to memory resources needs an id"),
    ("agents: [{id: a}]", "no agent that refers to one"),
    ("threads: {a: {key: ''}}", "threads.a.key: a template must have 1 to 2000 characters"),
    ("threads: {a: {key: '{{ session }}'}}", "not a whole variable"),
    ("threads: {a: {}}\nagents: {x: {}}", "agents.x: must have either memory"),
    ("threads: {a: {}}\nagents: {x: {memories: []}}", "agents.x.memories"),
    (
        "threads: {a: {type: message_count_based, max_messages: 100, max_turns: 50}}",
        (
            "would start at 80 messages (threshold 0.8 of max_messages 100), but max_turns 50 "
            "allows fewer"
        ),
    ),
    (
        (
            "threads: {a: {type: message_count_based, max_messages: 2, flush: {strategy: "
            "hybrid_summary}}}"
        ),
        "could never remove a turn: 2 turns always stay",
    ),
    (
        "threads: {a: {type: token_based, max_tokens: 9, max_turns: 1}}",
        "could never remove a turn: 1 turns always stay",
    ),
    ("threads: {a: {allocation: {system: 1}}}", "allocation.short_term must be above 0"),
    ("threads: {a: {}}\nagents: {x: {memories: [a, a]}}", "must name each resource once"),
    (
        "threads: {a: {}}\nagents: {x: {memories: [{id: a, mode: readonly}]}}",
        "'read-write' or 'read-only'",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_the_error_for_an_invalid_policy_file_names_the_key_and_the_reason(
    text: str, message: str
) -> None:
    with pytest.raises(InvalidConfigFile) as error:
        parse_policies(text, "p.yaml")
    assert "p.yaml" in str(error.value)
    assert message in str(error.value)


def test_agents_refer_to_thread_policies_in_three_forms() -> None:
    """An agent refers to one thread policy, to several with one key, or to several with separate
    keys and modes.
    """
    text = """
    threads: {a: {}, b: {}}
    agents:
      one: {memory: a, key: "k:{{ user.id }}"}
      two: {memories: [a, b], key: "k"}
      three: {memories: [{id: a, key: "own", mode: read-only}, {id: b}], key: "shared"}
    """
    agents = parse_policies(text, "p.yaml").agents
    references = {
        name: [
            (reference.id, reference.key, str(reference.mode)) for reference in agent.references()
        ]
        for name, agent in agents.items()
    }
    assert references["one"] == [("a", "k:{{ user.id }}", "read-write")]
    assert references["two"] == [("a", "k", "read-write"), ("b", "k", "read-write")]
    assert references["three"] == [("a", "own", "read-only"), ("b", "shared", "read-write")]


LEVELS = [
    # One resource, several with one key, several with separate keys and modes, as Compozy has them
    (
        """
        agents:
          - id: simple
            memory: customer-support-context
            memory_key: "support-{{ .workflow.input.conversationId }}"
        """,
        [("customer-support-context", "support-{{ workflow.input.conversationId }}", "read-write")],
    ),
    (
        """
        id: several
        memory: true
        memories:
          - customer-support-context
          - user-preferences
        memory_key: "shared-{{ .user.id }}"
        """,
        [
            ("customer-support-context", "shared-{{ user.id }}", "read-write"),
            ("user-preferences", "shared-{{ user.id }}", "read-write"),
        ],
    ),
    (
        """
        resource: agent
        id: each
        memories:
          - id: customer-support-context
            mode: read-write
            key: "support-{{ .session.id }}"
          - id: user-preferences
            mode: read-only
            key: "prefs-{{ .user.id }}"
        """,
        [
            ("customer-support-context", "support-{{ session.id }}", "read-write"),
            ("user-preferences", "prefs-{{ user.id }}", "read-only"),
        ],
    ),
    (
        """
        agents:
          mapped: {memories: [user-preferences], memory_key: "p-{{ .user.id }}"}
        """,
        [("user-preferences", "p-{{ user.id }}", "read-write")],
    ),
]


@pytest.mark.parametrize(("text", "references"), LEVELS)
def test_agents_load_in_the_forms_of_a_compozy_project(
    text: str, references: list[tuple[str, str, str]]
) -> None:
    """The resources that they name and the file lacks have the defaults, which the notes say."""
    policies = parse_policies(dedent(text), "p.yaml")
    ((_, agent),) = policies.agents.items()
    loaded = [(entry.id, entry.key, str(entry.mode)) for entry in agent.references()]
    assert loaded == references
    assert list(policies.missing) == [name for name, _, _ in references]
    for name, note in zip(policies.missing, policies.notes, strict=True):
        assert note.startswith(f"threads.{name} is not defined and an agent refers to it")
        assert f"{name}: {{type: message_count_based, max_messages: 50" in note


def test_a_projects_file_loads_with_what_has_no_effect_noted() -> None:
    text = """
    memories:
      - {id: chat, type: token_based, max_tokens: 900, priority_blocks: [1]}
    agents:
      - {id: a, memory: chat, memory_key: "c-{{ .user.id }}"}
    threads: {own: {}}
    """
    policies = parse_policies(text, "p.yaml")
    assert policies.threads.keys() == {"own", "chat"}
    assert policies.threads["chat"].max_tokens == 900
    assert policies.notes == ["memories.chat.priority_blocks has no effect"]

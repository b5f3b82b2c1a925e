"""The schema of the thread policy file, which sets the limits of conversation threads."""

from __future__ import annotations

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
    ("threads: {a: {key: '{{ user.id }}{{ session.id }}'}}", "needs text between two members"),
    ("threads: {a: {key: '{{ user.id }}%20{{ session.id }}'}}", "must not begin with %"),
    ("threads: {a: {max_context_ratio: 0.5}}", "needs model"),
    ("agents: {x: {memory: a}}", "agents.x refers to 'a'"),
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
    ("resource: memory\nid: a", "`remembrancer policies convert FILE` rewrites them"),
    ("agents: [{id: a, memory: b}]", "`remembrancer policies convert FILE` rewrites them"),
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

"""Policies, keys and choices: pure."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.conversations.summary import extract
from memtypes.config.thread_policies import BadPolicies, parse
from memtypes.live.eviction import ThreadLimits, ThreadSize, flush_due, turns_to_flush
from memtypes.live.templates import rendered
from memtypes.live.thread_policy import Flush, FlushStrategy
from memtypes.live.turns import Turn
from memtypes.model.errors import InvalidRequest
from tests.fakes import FakeTokenizer

NOW = datetime(2026, 3, 1, tzinfo=UTC)

MISTAKES = [
    ("threads: {a: {type: token_based}}", "threads.a: type token_based needs max_tokens"),
    ("threads: {a: {max_tokens: many}}", "threads.a.max_tokens"),
    ("threads: {a: {max_token: 5}}", "threads.a.max_token"),
    ("threads: {a: {ttl: soon}}", "threads.a.ttl: must be a duration"),
    ("threads: {a: {allocation: {system: 0.5, short_term: 0.6}}}", "must add up to 1, not 1.1"),
    ("threads: {a: {flush: {strategy: magic}}}", "threads.a.flush.strategy"),
    ("threads: {a: {flush: {threshold: 0.4}}}", "target 0.5 must be below threshold 0.4"),
    ("threads: {a: {privacy: {redact: ['(']}}}", "no pattern that RE2 takes"),
    ("threads: {a: {privacy: {redact: ['x*']}}}", "must not match the empty text"),
    ("threads: {a: {key: '{{ user.__class__ }}'}}", "must not read '__class__'"),
    ("threads: {a: {key: '{% for x in user %}x{% endfor %}'}}", "not for"),
    ("threads: {a: {key: '{{ secret.id }}'}}", "not 'secret'"),
    ("threads: {a: {key: '{{ user.id }}{{ session.id }}'}}", "needs text between two members"),
    ("threads: {a: {max_context_ratio: 0.5}}", "needs model"),
    ("agents: {x: {memory: a}}", "agents.x refers to 'a'"),
    ("threads: {a: {}}\nagents: {x: {memory: a, memories: [a]}}", "either memory"),
    ("threads: [", "not YAML"),
    ("threads: {a: {max_turns: 5}, a: {max_turns: 6}}", "'a' is there twice"),
    ("threads: {a: {key: {{ session.id }}}}", "in quotes"),
    ("threads: {a: }", "threads.a: "),
    ("threads: [a]", "threads: "),
    ("just words", "the file: "),
    ("thread: {a: {}}", "thread: "),
    ("threads: {a: {max_tokens: 0}}", "threads.a.max_tokens: Input should be greater than or equal to 1 (got 0)"),
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
    ("threads: {a: {privacy: {never_keep_roles: [The Tool]}}}", "threads.a.privacy.never_keep_roles.0"),
    ("threads: {a: {key: '{{ session.id '}}", "is no template"),
    ("threads: {a: {key: ''}}", "threads.a.key: a template must have 1 to 2000 characters"),
    ("threads: {a: {key: '{{ session }}'}}", "not a whole variable"),
    ("threads: {a: {}}\nagents: {x: {}}", "agents.x: must have either memory"),
    ("threads: {a: {}}\nagents: {x: {memories: []}}", "agents.x.memories"),
    ("threads: {a: {}}\nagents: {x: {memories: [a, a]}}", "must name each resource once"),
    ("threads: {a: {}}\nagents: {x: {memories: [{id: a, mode: readonly}]}}", "'read-write' or 'read-only'"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_a_mistake_is_named_with_its_place(text: str, said: str) -> None:
    """The message has the file, the key and what is allowed."""
    with pytest.raises(BadPolicies) as error:
        parse(text, "p.yaml")
    assert "p.yaml" in str(error.value)
    assert said in str(error.value)


def test_the_documented_policies_are_valid() -> None:
    """Its example is read as it stands."""
    text = (Path(__file__).parents[3] / "ingest" / "conversations" / "README.md").read_text(encoding="utf-8")
    example = next(block for block in text.split("```yaml\n")[1:] if block.startswith("threads:")).split("```")[0]
    policies = parse(example, "threads.md")
    assert policies.threads["support"].flush.strategy is FlushStrategy.HYBRID_SUMMARY
    assert [one.mode for one in policies.agents["helper"].references()] == ["read-write", "read-only"]


def test_an_agent_names_its_resources_at_three_levels() -> None:
    """One id; several with a shared key; each with its own key and mode, the shared one where it has none."""
    text = """
    threads: {a: {}, b: {}}
    agents:
      one: {memory: a, key: "k:{{ user.id }}"}
      two: {memories: [a, b], key: "k"}
      three: {memories: [{id: a, key: "own", mode: read-only}, {id: b}], key: "shared"}
    """
    agents = parse(text, "p.yaml").agents
    told = {name: [(one.id, one.key, str(one.mode)) for one in agent.references()] for name, agent in agents.items()}
    assert told["one"] == [("a", "k:{{ user.id }}", "read-write")]
    assert told["two"] == [("a", "k", "read-write"), ("b", "k", "read-write")]
    assert told["three"] == [("a", "own", "read-only"), ("b", "shared", "read-write")]


@settings(deadline=None)
@given(st.lists(st.text("ab:.@-_ {}/é", max_size=3), min_size=4, max_size=4))
def test_two_scopes_never_share_a_key(ids: list[str]) -> None:
    """A key is refused, or no other values give it."""
    template = "{{ user.id }}:{{ session.id }}"
    keys = []
    for user, session in (ids[:2], ids[2:]):
        try:
            keys.append(rendered(template, {"user": {"id": user}, "session": {"id": session}}))
        except InvalidRequest:
            return
    assert (keys[0] == keys[1]) == (ids[:2] == ids[2:])


def test_a_separator_in_a_value_is_refused() -> None:
    """The values "a:b" and "c" would read as "a" and "b:c"."""
    with pytest.raises(InvalidRequest, match="must not contain ':'"):
        rendered("{{ user.id }}:{{ session.id }}", {"user": {"id": "a:b"}, "session": {"id": "c"}})
    with pytest.raises(InvalidRequest, match="does not resolve"):
        rendered("{{ user.id }}", {"user": {}})
    with pytest.raises(InvalidRequest, match="__"):
        rendered("__{{ user.id }}", {"user": {"id": "a"}})


def test_the_threshold_is_exact() -> None:
    """1,500 of 2,000 is not due, 1,600 is."""
    limits = ThreadLimits(2_000, None, 50)
    assert [flush_due(tokens, 1, limits, 0.8) for tokens in (1_500, 1_599, 1_600)] == [False, False, True]


def turns_of(sizes: list[int]) -> list[Turn]:
    """Turns of these tokens."""
    return [Turn("user", f"turn {index}.", size, NOW, index=index) for index, size in enumerate(sizes)]


def test_lru_takes_what_was_not_used() -> None:
    """Not what is oldest."""
    used = {0: 9, 1: 1, 2: 2, 3: 3}
    flush = Flush(strategy=FlushStrategy.LRU)
    left = turns_to_flush(flush, turns_of([10, 10, 10, 10]), used, ThreadSize(20, 4))
    assert [turn.index for turn in left] == [1, 2]
    large = turns_to_flush(
        Flush(strategy=FlushStrategy.TOKEN_AWARE_LRU), turns_of([5, 5, 100, 5]), used, ThreadSize(50, 4)
    )
    assert [turn.index for turn in large] == [2]


@settings(deadline=None)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=40), st.sampled_from(FlushStrategy), st.integers(0, 2_000))
def test_a_flush_reaches_its_goal_or_takes_all_it_may(sizes: list[int], strategy: FlushStrategy, goal: int) -> None:
    """First and last stay in a summarising flush; what leaves is in order and unique."""
    turns = turns_of(sizes)
    left = turns_to_flush(Flush(strategy=strategy), turns, {}, ThreadSize(goal, 1_000))
    indices = [turn.index for turn in left]
    assert indices == sorted(set(indices))
    rest = sum(sizes) - sum(turn.tokens for turn in left)
    bound = 2 if strategy is FlushStrategy.HYBRID_SUMMARY else 0
    assert rest <= goal or len(turns) - len(left) <= bound


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=80), max_size=10), st.integers(1, 60))
def test_a_summary_is_within_its_limit_and_the_same_again(contents: list[str], limit: int) -> None:
    """Whatever was said."""
    turns = [Turn("user", content, 1, NOW, index=index) for index, content in enumerate(contents)]
    first = extract("", turns, limit, FakeTokenizer())
    assert FakeTokenizer().count(first) <= limit
    assert first == extract("", turns, limit, FakeTokenizer())

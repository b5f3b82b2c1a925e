"""Random turns under random policies: a thread refuses a turn only if too much is pinned, loses no
turn, and lets important turns go last.
"""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.conversations.evicted_turns import EvictedTurnWriter
from ingest.conversations.flushing import Flusher
from ingest.conversations.incoming import TurnScreen
from ingest.conversations.policies import PolicyLookup
from ingest.conversations.summary import summary_by_rule
from ingest.conversations.threads import OpenRequest, Threads
from ingest.screening.redaction.redactor import Redactor
from memtypes.live.eviction import ThreadLimits
from memtypes.live.thread_policy import (
    Eviction,
    EvictionPolicy,
    FlushStrategy,
    Policies,
    PolicyType,
    ThreadPolicy,
)
from memtypes.live.turns import NewTurn, Turn
from memtypes.llms.registry import Registry
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope
from tests.fakes import FakeTokenizer
from tests.fakes_locks import FakeLocks
from tests.fakes_memories import InMemoryStore
from tests.fakes_threads import FakeThreads
from tests.fakes_workflows import FakeWorkflows
from tests.ingest.conversations.builders import ingestor_over

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCOPE = Scope("acme", "n")
TURNS = 500


@st.composite
def thread_policies(draw: st.DrawFn) -> ThreadPolicy:
    """Any valid thread policy with at least one limit so low that 500 turns exceed it."""
    few = {
        "max_tokens": st.integers(20, 400),
        "max_messages": st.integers(2, 40),
        "max_turns": st.integers(2, 60),
    }
    many = {
        "max_tokens": [None, 100, 5_000],
        "max_messages": [None, 20, 100],
        "max_turns": [None, 30, 600],
    }
    limit = draw(st.sampled_from(list(few)))
    threshold = draw(st.floats(0.1, 1.0))
    fields: dict[str, Any] = {
        "type": draw(st.sampled_from(PolicyType)),
        **{name: draw(few[name] if name == limit else st.sampled_from(many[name])) for name in few},
        "flush": {
            "strategy": draw(st.sampled_from(FlushStrategy)),
            "threshold": threshold,
            "target": draw(st.floats(0.0, 0.99)) * threshold,
            "keep_first": draw(st.integers(0, 4)),
            "keep_last": draw(st.integers(0, 4)),
            "oldest": draw(st.floats(0.1, 1.0)),
            "summary_tokens": draw(st.integers(1, 200)),
        },
        "eviction": {"policy": draw(st.sampled_from(EvictionPolicy)), "keywords": ["error"]},
    }
    try:
        return ThreadPolicy.model_validate(fields)
    except ValueError:
        flush = {**fields["flush"], "keep_first": 1, "keep_last": 1}
        return ThreadPolicy.model_validate({**fields, "type": "buffer", "flush": flush})


def threads_with(policy: ThreadPolicy, store: FakeThreads) -> Threads:
    """The threads service with one resource, `r`, that has this policy. Evicted turns stay queued
    in `store`.
    """
    lookup = PolicyLookup(Registry, Policies(threads={"r": policy}))
    tokenizer = FakeTokenizer()
    screen = TurnScreen(Redactor(), lookup, tokenizer, lambda: NOW)
    flusher = Flusher(store, lookup, summary_by_rule, tokenizer, FakeLocks(), lambda: NOW)
    writer = EvictedTurnWriter(FakeThreads(), ingestor_over(InMemoryStore()), lambda: NOW)
    return Threads(store, lookup, screen, flusher, writer, lambda: NOW, FakeWorkflows())


def has_room(limits: ThreadLimits, pinned: list[Turn], tokens: int) -> bool:
    """Whether a turn with `tokens` tokens fits into the limits beside the pinned turns."""
    total = sum(turn.tokens for turn in pinned) + tokens
    return (limits.tokens is None or total <= limits.tokens) and len(pinned) + 1 <= limits.count


def importance(turn: Turn) -> int:
    """0 for a turn that may leave first, 1 for one with a keyword, 2 for a pinned one."""
    return 2 if turn.pinned else int("error" in turn.content)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(thread_policies(), st.integers(0, 10**9))
async def test_a_turn_is_refused_only_if_flushing_could_not_make_room(
    policy: ThreadPolicy, seed: int
) -> None:
    """A thread refuses a turn only if the turn exceeds the limits together with the pinned turns.

    Every accepted turn is unchanged, in the thread or in the queue of evicted turns.
    """
    store = FakeThreads()
    random = Random(seed)  # noqa: S311 - test data
    threads = threads_with(policy, store)
    limits = threads.policies.limits(policy)
    thread = (await threads.open(SCOPE, OpenRequest(resource="r"))).thread
    largest = min(limits.tokens or 80, 80)
    turns: list[Turn] = []
    for number in range(TURNS):
        role = random.choices(["user", "assistant", "tool", "system"], [10, 10, 5, 1])[0]
        text = " ".join(["word"] * random.choice([1, 3, largest, random.randint(1, largest)]))
        new = NewTurn(
            role=role, content=text, pinned=random.random() < 0.01, metadata={"number": number}
        )
        turns_before = list((await store.read(SCOPE, thread.id)).turns)
        try:
            turn = (await threads.append(SCOPE, thread.id, new, None)).turn
            assert turn is not None
            turns.append(turn)
        except InvalidRequest:
            pinned = [turn for turn in turns_before if turn.pinned]
            room = limits.most_pinned if new.pinned else limits
            assert not has_room(room, pinned, FakeTokenizer().count(text))
        content = await store.read(SCOPE, thread.id)
        assert limits.tokens is None or content.thread.tokens <= limits.tokens
        assert len(content.turns) <= limits.count
    queued = [turn for batch in await store.pending(SCOPE, TURNS) for turn in batch.turns]
    live = (await store.read(SCOPE, thread.id)).turns
    assert sorted([*queued, *live], key=lambda turn: turn.index) == turns


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(thread_policies(), st.integers(0, 10**9))
async def test_under_priority_no_important_turn_leaves_before_a_plain_one(
    policy: ThreadPolicy, seed: int
) -> None:
    """Under any limits and flush strategy, a turn with a keyword stays while a turn without one
    could leave, and a pinned turn always stays.

    Only the turn that was just appended and the newest system turn do not count as able to leave.
    """
    eviction = Eviction(policy=EvictionPolicy.PRIORITY, keywords=["error"])
    store = FakeThreads()
    random = Random(seed)  # noqa: S311 - test data
    threads = threads_with(policy.model_copy(update={"eviction": eviction}), store)
    thread = (await threads.open(SCOPE, OpenRequest(resource="r"))).thread
    before: list[Turn] = []
    for _ in range(TURNS // 2):
        role = random.choices(["user", "assistant", "tool", "system"], [10, 10, 5, 2])[0]
        text = " ".join(["error"] * (random.random() < 0.2) + ["word"] * random.randint(1, 10))
        new = NewTurn(role=role, content=text, pinned=random.random() < 0.02)
        try:
            await threads.append(SCOPE, thread.id, new, None)
        except InvalidRequest:
            continue
        after = list((await store.read(SCOPE, thread.id)).turns)
        instructions = [turn.index for turn in after if turn.role == "system"][-1:]
        plain = [
            turn for turn in after[:-1] if turn.index not in instructions and importance(turn) == 0
        ]
        left = [turn for turn in before if turn not in after]
        assert not any(turn.pinned for turn in left)
        assert not plain or not any(map(importance, left))
        before = after

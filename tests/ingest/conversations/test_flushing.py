"""A flush under bad conditions: a thread that changes meanwhile, locks that are away, a model that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from ingest.conversations.flushing import Flusher, FlushRequest
from ingest.conversations.policies import PolicyLookup
from ingest.conversations.summary import RuleSummariser, Summariser, extract
from memtypes.config.thread_policies import parse
from memtypes.live.eviction import ThreadLimits
from memtypes.live.turns import Turn
from memtypes.llms.registry import Registry
from memtypes.model.errors import Overloaded, Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.locks import Lease, LockRequest
from memtypes.ports.threads import AppendTurn, NewThread, Removal
from tests.fakes import FakeTokenizer
from tests.fakes_threads import FakeThreads, FreeLocks

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCOPE = Scope("acme", "n")
POLICIES = """
threads:
  told: {max_messages: 4, flush: {strategy: hybrid_summary, summary_tokens: 5}}
  ruled: {max_messages: 4, flush: {strategy: hybrid_summary, summary_tokens: 5, llm: false}}
"""


class Changing(FakeThreads):
    """Another takes the turns out first, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def remove(self, scope: Scope, removal: Removal) -> bool:
        """Not yet."""
        self.times -= 1
        return self.times < 0 and await super().remove(scope, removal)


class Away(FreeLocks):
    """Locks that can't be had."""

    async def acquire(self, _request: LockRequest) -> Lease:
        """Never."""
        raise Unavailable("locks are away")


class Model(Summariser):
    """Says the same always, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    async def summary(self, _before: str, _turns: Sequence[Turn], _limit: int) -> str:
        """Two tokens."""
        self.asked += 1
        return "by model"


async def flusher(store: FakeThreads, model: Model, resource: str = "told", locks: FreeLocks | None = None) -> Flusher:
    """Over a thread `t` of four turns, which is full."""
    await store.create(SCOPE, NewThread("t", 60, NOW, resource=resource, key="k"))
    for number in range(4):
        turn = Turn("user", f"We decided on {number}.", 4, NOW)
        await store.append(SCOPE, AppendTurn("t", turn, "0", ThreadLimits(None, 4, 9)))
    rules = PolicyLookup(Registry, parse(POLICIES, "p.yaml"))
    return Flusher(store, rules, model, FakeTokenizer(), locks or FreeLocks(), lambda: NOW)


async def test_a_flush_chooses_again_when_turns_left_meanwhile() -> None:
    """The model is asked once: from then on the rules are quick enough to keep up."""
    store, model = Changing(2), Model()
    done = await (await flusher(store, model)).flush(SCOPE, "t", FlushRequest())
    assert done.flushed == 2
    assert model.asked == 1
    assert done.summary == extract("", (await store.pending(SCOPE, 1))[0].turns, 4, FakeTokenizer())


async def test_a_thread_that_never_rests_is_left_for_later() -> None:
    """After a few tries it is overloaded; nothing has left."""
    store = Changing(99)
    with pytest.raises(Overloaded):
        await (await flusher(store, Model())).flush(SCOPE, "t", FlushRequest())
    assert len((await store.read(SCOPE, "t")).turns) == 4


async def test_long_turns_are_summarised_by_the_same_rules() -> None:
    """Beside the event loop."""
    long = [
        Turn("user", "We decided on this. " * 2_000, 1, NOW, index=0),
        Turn("user", "It must hold.", 1, NOW, index=1),
    ]
    text = await RuleSummariser(FakeTokenizer()).summary("", long, 20)
    assert text == extract("", long, 20, FakeTokenizer()) == "user: We decided on this.\nuser: It must hold."


@pytest.mark.parametrize(("resource", "asked"), [("told", 1), ("ruled", 0)])
async def test_a_policy_says_whether_a_model_is_asked(resource: str, asked: int) -> None:
    """The rules do it where it may not be."""
    store, model = FakeThreads(), Model()
    done = await (await flusher(store, model, resource)).flush(SCOPE, "t", FlushRequest())
    assert model.asked == asked
    assert (done.summary == "by model") == bool(asked)


async def test_a_flush_by_threshold_fails_no_turn() -> None:
    """Locks that are away cost the flush and nothing else; one that is asked for says so."""
    away = await flusher(FakeThreads(), Model(), locks=Away())
    assert await away.try_flush(SCOPE, "t") == 0
    with pytest.raises(Unavailable):
        await away.flush(SCOPE, "t", FlushRequest())

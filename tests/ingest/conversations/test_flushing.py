"""Flushes of threads, which replace old turns with a summary: concurrent changes, thresholds and
failures.
"""

from __future__ import annotations

import pytest

from ingest.conversations.flushing import Flusher, FlushRequest, FlushResult
from ingest.conversations.policies import PolicyLookup
from ingest.conversations.summary import Summariser, SummaryRequest, extract, summary_by_rule
from memtypes.live.eviction import ThreadLimits
from memtypes.live.thread_policy import parse_policies
from memtypes.live.turns import Turn
from memtypes.llms.registry import Registry, default_file
from memtypes.model.errors import Overloaded, Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.threads import AppendTurn, NewThread, Removal
from tests.fakes import FakeTokenizer
from tests.fakes_locks import FakeLocks, UnavailableLocks
from tests.fakes_threads import FakeThreads
from tests.ingest.conversations.builders import NOW

pytestmark = pytest.mark.anyio
SCOPE = Scope("acme", "n")
POLICIES = """
threads:
  by_model: {max_messages: 4, flush: {strategy: hybrid_summary, summary_tokens: 5}}
  by_rule: {max_messages: 4, flush: {strategy: hybrid_summary, summary_tokens: 5, llm: false}}
"""


class ContestedThreads(FakeThreads):
    """A thread store that removes no turns in the first `times` calls, as if another caller had
    removed a turn.
    """

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def remove(self, scope: Scope, removal: Removal) -> int:
        """Remove nothing in the first `times` calls, as if another caller had removed a turn.

        Returns the number of turns removed.
        """
        self.times -= 1
        return await super().remove(scope, removal) if self.times < 0 else 0


class CountingSummariser:
    """A summariser that returns a fixed summary of two tokens and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, _request: SummaryRequest) -> str:
        """A fixed summary of two tokens, whatever the turns are."""
        self.calls += 1
        return "by model"


async def flusher(
    store: FakeThreads,
    summariser: Summariser,
    resource: str = "by_model",
    locks: FakeLocks | None = None,
) -> Flusher:
    """A flusher over `store`, in which the thread `t` is full with four turns."""
    await store.create(SCOPE, NewThread("t", 60, NOW, resource=resource, key="k"))
    for number in range(4):
        turn = Turn("user", f"We decided on {number}.", 4, NOW)
        await store.append(SCOPE, AppendTurn("t", turn, "0", ThreadLimits(None, 4, 9)))
    policies = PolicyLookup(Registry, parse_policies(POLICIES, "p.yaml"))
    return Flusher(store, policies, summariser, FakeTokenizer(), locks or FakeLocks(), lambda: NOW)


async def test_a_flush_selects_again_if_its_turns_were_removed_meanwhile() -> None:
    """If other callers remove the turns that a flush selected, the flush selects other turns and
    tries again.

    Only the first try asks the language model for a summary; later tries use the faster summary by
    rule.
    """
    store = ContestedThreads(2)
    model = CountingSummariser()
    flushed = await (await flusher(store, model)).flush(SCOPE, "t", FlushRequest())
    assert flushed.flushed == 2
    assert model.calls == 1
    removed = (await store.pending(SCOPE, 1))[0].turns
    staying = (await store.read(SCOPE, "t")).turns
    assert flushed.summary == extract(SummaryRequest("", removed, staying, 5, FakeTokenizer()))


async def test_a_flush_gives_up_on_a_thread_that_keeps_changing() -> None:
    """If the thread changes during every attempt, the flush removes no turn and raises
    Overloaded.
    """
    store = ContestedThreads(99)
    with pytest.raises(Overloaded):
        await (await flusher(store, CountingSummariser())).flush(SCOPE, "t", FlushRequest())
    assert len((await store.read(SCOPE, "t")).turns) == 4


class FineTokenizer(FakeTokenizer):
    """A tokenizer with three tokens for each token of FakeTokenizer."""

    def count(self, text: str) -> int:
        """Three times the tokens that FakeTokenizer counts."""
        return 3 * super().count(text)

    def truncate(self, text: str, limit: int) -> str:
        """The beginning of the text with at most `limit` of these tokens."""
        return super().truncate(text, limit // 3)


async def test_a_summary_is_within_its_limit_as_the_tokenizer_of_the_policy_counts() -> None:
    """If a policy's model has a tokenizer of its own, it counts the tokens of the summary too."""
    models = Registry.from_files(default_file())
    policies = parse_policies(
        "threads: {r: {max_messages: 9, model: gpt-4o, flush: {strategy: hybrid_summary}}}", "p"
    )
    lookup = PolicyLookup(lambda: models, policies, {"o200k_base": FineTokenizer()})
    store = FakeThreads()
    await store.create(SCOPE, NewThread("t", 60, NOW, resource="r", key="k"))
    for number in range(9):
        content = f"We decided on the plan number {number}, whose author is Agent {number}."
        turn = Turn("user", content, FineTokenizer().count(content), NOW)
        await store.append(SCOPE, AppendTurn("t", turn, "0", ThreadLimits(None, 9, 9)))
    flushing = Flusher(store, lookup, summary_by_rule, FakeTokenizer(), FakeLocks(), lambda: NOW)
    flushed = await flushing.flush(SCOPE, "t", FlushRequest(force=True))
    removed = (await store.pending(SCOPE, 1))[0].turns
    assert flushed.summary
    assert FineTokenizer().count(flushed.summary) <= sum(turn.tokens for turn in removed) // 2


@pytest.mark.parametrize(("resource", "calls"), [("by_model", 1), ("by_rule", 0)])
async def test_a_policy_decides_whether_a_model_summarises(resource: str, calls: int) -> None:
    """A language model writes the summary if the thread's policy asks for it. Otherwise the summary
    is made by rule.
    """
    model = CountingSummariser()
    flushed = await (await flusher(FakeThreads(), model, resource)).flush(
        SCOPE, "t", FlushRequest()
    )
    assert model.calls == calls
    assert (flushed.summary == "by model") == bool(calls)


async def test_a_flush_below_the_threshold_does_nothing_unless_it_is_forced() -> None:
    store = FakeThreads()
    threads = await flusher(store, CountingSummariser())
    await store.remove(SCOPE, Removal("t", (0,), NOW))
    assert (await threads.flush(SCOPE, "t", FlushRequest())).flushed == 0
    assert (await threads.flush(SCOPE, "t", FlushRequest(force=True))).flushed == 1


async def test_a_failed_flush_does_not_fail_the_append_that_caused_it() -> None:
    """If the lock service is unavailable, an automatic flush (after an append) removes no turns and
    raises no error.

    A flush that a caller requests raises Unavailable.
    """
    away = await flusher(FakeThreads(), CountingSummariser(), locks=UnavailableLocks())
    assert await away.try_flush(SCOPE, "t") == FlushResult(0, 0, 0)
    with pytest.raises(Unavailable):
        await away.flush(SCOPE, "t", FlushRequest())

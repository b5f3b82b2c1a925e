"""What can't be kept blocks nothing, is tried a few times, and is never lost."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from ingest.conversations.evicted_turns import DepartureKeeper
from ingest.conversations.outbox import FIRST_PAUSE, LONGEST_PAUSE, TRIES, Outbox
from ingest.screening.redaction.gate import RedactionGate, Redactor
from ingest.screening.redaction.policy import RuleBook, Rules
from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.live.evicted_turns import Departure, OutboxLoad, ThreadKeeper
from memtypes.live.eviction import Limits
from memtypes.live.turns import Turn
from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.threads import Append, NewThread
from tests.fakes import FakeEmbedder, FakeSparse, FakeStore, FakeTokenizer
from tests.fakes_threads import FakeThreads
from tests.ingest.conversations.parts import keeper_over

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCOPE = Scope("acme", "n")


class Fussy(ThreadKeeper):
    """Fails over what says "poison"."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.kept: list[str] = []

    async def keep(self, _scope: Scope, departure: Departure) -> list[str]:
        """Its first content is its id."""
        content = departure.turns[0].content
        if "poison" in content and self.error is not None:
            raise self.error
        self.kept.append(content)
        return [content]


async def left(*contents: str) -> FakeThreads:
    """Threads that each of these left."""
    store = FakeThreads()
    await store.create(SCOPE, NewThread("t", 60, NOW))
    for content in (*contents, "stays"):
        await store.append(SCOPE, Append("t", Turn("user", content, 1, NOW), "0", Limits(None, 1, 9)))
    return store


@pytest.mark.parametrize("error", [InvalidRequest("refused"), ValueError("a fault")])
async def test_what_is_refused_is_set_aside_after_a_few_tries(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """One try a drain; what lies behind it is kept at the first; it is counted and logged, without its text."""
    store, keeper = await left("poison", "a", "b"), Fussy(error)
    outbox = Outbox(store, keeper, lambda: NOW)
    with caplog.at_level(logging.ERROR):
        assert await outbox.drain(SCOPE) == {"t": ["a", "b"]}
        for tried in range(1, TRIES):
            assert [one.tries for one in await store.departures(SCOPE, 9)] == [tried]
            assert await outbox.drain(SCOPE) == {"t": []}
    load = await outbox.load(SCOPE, "t")
    assert load.waiting == 0
    assert [(one.turns[0].content, one.again_at) for one in load.aside] == [("poison", NOW + FIRST_PAUSE)]
    assert (outbox.tally.kept, outbox.tally.postponed, outbox.tally.set_aside) == (2, TRIES - 1, 1)
    assert "after 3 tries" in caplog.text
    assert "poison" not in caplog.text
    assert 'remembrancer_thread_departures_total{became="set_aside"} 1' in list(outbox.lines())


async def test_what_can_not_be_kept_now_waits_for_as_long_as_it_takes() -> None:
    """It goes behind the others, so they are kept by the next drain, and it is never set aside."""
    store, keeper = await left("poison", "a", "b"), Fussy(Unavailable("away"))
    outbox = Outbox(store, keeper, lambda: NOW)
    for _ in range(3 * TRIES):
        await outbox.drain(SCOPE)
    assert sorted(keeper.kept) == ["a", "b"]
    assert (await outbox.load(SCOPE, "t")).waiting == 1
    keeper.error = None
    assert await outbox.drain(SCOPE) == {"t": ["poison"]}


async def test_a_service_that_starts_tries_again_what_was_set_aside() -> None:
    """Once: under new rules it may be kept."""
    store, keeper = await left("poison"), Fussy(InvalidRequest("refused"))
    outbox = Outbox(store, keeper, lambda: NOW)
    for _ in range(TRIES):
        await outbox.drain(SCOPE)
    assert await outbox.drain_all() == 0
    assert len((await outbox.load(SCOPE, "t")).aside) == 1
    keeper.error = None
    assert await Outbox(store, keeper, lambda: NOW).drain_all() == 1
    assert (await outbox.load(SCOPE, "t")) == OutboxLoad(0)


async def test_what_was_set_aside_is_tried_again_later_each_time() -> None:
    """Once each time, after 10, 20, 40 minutes, and so on up to a day; when it can be kept it is."""
    store, keeper, now = await left("poison"), Fussy(InvalidRequest("refused")), [NOW]
    outbox = Outbox(store, keeper, lambda: now[0])
    await outbox.drain_all()
    for _ in range(TRIES - 1):
        await outbox.drain(SCOPE)
    pauses = []
    for _ in range(10):
        (apart,) = (await outbox.load(SCOPE, "t")).aside
        assert apart.again_at is not None
        pauses.append(apart.again_at - now[0])
        now[0] = apart.again_at - timedelta(seconds=1)
        await outbox.drain_all()
        assert (await outbox.load(SCOPE, "t")).aside == (apart,)
        now[0] = apart.again_at
        await outbox.drain_all()
    assert pauses == [min(timedelta(minutes=10 * 2**times), timedelta(days=1)) for times in range(10)]
    assert outbox.tally.recalled == 10
    keeper.error = None
    now[0] += LONGEST_PAUSE
    assert await outbox.drain_all() == 1


@pytest.mark.parametrize("rules", [{"never_keep_types": frozenset({MemoryType.EPISODIC})}, {"policy": "refuse"}])
async def test_a_memory_that_the_rules_reject_is_no_success(rules: dict[str, object]) -> None:
    """The keeper says that it was refused and why, instead of taking the turns for kept."""
    gates = (RedactionGate(Redactor(RuleBook(default=Rules.model_validate(rules)))),)
    parts = IngestorParts(FakeStore(), FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: NOW, gates)
    keeper = DepartureKeeper(Ingestor(parts), lambda: NOW)
    departure = Departure("t", (Turn("user", "write to ann@example.org", 4, NOW, index=0),), "token")
    with pytest.raises(InvalidRequest, match="rejected") as raised:
        await keeper.keep(SCOPE, departure)
    assert "ann@" not in str(raised.value)


async def test_a_long_departure_becomes_several_memories() -> None:
    """Each turn is in the source of one of them, in the order in which they were said."""
    store = FakeStore()
    keeper = keeper_over(store)
    turns = [Turn("user", f"{index} " + "x" * 150_000, 2, NOW, index=index) for index in (3, 0, 2, 1)]
    ids = await keeper.keep(SCOPE, Departure("t", tuple(turns), "token"))
    kept = await store.get(SCOPE, ids)
    assert [kept[one].source.turns for one in ids] == [[0, 1], [2, 3]]  # type: ignore[union-attr]
    assert await keeper.keep(SCOPE, Departure("t", tuple(turns), "token")) == ids


async def test_a_clock_that_was_put_back_keeps_nothing_from_being_kept() -> None:
    """A turn of the day after tomorrow becomes a memory of now."""
    store = FakeStore()
    turn = Turn("user", "said by a clock that was ahead", 6, NOW + timedelta(days=2), index=0)
    (kept,) = await keeper_over(store).keep(SCOPE, Departure("t", (turn,), "token"))
    assert (await store.get(SCOPE, [kept]))[kept].created_at == NOW


async def test_turns_that_no_memory_can_hold_are_refused() -> None:
    """Instead of a fault."""
    keeper = keeper_over(FakeStore())
    too_long = Turn("user", "x" * 600_000, 1, NOW, index=0)
    with pytest.raises(InvalidRequest, match="make no memory"):
        await keeper.keep(SCOPE, Departure("t", (too_long,), "token"))

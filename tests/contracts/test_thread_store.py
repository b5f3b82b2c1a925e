"""The contract of a store of threads and of what leaves them, on each implementation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from memtypes.live.eviction import USE_ORDER, ThreadLimits
from memtypes.live.turns import Turn
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.ports.threads import MAX_CHAIN, AppendTurn, EvictedTurnStore, NewThread, Removal, Replacement, ThreadStore
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.evicted_turns import RedisEvictedTurns
from memtypes.stores.redis.threads import RedisThreads
from tests.fakes_threads import FakeThreads
from tests.live import LIVE, fresh_scope

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FREE = ThreadLimits(None, None, 1_000)


@dataclass(frozen=True, slots=True)
class Kept:
    """Threads and what left them, in a scope of the test's own."""

    threads: ThreadStore
    left: EvictedTurnStore
    scope: Scope

    async def begin(self, thread_id: str = "t", parent_id: str | None = None, *, lru: bool = False) -> None:
        """A thread."""
        await self.threads.create(self.scope, NewThread(thread_id, 60, NOW, parent_id, lru=lru))

    async def append(
        self, content: str, limits: ThreadLimits = FREE, rank: str | None = "0", thread_id: str = "t"
    ) -> int:
        """The index of a turn of ten tokens; how many it evicted is in `left`."""
        return (await self.threads.append(self.scope, AppendTurn(thread_id, turn(content), rank, limits))).index

    async def indices(self, thread_id: str = "t") -> list[int]:
        """Of the turns that are there."""
        return [one.index for one in (await self.threads.read(self.scope, thread_id)).turns]

    async def gone(self) -> list[list[int]]:
        """The indices of each departure that waits."""
        return [[one.index for one in batch.turns] for batch in await self.left.pending(self.scope, 100)]


@pytest.fixture(params=["fake", *LIVE])
def kept(request: pytest.FixtureRequest) -> Kept:
    """Each implementation."""
    if request.param == "fake":
        fake = FakeThreads()
        return Kept(fake, fake, fresh_scope())
    live: LiveClient = request.getfixturevalue(request.param)
    return Kept(RedisThreads(live), RedisEvictedTurns(live), fresh_scope())


def turn(content: str = "hello", tokens: int = 10, **fields: object) -> Turn:
    """A turn that has no index yet."""
    return Turn("user", content, tokens, NOW, **fields)  # type: ignore[arg-type]


async def test_a_turn_comes_back_as_it_was(kept: Kept) -> None:
    """With every field, under the next index; version, tokens and count go with it."""
    await kept.begin()
    sent = turn("é \n{}", 7, agent_id="a", files=["f"], images=["i"], tool="t", model="m", metadata={"n": [1, None]})
    await kept.append("first")
    done = await kept.threads.append(kept.scope, AppendTurn("t", sent, "0", FREE, expected=1))
    assert (done.index, done.version, done.tokens, done.turns, done.evicted) == (1, 2, 17, 2, 0)
    content = await kept.threads.read(kept.scope, "t")
    assert content.turns[1] == replace(sent, index=1)
    assert (content.thread.version, content.thread.tokens, content.thread.turns) == (2, 17, 2)
    assert await kept.threads.get(kept.scope, "t") == content.thread


async def test_what_is_unknown_is_not_found(kept: Kept) -> None:
    """Every call says so, for an id that does not exist and for one of another scope."""
    await kept.begin()
    for where, thread_id in ((kept.scope, "other"), (fresh_scope(), "t")):
        for call in (
            kept.threads.append(where, AppendTurn(thread_id, turn(), "0", FREE)),
            kept.threads.get(where, thread_id),
            kept.threads.read(where, thread_id),
            kept.threads.page(where, thread_id, 0, 1),
            kept.threads.remove(where, Removal(thread_id, (0,), NOW)),
            kept.threads.replace(where, Replacement(thread_id, ())),
            kept.threads.clear(where, thread_id, None),
            kept.threads.delete(where, thread_id),
            kept.threads.backup(where, "none"),
            kept.threads.create(where, NewThread("child", 60, NOW, thread_id)),
        ):
            with pytest.raises(NotFound):
                await call


async def test_a_resource_and_key_name_one_thread(kept: Kept) -> None:
    """The same again is the same thread; with another parent it is refused; another key is another thread."""
    new = NewThread("t", 60, NOW, resource="r", key="k")
    await kept.begin("p")
    assert await kept.threads.create(kept.scope, new) == "t"
    assert await kept.threads.create(kept.scope, replace(new, thread_id="u")) == "t"
    with pytest.raises(Conflict):
        await kept.threads.create(kept.scope, replace(new, thread_id="u", parent_id="p"))
    assert await kept.threads.create(kept.scope, replace(new, thread_id="u", key="l")) == "u"
    assert await kept.threads.create(kept.scope, replace(new, thread_id="v", resource="s")) == "v"
    await kept.threads.delete(kept.scope, "t")
    assert await kept.threads.create(kept.scope, replace(new, thread_id="w")) == "w"


async def test_a_chain_has_a_greatest_depth(kept: Kept) -> None:
    """Ancestors come oldest first, also those that are gone."""
    await kept.begin("0")
    for number in range(1, MAX_CHAIN):
        await kept.begin(str(number), str(number - 1))
    with pytest.raises(InvalidRequest):
        await kept.begin("deep", str(MAX_CHAIN - 1))
    await kept.threads.delete(kept.scope, "1")
    assert (await kept.threads.get(kept.scope, "3")).ancestors == ("0", "1", "2")


async def test_a_limit_evicts_the_lowest_rank_first(kept: Kept) -> None:
    """Ties leave oldest first, what has no rank never leaves, and what left waits together."""
    await kept.begin()
    for content, rank in (("a", "10000"), ("b", None), ("c", "0"), ("d", "0"), ("e", "10000")):
        await kept.append(content, rank=rank)
    assert await kept.append("f", ThreadLimits(40, None, 100)) == 5
    assert await kept.gone() == [[2, 3]]
    assert await kept.indices() == [0, 1, 4, 5]
    await kept.append("g", ThreadLimits(None, 2, 100))
    assert await kept.gone() == [[2, 3], [5, 0, 4]]
    with pytest.raises(InvalidRequest):
        await kept.append("h", ThreadLimits(10, None, 100))
    assert await kept.indices() == [1, 6]


async def test_use_decides_where_the_order_is_by_use(kept: Kept) -> None:
    """A turn that was shown or used stays, one that was not leaves."""
    await kept.begin(lru=True)
    for content in "abcd":
        await kept.append(content, rank=USE_ORDER)
    shown = await kept.threads.page(kept.scope, "t", 0, 1)
    assert [one.index for one in shown.turns] == [0]
    await kept.threads.use(kept.scope, "t", [2, 99])
    used = (await kept.threads.read(kept.scope, "t")).used
    assert sorted(used, key=lambda index: used[index]) == [1, 3, 0, 2]
    await kept.append("e", ThreadLimits(None, 3, 100), rank=USE_ORDER)
    assert await kept.gone() == [[1, 3]]


async def test_a_turn_too_many_is_refused(kept: Kept) -> None:
    """And nothing is changed: nothing leaves for a turn that does not stay."""
    await kept.begin()
    for content in "ab":
        await kept.append(content)
    with pytest.raises(InvalidRequest):
        await kept.append("c", ThreadLimits(None, None, 2))
    with pytest.raises(VersionConflict) as raised:
        await kept.threads.append(kept.scope, AppendTurn("t", turn(), "0", ThreadLimits(None, 1, 2), expected=1))
    assert raised.value.current_version == 2
    assert (await kept.indices(), await kept.gone()) == ([0, 1], [])


async def test_turns_are_removed_all_or_none(kept: Kept) -> None:
    """A summary takes the place of the one before and is counted; what is gone already stops the whole removal."""
    await kept.begin()
    for content in "abcd":
        await kept.append(content)
    assert await kept.threads.remove(kept.scope, Removal("t", (0, 2), NOW, "sum", 3))
    assert not await kept.threads.remove(kept.scope, Removal("t", (1, 2), NOW))
    thread = await kept.threads.get(kept.scope, "t")
    assert (thread.summary, thread.summary_tokens, thread.tokens, thread.turns) == ("sum", 3, 23, 2)
    assert thread.last_flush_at == "2026-03-01T12:00:00Z"
    assert await kept.threads.remove(kept.scope, Removal("t", (1,), NOW, "new", 5))
    assert (await kept.threads.get(kept.scope, "t")).tokens == 15
    assert await kept.gone() == [[0, 2], [1]]


async def test_replaced_and_cleared_turns_keep_their_indices_to_themselves(kept: Kept) -> None:
    """An index is given once; a backup holds what was there; nothing of it counts as having left."""
    await kept.begin()
    await kept.append("old")
    with pytest.raises(VersionConflict):
        await kept.threads.replace(kept.scope, Replacement("t", (), expected=0))
    version = await kept.threads.replace(kept.scope, Replacement("t", [(turn("new", 4), "0"), (turn("er", 5), None)]))
    assert (version, await kept.indices()) == (2, [1, 2])
    assert (await kept.threads.get(kept.scope, "t")).tokens == 9
    assert await kept.threads.clear(kept.scope, "t", "b") == 2
    assert [(one.index, one.content) for one in await kept.threads.backup(kept.scope, "b")] == [(1, "new"), (2, "er")]
    assert await kept.append("next") == 3
    assert await kept.gone() == []


async def test_what_left_waits_until_it_is_settled(kept: Kept) -> None:
    """In its order, whatever becomes of the thread; the scope is named while something waits."""
    await kept.begin()
    for content in "abc":
        await kept.append(content, ThreadLimits(None, 1, 10))
    await kept.threads.delete(kept.scope, "t")
    first, second = await kept.left.pending(kept.scope, 10)
    assert [one.content for one in (*first.turns, *second.turns)] == ["a", "b"]
    assert (await kept.left.backlog(kept.scope)).waiting == 2
    assert kept.scope in [scope async for scope in kept.left.scopes()]
    await kept.left.acknowledge(kept.scope, first)
    assert await kept.left.pending(kept.scope, 10) == [second]
    await kept.left.acknowledge(kept.scope, second)
    assert kept.scope not in [scope async for scope in kept.left.scopes()]


async def test_what_can_not_be_kept_is_set_aside_and_recalled(kept: Kept) -> None:
    """A postponed departure goes to the end with its tries; one that is set aside rests until its time has come."""
    await kept.begin()
    for content in "abc":
        await kept.append(content, ThreadLimits(None, 1, 10))
    first, _ = await kept.left.pending(kept.scope, 10)
    await kept.left.postpone(kept.scope, first, 2)
    assert await kept.gone() == [[1], [0]]
    _, again = await kept.left.pending(kept.scope, 10)
    assert (again.tries, again.turns) == (2, first.turns)
    await kept.left.set_aside(kept.scope, again, "refused", NOW)
    load = await kept.left.backlog(kept.scope, "t")
    assert load.waiting == 1
    assert [(one.turns, one.reason, one.rounds, one.retry_at) for one in load.set_aside] == [
        (first.turns, "refused", 1, NOW)
    ]
    assert load.retry_at == NOW
    assert not (await kept.left.backlog(kept.scope, "u")).set_aside
    await kept.left.requeue(NOW - timedelta(seconds=1))
    assert len((await kept.left.backlog(kept.scope, "t")).set_aside) == 1
    assert await kept.left.requeue(NOW) >= 1
    waiting = await kept.left.pending(kept.scope, 10)
    assert [(one.tries, one.rounds, one.reason, one.retry_at) for one in waiting] == [
        (0, 0, "", None),
        (0, 1, "", None),
    ]
    assert not (await kept.left.backlog(kept.scope, "t")).set_aside


async def test_many_writers_lose_nothing(kept: Kept) -> None:
    """Each of a hundred turns is in the thread or left it, once, and the limit holds at every moment."""
    await kept.begin()
    held: list[int] = []

    async def write(writer: int) -> None:
        for number in range(10):
            done = await kept.threads.append(
                kept.scope, AppendTurn("t", turn(f"{writer} {number}"), "0", ThreadLimits(70, 9, 99))
            )
            held.append(max(done.turns, done.tokens // 10))

    async with anyio.create_task_group() as tasks:
        for writer in range(10):
            tasks.start_soon(write, writer)
    assert max(held) == 7
    assert sorted([*await kept.indices(), *(index for one in await kept.gone() for index in one)]) == list(range(100))

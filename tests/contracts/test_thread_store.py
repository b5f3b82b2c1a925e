"""The contract of ThreadStore and EvictedTurnStore (turns evicted from threads), tested on each
implementation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from memtypes.live.eviction import USE_ORDER, ThreadLimits
from memtypes.live.turns import Turn
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.ports.threads import (
    MAX_CHAIN,
    AppendTurn,
    EvictedTurnStore,
    NewThread,
    PathMention,
    Removal,
    RequestKey,
    ThreadQuery,
    ThreadStore,
)
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.evicted_turns import RedisEvictedTurns
from memtypes.stores.redis.threads import RedisThreads
from tests.fakes_threads import FakeThreads
from tests.live import LIVE, fresh_scope

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FREE = ThreadLimits(None, None, 1_000)


@dataclass(frozen=True, slots=True)
class Stores:
    """The store of threads and the store of evicted turns, with a scope that no other test uses."""

    threads: ThreadStore
    evicted: EvictedTurnStore
    scope: Scope

    async def create(
        self, thread_id: str = "t", parent_id: str | None = None, *, lru: bool = False
    ) -> None:
        """Create a thread. lru: whether the least recently used turns are evicted first."""
        await self.threads.create(self.scope, NewThread(thread_id, 60, NOW, parent_id, lru=lru))

    async def append(
        self,
        content: str,
        limits: ThreadLimits = FREE,
        rank: str | None = "0",
        thread_id: str = "t",
    ) -> int:
        """Append a turn of ten tokens and return its index. rank: its eviction rank; None protects
        it from eviction.
        """
        return (
            await self.threads.append(
                self.scope, AppendTurn(thread_id, turn(content), rank, limits)
            )
        ).index

    async def indices(self, thread_id: str = "t") -> list[int]:
        """The indices of the turns that the thread contains now."""
        return [entry.index for entry in (await self.threads.read(self.scope, thread_id)).turns]

    async def evicted_indices(self) -> list[list[int]]:
        """The indices of the turns in each batch of evicted turns that waits to become memories."""
        return [
            [entry.index for entry in batch.turns]
            for batch in await self.evicted.pending(self.scope, 100)
        ]


@pytest.fixture(params=["fake", *LIVE])
def stores(request: pytest.FixtureRequest) -> Stores:
    """The stores of threads and of evicted turns under test: a test runs once with each
    implementation.
    """
    if request.param == "fake":
        fake = FakeThreads()
        return Stores(fake, fake, fresh_scope())
    live: LiveClient = request.getfixturevalue(request.param)
    return Stores(RedisThreads(live), RedisEvictedTurns(live), fresh_scope())


def turn(content: str = "hello", tokens: int = 10, **fields: object) -> Turn:
    """A turn with this content and number of tokens, to append to a thread."""
    return Turn("user", content, tokens, NOW, **fields)  # type: ignore[arg-type]


async def test_a_turn_is_returned_as_it_was_appended(stores: Stores) -> None:
    """An appended turn is read back with all its fields and the next index, and the thread's totals
    are updated.
    """
    await stores.create()
    sent = turn(
        "é \n{}",
        7,
        agent_id="a",
        files=["f"],
        images=["i"],
        tool="t",
        model="m",
        metadata={"n": [1, None]},
    )
    await stores.append("first")
    appended = await stores.threads.append(
        stores.scope, AppendTurn("t", sent, "0", FREE, expected=1)
    )
    assert (
        appended.index,
        appended.version,
        appended.tokens,
        appended.turns,
        appended.evicted,
    ) == (1, 2, 17, 2, 0)
    content = await stores.threads.read(stores.scope, "t")
    assert content.turns[1] == replace(sent, index=1)
    assert (content.thread.version, content.thread.tokens, content.thread.turns) == (2, 17, 2)
    assert await stores.threads.get(stores.scope, "t") == content.thread


async def test_an_unknown_thread_raises_not_found(stores: Stores) -> None:
    """Every call raises NotFound for a thread id that does not exist, or that exists in another
    scope only.
    """
    await stores.create()
    for where, thread_id in ((stores.scope, "other"), (fresh_scope(), "t")):
        for call in (
            stores.threads.append(where, AppendTurn(thread_id, turn(), "0", FREE)),
            stores.threads.get(where, thread_id),
            stores.threads.read(where, thread_id),
            stores.threads.tail(where, thread_id, 10),
            stores.threads.page(where, thread_id, 0, 1),
            stores.threads.remove(where, Removal(thread_id, (0,), NOW)),
            stores.threads.replace(where, thread_id, ()),
            stores.threads.clear(where, thread_id, None),
            stores.threads.delete(where, thread_id),
            stores.threads.backup(where, "none"),
            stores.threads.create(where, NewThread("child", 60, NOW, thread_id)),
        ):
            with pytest.raises(NotFound):
                await call


async def test_a_resource_and_key_identify_one_thread(stores: Stores) -> None:
    """Creating a thread with the resource and key of an existing thread returns the existing
    thread's id.

    It raises Conflict if the parents differ. Another resource or key creates a new thread.
    """
    new = NewThread("t", 60, NOW, resource="r", key="k")
    await stores.create("p")
    assert await stores.threads.create(stores.scope, new) == "t"
    assert await stores.threads.create(stores.scope, replace(new, thread_id="u")) == "t"
    with pytest.raises(Conflict):
        await stores.threads.create(stores.scope, replace(new, thread_id="u", parent_id="p"))
    assert await stores.threads.create(stores.scope, replace(new, thread_id="u", key="l")) == "u"
    assert (
        await stores.threads.create(stores.scope, replace(new, thread_id="v", resource="s")) == "v"
    )
    await stores.threads.delete(stores.scope, "t")
    assert await stores.threads.create(stores.scope, replace(new, thread_id="w")) == "w"


async def test_a_chain_of_threads_has_a_maximum_depth(stores: Stores) -> None:
    """Creating a thread with MAX_CHAIN ancestors raises InvalidRequest.

    The ancestors of a thread are listed oldest first, including those that were deleted.
    """
    await stores.create("0")
    for number in range(1, MAX_CHAIN):
        await stores.create(str(number), str(number - 1))
    with pytest.raises(InvalidRequest):
        await stores.create("deep", str(MAX_CHAIN - 1))
    await stores.threads.delete(stores.scope, "1")
    assert (await stores.threads.get(stores.scope, "3")).ancestors == ("0", "1", "2")


async def test_threads_are_listed_by_last_use(stores: Stores) -> None:
    """Threads are listed in pages, the last used first.

    Deleted threads and threads of other namespaces are not listed.
    """
    await stores.create("root")
    new = NewThread("", 60, NOW, "root", "r", agent_id="a", workflow_id="w")
    for number in range(7):
        await stores.threads.create(
            stores.scope, replace(new, thread_id=f"t {number}", key=f"k{number % 2}:{number}")
        )
    await stores.append("used again", thread_id="t 2")
    await stores.threads.delete(stores.scope, "t 4")
    await stores.threads.use(stores.scope, "root", [0])
    newest = ["t 2", "t 6", "t 5", "t 3", "t 1", "t 0", "root"]

    async def listed(scope: Scope = stores.scope, query: ThreadQuery | None = None) -> list[str]:
        ids: list[str] = []
        query = query or ThreadQuery(2)
        while True:
            page = await stores.threads.page_of_threads(scope, query)
            assert len(page.threads) <= 2
            ids += [thread.id for thread in page.threads]
            if page.next_cursor is None:
                return ids
            query = replace(query, cursor=page.next_cursor)

    assert await listed() == newest
    assert await listed(fresh_scope()) == []
    for query in (
        ThreadQuery(2, parent_id="root"),
        ThreadQuery(2, resource="r"),
        ThreadQuery(2, agent_id="a"),
        ThreadQuery(2, workflow_id="w"),
    ):
        assert await listed(query=query) == newest[:-1]
    assert await listed(query=ThreadQuery(2, key_prefix="k1:")) == ["t 5", "t 3", "t 1"]
    assert await listed(query=ThreadQuery(2, key_prefix="k1:", parent_id="t 0")) == []


async def test_a_limit_evicts_the_lowest_rank_first(stores: Stores) -> None:
    """Turns with the lowest eviction rank are evicted first, the oldest first if ranks are equal.

    Turns without a rank stay. All turns that one append evicts are queued as one batch.
    """
    await stores.create()
    for content, rank in (("a", "10000"), ("b", None), ("c", "0"), ("d", "0"), ("e", "10000")):
        await stores.append(content, rank=rank)
    assert await stores.append("f", ThreadLimits(40, None, 100)) == 5
    assert await stores.evicted_indices() == [[2, 3]]
    assert await stores.indices() == [0, 1, 4, 5]
    await stores.append("g", ThreadLimits(None, 2, 100))
    assert await stores.evicted_indices() == [[2, 3], [5, 0, 4]]
    with pytest.raises(InvalidRequest):
        await stores.append("h", ThreadLimits(10, None, 100))
    assert await stores.indices() == [1, 6]


async def test_the_newest_system_turn_may_be_spared(stores: Stores) -> None:
    """With `spares_system`, the newest system turn is evicted only after all others."""
    await stores.create()
    for role in ("system", "system", "user"):
        append = AppendTurn("t", replace(turn("a"), role=role), "0", FREE)
        await stores.threads.append(stores.scope, append)
    for most, left in ((3, [1, 2, 3]), (2, [1, 4]), (1, [5])):
        limits = ThreadLimits(None, None, most)
        append = AppendTurn("t", turn("b"), "0", limits, spares_system=True)
        await stores.threads.append(stores.scope, append)
        assert await stores.indices() == left
    rule = replace(turn("c"), role="system")
    for _ in range(2):
        append = AppendTurn("t", rule, "0", ThreadLimits(None, None, 2), spares_system=True)
        await stores.threads.append(stores.scope, append)
    assert await stores.indices() == [6, 7]


async def test_pinned_turns_have_a_limit_of_their_own(stores: Stores) -> None:
    """An append of a turn without a rank is refused if pinned turns would exceed
    `limits.most_pinned`. A replaced thread counts anew.
    """
    await stores.create()
    limits = ThreadLimits(100, None, 4)
    for content in "abc":
        await stores.append(content, limits, rank=None)
    with pytest.raises(InvalidRequest) as raised:
        await stores.append("d", limits, rank=None)
    assert raised.value.path == "pinned"
    for content in "ef":
        await stores.append(content, limits)
    assert await stores.indices() == [0, 1, 2, 4]
    await stores.threads.replace(stores.scope, "t", [(turn("g", 70), None)])
    await stores.append("h", limits, rank=None)
    with pytest.raises(InvalidRequest):
        await stores.append("i", limits, rank=None)


async def test_a_thread_counts_the_turns_that_left_it(stores: Stores) -> None:
    await stores.create()
    for content in "abcd":
        await stores.append(content, ThreadLimits(None, None, 3))
    await stores.threads.remove(stores.scope, Removal("t", (1, 2), NOW))
    assert (await stores.threads.get(stores.scope, "t")).flushed == 3
    await stores.threads.replace(stores.scope, "t", [(turn("e"), "0")])
    assert (await stores.threads.get(stores.scope, "t")).flushed == 0


async def test_a_tail_has_the_newest_contents_of_files(stores: Stores) -> None:
    await stores.create()
    for number, contents in enumerate(({"x": "old"}, {"y": "other"}, {"x": "new"}, {})):
        dated = replace(turn("a", files=["x", "y", "z"]), at=NOW + timedelta(seconds=number))
        append = AppendTurn("t", dated, "0", FREE, contents=contents)
        await stores.threads.append(stores.scope, append)
    tail = await stores.threads.tail(stores.scope, "t", 100)
    contents_read = {mention.path: (mention.turn, mention.content) for mention in tail.files}
    assert contents_read == {"x": (3, "new"), "y": (3, "other"), "z": (3, None)}
    await stores.threads.replace(
        stores.scope, "t", [(turn("b", files=["z"]), "0")], None, {"z": "text"}
    )
    (mention,) = (await stores.threads.tail(stores.scope, "t", 100)).files
    assert (mention.path, mention.content) == ("z", "text")


async def test_lru_evicts_the_least_recently_used_turn(stores: Stores) -> None:
    """In a thread with eviction by last use, turns that were read or marked as used are evicted
    later than others.
    """
    await stores.create(lru=True)
    for content in "abcd":
        await stores.append(content, rank=USE_ORDER)
    shown = await stores.threads.page(stores.scope, "t", 0, 1)
    assert [entry.index for entry in shown.turns] == [0]
    await stores.threads.use(stores.scope, "t", [2, 99])
    used = (await stores.threads.read(stores.scope, "t")).used
    assert sorted(used, key=lambda index: used[index]) == [1, 3, 0, 2]
    await stores.append("e", ThreadLimits(None, 3, 100), rank=USE_ORDER)
    assert await stores.evicted_indices() == [[1, 3]]


async def test_a_refused_append_changes_nothing(stores: Stores) -> None:
    """If an append raises an error, no turn is added or evicted.

    An append raises an error if the thread has another version than expected, or is full of turns
    that may not be evicted.
    """
    await stores.create()
    for content in "ab":
        await stores.append(content, rank=None)
    with pytest.raises(InvalidRequest):
        await stores.append("c", ThreadLimits(None, None, 2))
    with pytest.raises(VersionConflict) as raised:
        await stores.threads.append(
            stores.scope, AppendTurn("t", turn(), "0", ThreadLimits(None, 1, 2), expected=1)
        )
    assert raised.value.current_version == 2
    assert (await stores.indices(), await stores.evicted_indices()) == ([0, 1], [])


async def test_a_turn_beyond_the_maximum_number_evicts_another(stores: Stores) -> None:
    await stores.create()
    for content, rank in (("a", None), ("b", "0")):
        await stores.append(content, rank=rank)
    await stores.append("c", ThreadLimits(None, None, 2))
    assert (await stores.indices(), await stores.evicted_indices()) == ([0, 2], [[1]])


async def test_a_turn_displaces_the_summary_if_no_turn_can_be_evicted(stores: Stores) -> None:
    """If a turn fits the thread's token limit only without the thread's summary, the summary is
    removed.
    """
    await stores.create()
    for content in "abc":
        await stores.append(content)
    await stores.threads.remove(stores.scope, Removal("t", (0, 1), NOW, "in short", 5))
    await stores.threads.append(
        stores.scope, AppendTurn("t", turn("large", 28), "0", ThreadLimits(40, None, 9))
    )
    thread = await stores.threads.get(stores.scope, "t")
    assert (thread.summary, thread.tokens) == ("in short", 33)
    await stores.threads.append(
        stores.scope, AppendTurn("t", turn("larger", 38), "0", ThreadLimits(40, None, 9))
    )
    thread = await stores.threads.get(stores.scope, "t")
    assert (thread.summary, thread.summary_tokens, thread.tokens) == ("", 0, 38)


async def test_a_repeated_request_appends_once(stores: Stores) -> None:
    """An append that is repeated with its idempotency key adds no turn and returns the first
    result.

    The same idempotency key with another request body raises Conflict.
    """
    await stores.create()
    await stores.create("u")
    first = AppendTurn("t", turn("a"), "0", FREE, expected=0, request=RequestKey("k", "digest"))
    appended = await stores.threads.append(stores.scope, first)
    await stores.append("b")
    later = replace(first, turn=replace(first.turn, at=NOW + timedelta(seconds=9)))
    assert await stores.threads.append(stores.scope, later) == replace(appended, repeated=True)
    assert appended.at == NOW
    with pytest.raises(Conflict):
        await stores.threads.append(stores.scope, replace(first, request=RequestKey("k", "other")))
    assert not (await stores.threads.append(stores.scope, replace(first, thread_id="u"))).repeated
    assert await stores.indices() == [0, 1]


async def test_a_repeated_append_gets_the_version_after_the_removal(stores: Stores) -> None:
    """If turns were removed directly after an append, a repeat of the append returns the version
    after the removal.

    If the thread was changed in between, the repeat returns the append's own version, so that the
    caller notices.
    """
    await stores.create()
    first = AppendTurn("t", turn("a"), "0", FREE, request=RequestKey("k", "digest"))
    appended = await stores.threads.append(stores.scope, first)
    version = await stores.threads.remove(stores.scope, Removal("t", (0,), NOW))
    after = replace(appended, version=version, flushed=1, repeated=True)
    assert await stores.threads.append(stores.scope, first) == after
    second = replace(first, request=RequestKey("l", "digest"))
    appended = await stores.threads.append(stores.scope, second)
    await stores.append("b")
    await stores.threads.remove(stores.scope, Removal("t", (1,), NOW))
    assert await stores.threads.append(stores.scope, second) == replace(appended, repeated=True)
    assert await stores.threads.append(stores.scope, first) == after


async def test_the_tail_of_a_thread_has_its_newest_turns_and_all_files_and_images(
    stores: Stores,
) -> None:
    """`tail` returns a thread's newest turns and newest system turns, up to `tokens` tokens each.

    The turn that exceeds `tokens` is included. `tail` also returns the last mention of every file
    and image, even if the turn with the mention was removed.
    """
    await stores.create()
    sent = [
        turn("a", files=["x", "y"], images=["i"]),
        replace(turn("rule"), role="system"),
        turn("b", files=["x"]),
        turn("c"),
        turn("d"),
    ]
    for number, entry in enumerate(sent):
        dated = replace(entry, at=NOW + timedelta(seconds=number))
        await stores.threads.append(stores.scope, AppendTurn("t", dated, "0", FREE))
    tail = await stores.threads.tail(stores.scope, "t", 15)
    assert [entry.index for entry in tail.turns] == [1, 3, 4]
    assert (tail.whole, tail.thread.turns) == (False, 5)
    assert tail.files == (PathMention("x", 2, NOW + timedelta(seconds=2)), PathMention("y", 0, NOW))
    assert (tail.images, tail.file_count, tail.image_count) == ((PathMention("i", 0, NOW),), 2, 1)
    assert [entry.index for entry in (await stores.threads.tail(stores.scope, "t", 0)).turns] == [
        1,
        4,
    ]
    await stores.threads.remove(stores.scope, Removal("t", (0, 2), NOW))
    tail = await stores.threads.tail(stores.scope, "t", 1_000)
    assert tail.whole
    assert [(mention.path, mention.turn) for mention in tail.files] == [("x", 2), ("y", 0)]
    await stores.threads.replace(stores.scope, "t", [(turn("new", files=["z"]), "0")])
    assert [
        mention.path for mention in (await stores.threads.tail(stores.scope, "t", 1_000)).files
    ] == ["z"]


async def test_a_flush_removes_all_of_its_turns_or_none(stores: Stores) -> None:
    """If one of the turns to flush is missing, none is removed. A flush may replace the thread's
    summary.
    """
    await stores.create()
    for content in "abcd":
        await stores.append(content)
    assert await stores.threads.remove(stores.scope, Removal("t", (0, 2), NOW, "sum", 3)) == 5
    assert await stores.threads.remove(stores.scope, Removal("t", (1, 2), NOW)) == 0
    thread = await stores.threads.get(stores.scope, "t")
    assert (thread.summary, thread.summary_tokens, thread.tokens, thread.turns) == ("sum", 3, 23, 2)
    assert thread.last_flush_at == "2026-03-01T12:00:00Z"
    assert await stores.threads.remove(stores.scope, Removal("t", (1,), NOW, "new", 5))
    assert (await stores.threads.get(stores.scope, "t")).tokens == 15
    assert await stores.evicted_indices() == [[0, 2], [1]]


async def test_an_index_is_never_reused(stores: Stores) -> None:
    """Turns that are appended after the thread's turns were replaced or cleared get new indices.

    Cleared turns can be read from the backup, and are not queued as evicted turns.
    """
    await stores.create()
    await stores.append("old")
    with pytest.raises(VersionConflict):
        await stores.threads.replace(stores.scope, "t", (), expected=0)
    version = await stores.threads.replace(
        stores.scope, "t", [(turn("new", 4), "0"), (turn("er", 5), None)]
    )
    assert (version, await stores.indices()) == (2, [1, 2])
    assert (await stores.threads.get(stores.scope, "t")).tokens == 9
    assert await stores.threads.clear(stores.scope, "t", "b") == 2
    assert [
        (entry.index, entry.content) for entry in await stores.threads.backup(stores.scope, "b")
    ] == [
        (1, "new"),
        (2, "er"),
    ]
    assert await stores.append("next") == 3
    assert await stores.evicted_indices() == []


async def test_evicted_turns_wait_until_they_are_acknowledged(stores: Stores) -> None:
    """Batches of evicted turns stay queued in order until they are acknowledged, even if their
    thread is deleted.

    The queue's scope is listed as long as a batch waits.
    """
    await stores.create()
    for content in "abc":
        await stores.append(content, ThreadLimits(None, 1, 10))
    await stores.threads.delete(stores.scope, "t")
    first, second = await stores.evicted.pending(stores.scope, 10)
    assert [entry.content for entry in (*first.turns, *second.turns)] == ["a", "b"]
    assert (await stores.evicted.backlog(stores.scope)).waiting == 2
    assert stores.scope in [scope async for scope in stores.evicted.scopes()]
    await stores.evicted.acknowledge(stores.scope, first)
    assert await stores.evicted.pending(stores.scope, 10) == [second]
    await stores.evicted.acknowledge(stores.scope, second)
    assert stores.scope not in [scope async for scope in stores.evicted.scopes()]


async def test_a_batch_can_be_postponed_set_aside_and_requeued(stores: Stores) -> None:
    """A postponed batch moves to the end of the queue. One that is set aside returns at its
    `retry_at`.
    """
    await stores.create()
    for content in "abc":
        await stores.append(content, ThreadLimits(None, 1, 10))
    first, _ = await stores.evicted.pending(stores.scope, 10)
    await stores.evicted.postpone(stores.scope, first, 2)
    assert await stores.evicted_indices() == [[1], [0]]
    _, requeued = await stores.evicted.pending(stores.scope, 10)
    assert (requeued.tries, requeued.turns) == (2, first.turns)
    await stores.evicted.set_aside(stores.scope, requeued, "refused", NOW)
    backlog = await stores.evicted.backlog(stores.scope, "t")
    assert backlog.waiting == 1
    assert [
        (entry.turns, entry.reason, entry.rounds, entry.retry_at) for entry in backlog.set_aside
    ] == [(first.turns, "refused", 1, NOW)]
    assert backlog.retry_at == NOW
    assert not (await stores.evicted.backlog(stores.scope, "u")).set_aside
    await stores.evicted.requeue(NOW - timedelta(seconds=1))
    assert len((await stores.evicted.backlog(stores.scope, "t")).set_aside) == 1
    assert await stores.evicted.requeue(NOW) >= 1
    waiting = await stores.evicted.pending(stores.scope, 10)
    assert [(entry.tries, entry.rounds, entry.reason, entry.retry_at) for entry in waiting] == [
        (0, 0, "", None),
        (0, 1, "", None),
    ]
    assert not (await stores.evicted.backlog(stores.scope, "t")).set_aside


@pytest.mark.parametrize(
    ("thread_id", "queued", "aside"), [("u", [[1]], 1), ("t", [], 0), (None, [], 0)]
)
async def test_discard_removes_queued_and_set_aside_batches(
    stores: Stores, thread_id: str | None, queued: list[list[int]], aside: int
) -> None:
    """`discard` removes the batches of evicted turns of a thread, or of all threads of the
    namespace.

    Batches that were set aside after failures are removed too. Batches of other namespaces stay.
    """
    other_stores = replace(
        stores, scope=replace(stores.scope, namespace=f"{stores.scope.namespace} other")
    )
    for namespace_stores in (stores, other_stores):
        await namespace_stores.create()
        for content in "abc":
            await namespace_stores.append(content, ThreadLimits(None, 1, 10))
        first, _ = await namespace_stores.evicted.pending(namespace_stores.scope, 10)
        await namespace_stores.evicted.set_aside(namespace_stores.scope, first, "refused", NOW)
    await stores.evicted.discard(stores.scope, thread_id)
    assert await stores.evicted_indices() == queued
    assert len((await stores.evicted.backlog(stores.scope, "t")).set_aside) == aside
    assert await other_stores.evicted_indices() == [[1]]
    assert len((await other_stores.evicted.backlog(other_stores.scope, "t")).set_aside) == 1


async def test_concurrent_appends_lose_no_turn(stores: Stores) -> None:
    """Each of a hundred turns is either in the thread or evicted, and the thread never exceeds its
    limit.
    """
    await stores.create()
    indices: list[int] = []

    async def write(writer: int) -> None:
        for number in range(10):
            appended = await stores.threads.append(
                stores.scope,
                AppendTurn("t", turn(f"{writer} {number}"), "0", ThreadLimits(70, 9, 99)),
            )
            indices.append(max(appended.turns, appended.tokens // 10))

    async with anyio.create_task_group() as tasks:
        for writer in range(10):
            tasks.start_soon(write, writer)
    assert max(indices) == 7
    evicted = [index for batch in await stores.evicted_indices() for index in batch]
    assert sorted([*await stores.indices(), *evicted]) == list(range(100))


async def test_turns_of_a_deleted_thread_are_flushed_on_request(stores: Stores) -> None:
    for thread_id in ("t", "u", "empty"):
        await stores.create(thread_id)
    for content in ("a", "b", "c"):
        await stores.append(content)
        await stores.append(content, thread_id="u")
    await stores.threads.delete(stores.scope, "u")
    await stores.threads.delete(stores.scope, "empty", flush=True)
    await stores.threads.delete(stores.scope, "t", flush=True)
    (batch,) = await stores.evicted.pending(stores.scope, 10)
    assert (batch.thread_id, [entry.content for entry in batch.turns]) == ("t", ["a", "b", "c"])
    with pytest.raises(NotFound):
        await stores.threads.get(stores.scope, "t")


async def test_a_thread_of_a_workflow_is_not_opened_for_another_workflow(stores: Stores) -> None:
    """Creating a thread whose key exists returns the existing thread, if it names this thread's
    workflow or none.

    If it names another workflow, Conflict is raised.
    """
    new = NewThread("t", 60, NOW, resource="r", key="k", workflow_id="w")
    assert await stores.threads.create(stores.scope, new) == "t"
    assert (await stores.threads.get(stores.scope, "t")).workflow_id == "w"
    for workflow_id in ("w", None):
        repeated = replace(new, thread_id="t2", workflow_id=workflow_id)
        assert await stores.threads.create(stores.scope, repeated) == "t"
    with pytest.raises(Conflict):
        await stores.threads.create(stores.scope, replace(new, thread_id="t3", workflow_id="v"))


async def test_a_thread_is_found_by_its_resource_and_key(stores: Stores) -> None:
    await stores.threads.create(stores.scope, NewThread("t", 60, NOW, resource="notes", key="k"))
    thread_ids = [
        await stores.threads.find(stores.scope, *name)
        for name in (("notes", "k"), ("notes", "x"), (None, "k"))
    ]
    assert thread_ids == ["t", None, None]
    await stores.threads.delete(stores.scope, "t")
    assert await stores.threads.find(stores.scope, "notes", "k") is None


@pytest.fixture(params=LIVE)
def expiring(request: pytest.FixtureRequest) -> Stores:
    """The Redis stores, whose threads expire, on each kind of server.

    Their namespace has characters that Redis keys escape.
    """
    live: LiveClient = request.getfixturevalue(request.param)
    return Stores(
        RedisThreads(live),
        RedisEvictedTurns(live),
        replace(fresh_scope(), namespace="a/b } \u00fc"),
    )


async def test_turns_of_an_expired_thread_that_flushes_are_queued(expiring: Stores) -> None:
    stores = expiring
    for thread_id, flushes in (("t/\u00fc", True), ("drops", False), ("stays", True)):
        ttl_s = 60 if thread_id == "stays" else 1
        await stores.threads.create(stores.scope, NewThread(thread_id, ttl_s, NOW, flushes=flushes))
        for content in ("a", "b"):
            await stores.append(content, thread_id=thread_id)
    await anyio.sleep(1.2)
    with pytest.raises(NotFound):
        await stores.threads.get(stores.scope, "t/\u00fc")
    page = await stores.threads.page_of_threads(stores.scope, ThreadQuery(10))
    assert [thread.id for thread in page.threads] == ["stays"]
    await stores.threads.queue_expired()
    await stores.threads.queue_expired()
    (batch,) = await stores.evicted.pending(stores.scope, 10)
    assert (batch.thread_id, [entry.content for entry in batch.turns]) == ("t/\u00fc", ["a", "b"])
    assert await stores.indices("stays") == [0, 1]

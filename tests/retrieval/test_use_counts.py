"""Use counts of memories that contexts showed, written to the store in the background."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import anyio
import msgspec
import pytest

from memtypes.model.errors import Unavailable
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Use
from retrieval.context.entries import EntryFields
from retrieval.use_counts import MAX_WAITING, PAUSE_FACTOR, UseCounts
from tests.fakes_memories import InMemoryStore
from tests.retrieval.builders import NOW, SCOPE, World

pytestmark = pytest.mark.anyio


async def fields_of(world: World, memory_id: str) -> EntryFields:
    """The stored fields from which a context shows the memory."""
    return EntryFields.from_memory(await stored(world, memory_id))


async def stored(world: World, memory_id: str) -> Memory:
    """The memory with this id, read from the store."""
    return (await world.store.get(SCOPE, [memory_id]))[memory_id]


async def test_uses_of_one_memory_are_added_up() -> None:
    """Several uses of a memory are written at once: their number, and the time of the last use."""
    world = World()
    used, unused = await world.add_all("semantic", ["a fact", "another fact"])
    memory = await fields_of(world, used)
    use_counts = UseCounts(world.store)
    use_counts.note(SCOPE, [memory], NOW)
    use_counts.note(SCOPE, [memory, memory], NOW + timedelta(seconds=5))
    assert (await stored(world, used)).access_count == 0
    await use_counts.write()
    after = await stored(world, used)
    assert (after.access_count, after.accessed_at) == (3, NOW + timedelta(seconds=5))
    assert (await stored(world, unused)).access_count == 0


async def test_closing_writes_waiting_uses() -> None:
    """Every use that was noted before closing is stored."""
    world = World()
    used = await world.add("semantic", "a fact")
    async with UseCounts(world.store, period_s=60).running() as use_counts:
        use_counts.note(SCOPE, [await fields_of(world, used)], NOW)
    assert (await stored(world, used)).access_count == 1


class SlowStore(InMemoryStore):
    """A memory store with slow writes of use counts. written: namespace, start and end of each
    write.

    some: event that is set after `after` writes.
    """

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after
        self.some = asyncio.Event()
        self.written: list[tuple[str, float, float]] = []

    async def note_uses(self, scope: Scope, uses: Sequence[Use]) -> None:
        """Store the use counts after a delay."""
        began = time.monotonic()
        await asyncio.sleep(0.05)
        await super().note_uses(scope, uses)
        self.written.append((scope.namespace, began, time.monotonic()))
        if len(self.written) == self.after:
            self.some.set()


async def test_writes_have_pauses_between_them() -> None:
    """Use counts of several namespaces are written one after the other with pauses. Closing writes
    the rest at once.
    """
    store = SlowStore(after=2)
    world = World(store=store)
    memory = await fields_of(world, await world.add("semantic", "a fact"))
    scopes = [Scope(SCOPE.tenant, f"elsewhere {number}") for number in range(4)]
    async with UseCounts(store, period_s=0.01).running() as use_counts:
        for scope in scopes:
            use_counts.note(scope, [memory], NOW)
        await store.some.wait()
    assert [name for name, _, _ in store.written] == [scope.namespace for scope in scopes]
    pauses = [later[1] - earlier[2] for earlier, later in pairwise(store.written)]
    assert pauses[0] >= PAUSE_FACTOR * 0.05
    assert pauses[-1] < PAUSE_FACTOR * 0.05


async def test_write_makes_no_pauses() -> None:
    """`write` stores all noted uses at once, without the pauses of the background task."""
    store = SlowStore(after=1)
    world = World(store=store)
    memory = await fields_of(world, await world.add("semantic", "a fact"))
    async with UseCounts(store, period_s=0.01).running() as use_counts:
        for number in range(3):
            use_counts.note(Scope(SCOPE.tenant, f"elsewhere {number}"), [memory], NOW)
        await store.some.wait()
        await use_counts.write()
        assert len(store.written) == 3


async def test_uses_of_a_removed_memory_are_ignored() -> None:
    """Writing the uses of a memory that was removed meanwhile does not create it again."""
    world = World()
    used = await world.add("semantic", "a fact")
    memory = await fields_of(world, used)
    await world.store.delete(SCOPE, [used])
    use_counts = UseCounts(world.store)
    use_counts.note(SCOPE, [memory], NOW)
    await use_counts.write()
    assert await world.store.get(SCOPE, [used]) == {}
    assert use_counts.lost == 0


class AwayStore(InMemoryStore):
    """A memory store that raises on every write of uses."""

    async def note_uses(self, scope: Scope, uses: Sequence[Use]) -> None:
        """Raise Unavailable."""
        raise Unavailable(f"{len(uses)} uses in {scope.namespace}")


async def test_a_failed_write_is_counted() -> None:
    """Retrievals do not fail if their uses cannot be written, because they were answered before the
    write.
    """
    world = World(store=AwayStore())
    used = await world.add("semantic", "a fact")
    use_counts = UseCounts(world.store)
    use_counts.note(SCOPE, [await fields_of(world, used)], NOW)
    await use_counts.write()
    assert use_counts.lost == 1


class FaultyStore(InMemoryStore):
    """A memory store whose first write of use counts raises an unexpected error.

    failed: event that is set at this write. written: event that is set after a later write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failed = asyncio.Event()
        self.written = asyncio.Event()

    async def note_uses(self, scope: Scope, uses: Sequence[Use]) -> None:
        """Raise RuntimeError on the first call; store the uses of later calls."""
        if not self.failed.is_set():
            self.failed.set()
            raise RuntimeError(scope.namespace)
        await super().note_uses(scope, uses)
        self.written.set()


async def test_counting_goes_on_after_an_unexpected_error() -> None:
    """If a write of use counts fails, its uses are counted as lost, and later uses are written."""
    store = FaultyStore()
    world = World(store=store)
    used = await world.add("semantic", "a fact")
    shown = [await fields_of(world, used)]
    async with UseCounts(store, period_s=0.01).running() as use_counts:
        use_counts.note(SCOPE, shown, NOW)
        await store.failed.wait()
        use_counts.note(SCOPE, shown, NOW)
        with anyio.fail_after(5):
            await store.written.wait()
        use_counts.note(SCOPE, shown, NOW)
    assert (await stored(world, used)).access_count == 2
    assert use_counts.lost == 1


@pytest.mark.slow
async def test_the_number_of_memories_with_waiting_uses_is_bounded() -> None:
    """While uses of MAX_WAITING memories wait to be written, uses of further memories are dropped
    and counted as lost.

    Several uses of one memory count as one.
    """
    world = World()
    memory = await fields_of(world, await world.add("semantic", "a fact"))
    use_counts = UseCounts(world.store)
    others = [
        msgspec.structs.replace(memory, id=str(UUID(int=number)))
        for number in range(MAX_WAITING + 6)
    ]
    use_counts.note(SCOPE, [memory, *others, memory], NOW)
    assert use_counts.lost == 7
    await use_counts.write()
    assert (await stored(world, memory.id)).access_count == 2
